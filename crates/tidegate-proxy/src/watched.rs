//! A socket that somebody watches: what is read goes past a [`Watch`], what is written does not.
//! It must never change a byte that is written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A list of pieces that are together no longer than this is copied into one: the kernel takes
/// longer to look at a list of two than it takes to copy a small answer.
const COPIED_BYTES: usize = 2 * 1_024;

/// Stands between a socket and whoever reads from it.
pub(crate) trait Watch<S> {
    /// Reads, as [`AsyncRead::poll_read`] does.
    fn poll_read(
        &mut self,
        socket: &mut S,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>;

    /// What is left to do once everything was written and the socket is shut down.
    fn poll_leave(&mut self, _socket: &mut S, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A socket and its watch.
#[derive(Debug)]
pub(crate) struct Watched<S, W> {
    socket: S,
    watch: W,
}

impl<S, W> Watched<S, W> {
    pub(crate) const fn new(socket: S, watch: W) -> Self {
        Self { socket, watch }
    }
}

impl<S: AsyncRead + Unpin, W: Watch<S> + Unpin> AsyncRead for Watched<S, W> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, watch } = self.get_mut();
        watch.poll_read(socket, context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, W: Watch<S> + Unpin> AsyncWrite for Watched<S, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, watch } = self.get_mut();
        ready!(Pin::new(&mut *socket).poll_shutdown(context))?;
        watch.poll_leave(socket, context).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if slices.len() < 2 || length > COPIED_BYTES {
            return Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        }
        let mut flat = [0; COPIED_BYTES];
        let mut end = 0;
        for slice in slices {
            flat[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        Pin::new(&mut self.socket).poll_write(context, &flat[..end])
    }
}
