//! The socket of one client, or what TLS leaves of it, read through the [`Guard`]: hyper sees a byte only after the strict
//! validator has. It must never show a byte past one that was refused, nor bytes after an
//! upgrade request before that request was answered 101.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::validate::{Guard, Pass};

/// Most bytes kept for a tunnel that is not open yet. A client that sends more waits.
const HELD_BYTES: usize = 64 * 1_024;

/// How long a client that was answered before it had sent everything is listened to.
const LINGER: Duration = Duration::from_secs(2);

/// A head and a body that are no longer than this are copied into one piece: the kernel takes
/// longer to look at a list of two than it takes to copy a small answer.
const COPIED_BYTES: usize = 2 * 1_024;

/// Opened when an upgrade request was answered 101; the stream is the tunnel's from then on.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicBool);

impl Gate {
    /// Must be called before the answer 101 is handed to hyper: the tunnel's first read finds
    /// the gate open then, so that nobody has to be woken.
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A guarded client socket.
#[derive(Debug)]
pub(crate) struct Tap<S> {
    socket: S,
    guard: Guard,
    gate: Arc<Gate>,
    /// Bytes that came after an upgrade request.
    held: Vec<u8>,
    /// Until when a client that still sends is listened to, once it was answered.
    leaves: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + Unpin> Tap<S> {
    pub(crate) fn new(socket: S, gate: Arc<Gate>) -> Self {
        Self { socket, guard: Guard::new(), gate, held: Vec::new(), leaves: None }
    }

    fn release_held(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.held.len().min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.held.drain(..length);
    }

    /// Reads and forgets what a client still sends of a message that nobody wants, RFC 9112
    /// section 9.6: closing with bytes unread would make the kernel reset the connection, and the
    /// answer would be lost with it.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.gate.is_open() || !self.guard.is_within() {
            return Poll::Ready(());
        }
        let leaves = self.leaves.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut chunk = [0; 4 * 1_024];
        while leaves.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Reads on behalf of a held stream: bytes are kept, the end of the stream is reported.
    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; 1_024];
        while self.held.len() < HELD_BYTES {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => self.held.extend_from_slice(buffer.filled()),
                other => return other,
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        if tap.gate.is_open() {
            if tap.held.is_empty() {
                return Pin::new(&mut tap.socket).poll_read(context, buffer);
            }
            tap.release_held(buffer);
            return Poll::Ready(Ok(()));
        }
        if tap.guard.is_refused() {
            return Poll::Ready(Ok(()));
        }
        if !tap.held.is_empty() {
            return tap.poll_hold(context);
        }
        let start = buffer.filled().len();
        match Pin::new(&mut tap.socket).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {}
            other => return other,
        }
        match tap.guard.feed(&buffer.filled()[start..]) {
            Pass::All => {}
            Pass::Refuse(fault) => {
                buffer.filled_mut()[start + fault] = 0;
                buffer.set_filled(start + fault + 1);
            }
            Pass::Hold(from) => {
                tap.held.extend_from_slice(&buffer.filled()[start + from..]);
                buffer.set_filled(start + from);
                if from == 0 {
                    return tap.poll_hold(context);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<S> {
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

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
        self.poll_linger(context).map(Ok)
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
