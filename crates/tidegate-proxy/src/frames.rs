//! An HTTP/2 client's stream, watched frame by frame below the codec: frames that cost the
//! client nothing and make us work are counted, and a connection that sends more of them than
//! any honest client is ended. It never changes a byte.
//!
//! What h2 itself limits (header lists, CONTINUATION, tiny DATA frames, resets of its own) is
//! set in `http2.rs`; resets by the client after we took a request, PING, SETTINGS, PRIORITY and
//! one-byte windows are not limited there, and they are here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use crate::watched::Watch;

/// Frames of no use that may come at once. A browser that leaves a page cancels a hundred
/// requests; gRPC clients measure the path with a PING for each answer.
const BURST: f64 = 2_000.0;
/// The same each second, over time.
const A_SECOND: f64 = 500.0;
/// A window that grows by less than this makes us send scraps.
const WINDOW_SCRAP: u32 = 256;
/// Length of a frame's head, RFC 9113 section 4.1.
const FRAME_HEAD: usize = 9;
/// Length of the preface, section 3.4.
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;

#[derive(Debug)]
enum At {
    Preface(usize),
    Head {
        have: usize,
        bytes: [u8; FRAME_HEAD],
    },
    /// The payload of a WINDOW_UPDATE, which is looked at.
    Window {
        have: usize,
        bytes: [u8; 4],
    },
    Payload(usize),
}

impl At {
    const fn head() -> Self {
        Self::Head { have: 0, bytes: [0; FRAME_HEAD] }
    }
}

/// Follows the frames of one connection and keeps the account of those of no use.
#[derive(Debug)]
pub(crate) struct Account {
    at: At,
    left: f64,
    since: Instant,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self { at: At::Preface(0), left: BURST, since: Instant::now() }
    }

    /// Shows the next bytes; false when the account is overdrawn.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        let earned = now.duration_since(self.since).as_secs_f64() * A_SECOND;
        (self.left, self.since) = ((self.left + earned).min(BURST), now);
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        self.left >= 0.0
    }

    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.at {
            At::Preface(have) => {
                let take = bytes.len().min(PREFACE - *have);
                *have += take;
                if *have == PREFACE {
                    self.at = At::head();
                }
                take
            }
            At::Head { have, bytes: head } => {
                let take = gather(head, have, bytes);
                if *have == FRAME_HEAD {
                    let head = *head;
                    self.begin(head);
                }
                take
            }
            At::Window { have, bytes: window } => {
                let take = gather(window, have, bytes);
                if *have == window.len() {
                    if u32::from_be_bytes(*window) < WINDOW_SCRAP {
                        self.left -= 1.0;
                    }
                    self.at = At::head();
                }
                take
            }
            At::Payload(left) => {
                let take = bytes.len().min(*left);
                *left -= take;
                if *left == 0 {
                    self.at = At::head();
                }
                take
            }
        }
    }

    fn begin(&mut self, [a, b, c, kind, flags, ..]: [u8; FRAME_HEAD]) {
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let is_useful = match kind {
            HEADERS => true,
            DATA => length > 0 || flags & END_STREAM != 0,
            WINDOW_UPDATE if length == 4 => {
                self.at = At::Window { have: 0, bytes: [0; 4] };
                return;
            }
            _ => false,
        };
        if !is_useful {
            self.left -= 1.0;
        }
        self.at = if length == 0 { At::head() } else { At::Payload(length) };
    }
}

fn gather(into: &mut [u8], have: &mut usize, bytes: &[u8]) -> usize {
    let take = bytes.len().min(into.len() - *have);
    into[*have..*have + take].copy_from_slice(&bytes[..take]);
    *have += take;
    take
}

impl<S: AsyncRead + Unpin> Watch<S> for Account {
    fn poll_read(
        &mut self,
        socket: &mut S,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        match Pin::new(socket).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {}
            other => return other,
        }
        if self.feed(&buffer.filled()[start..], Instant::now()) {
            return Poll::Ready(Ok(()));
        }
        tracing::info!("ended an HTTP/2 connection that sent nothing but work for us");
        Poll::Ready(Err(io::Error::other("a flood of frames of no use")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    /// How many frames of a kind pass at once, whole and cut into pieces.
    fn passes(frame: &[u8], most: usize) -> usize {
        let now = Instant::now();
        let mut whole = Account::new();
        let mut pieces = Account::new();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert!(whole.feed(preface, now) && pieces.feed(&preface[..7], now));
        assert!(pieces.feed(&preface[7..], now));
        for count in 0..most {
            let one = whole.feed(frame, now);
            let other = frame.chunks(4).fold(true, |_, piece| pieces.feed(piece, now));
            assert_eq!(one, other, "frame {count}");
            if !one {
                return count;
            }
        }
        most
    }

    #[test]
    fn useful_frames_are_free_and_the_others_are_counted() {
        let window = |by: u32| frame(WINDOW_UPDATE, 0, &by.to_be_bytes());
        for useful in
            [frame(HEADERS, 5, b"abc"), frame(DATA, 0, b"x"), frame(DATA, 1, b""), window(65_535)]
        {
            assert_eq!(passes(&useful, 10_000), 10_000);
        }
        // RST_STREAM, SETTINGS, PING, PRIORITY, CONTINUATION, empty DATA, an unknown kind.
        for kind in [(3, 4), (4, 0), (6, 8), (2, 5), (9, 3), (0, 0), (0x42, 1)] {
            let useless = frame(kind.0, 0, &vec![0; kind.1]);
            assert_eq!(passes(&useless, 10_000), 2_000, "{kind:?}");
        }
        assert_eq!(passes(&window(1), 10_000), 2_000);
    }

    #[test]
    fn time_pays_the_account_back() {
        let mut now = Instant::now();
        let mut account = Account::new();
        account.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now);
        let ping = frame(6, 0, &[0; 8]);
        for _ in 0..100 {
            for _ in 0..500 {
                assert!(account.feed(&ping, now));
            }
            now += Duration::from_secs(1);
        }
    }
}
