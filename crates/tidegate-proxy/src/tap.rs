//! The socket of one client, or what TLS leaves of it, read through the [`Guard`]: hyper sees a
//! byte only after the strict validator has. It must never show a byte past one that was refused,
//! nor bytes after an upgrade request before that request was answered 101.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::validate::{Guard, Pass};
use crate::watched::Watch;

/// Most bytes kept for a tunnel that is not open yet. A client that sends more waits.
const HELD_BYTES: usize = 64 * 1_024;

/// What hyper reads in the place of a byte that was refused: no head and no chunk has it, and a head
/// that came in pieces ends with it, so that hyper looks at it and answers 400.
const POISON: &[u8] = b"\0\n\n";

/// How long a client that was answered before it had sent everything is listened to.
const LINGER: Duration = Duration::from_secs(2);

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

/// The guard of a client's socket.
#[derive(Debug)]
pub(crate) struct Tap {
    guard: Guard,
    gate: Arc<Gate>,
    /// Bytes that came after an upgrade request.
    held: Vec<u8>,
    /// What is left of [`POISON`] once something was refused.
    poison: &'static [u8],
    /// Until when a client that still sends is listened to, once it was answered.
    leaves: Option<Pin<Box<Sleep>>>,
}

impl Tap {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self { guard: Guard::new(), gate, held: Vec::new(), poison: &[], leaves: None }
    }

    fn release_poison(&mut self, buffer: &mut ReadBuf<'_>) {
        let (now, later) = self.poison.split_at(self.poison.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.poison = later;
    }

    fn release_held(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.held.len().min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.held.drain(..length);
    }

    /// Reads on behalf of a held stream: bytes are kept, the end of the stream is reported.
    fn poll_hold<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0; 1_024];
        while self.held.len() < HELD_BYTES {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut *socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => self.held.extend_from_slice(buffer.filled()),
                other => return other,
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> Watch<S> for Tap {
    fn poll_read(
        &mut self,
        socket: &mut S,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.gate.is_open() {
            if self.held.is_empty() {
                return Pin::new(socket).poll_read(context, buffer);
            }
            self.release_held(buffer);
            return Poll::Ready(Ok(()));
        }
        if self.guard.is_refused() {
            self.release_poison(buffer);
            return Poll::Ready(Ok(()));
        }
        if !self.held.is_empty() {
            return self.poll_hold(socket, context);
        }
        let start = buffer.filled().len();
        match Pin::new(&mut *socket).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {}
            other => return other,
        }
        match self.guard.feed(&buffer.filled()[start..]) {
            Pass::All => {}
            Pass::Refuse(fault) => {
                buffer.set_filled(start + fault);
                self.poison = POISON;
                self.release_poison(buffer);
            }
            Pass::Hold(from) => {
                self.held.extend_from_slice(&buffer.filled()[start + from..]);
                buffer.set_filled(start + from);
                if from == 0 {
                    return self.poll_hold(socket, context);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and forgets what a client still sends of a message that nobody wants, RFC 9112
    /// section 9.6: closing with bytes unread would make the kernel reset the connection, and the
    /// answer would be lost with it.
    fn poll_leave(&mut self, socket: &mut S, context: &mut Context<'_>) -> Poll<()> {
        if self.gate.is_open() || !self.guard.is_within() {
            return Poll::Ready(());
        }
        let leaves = self.leaves.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut chunk = [0; 4 * 1_024];
        while leaves.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut *socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}
