//! Server-sent events, as far as our own server sends them: `id`, `event`, `data`.
//! Must never let a frame grow without a limit.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{broken, unintelligible};
use crate::failure::Failure;
use crate::problem::Problem;
use crate::view::Line;

/// Largest frame, bytes: an event carries at most a plan.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One thing that the stream said.
#[derive(Debug)]
pub(crate) enum Frame {
    /// An event of the deployment.
    Event(Box<Line>),
    /// The stream ended: the deployment is over, or the server stops.
    End,
}

/// A live stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    rest: Vec<u8>,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, rest: Vec::new() }
    }

    /// The next event. Safe to drop while it waits: what was read stays.
    ///
    /// # Errors
    /// [`Failure`] when the server went away, or what it said instead of an event.
    pub(crate) async fn next(&mut self) -> Result<Frame, Failure> {
        loop {
            while let Some(frame) = self.take_frame() {
                if let Some(found) = understand(&frame)? {
                    return Ok(found);
                }
            }
            if self.rest.len() > FRAME_BYTES_MAX {
                return Err(unintelligible("an event is larger than 4 MiB"));
            }
            match self.body.frame().await {
                None => return Ok(Frame::End),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => {
                    let bytes: Bytes = frame.into_data().unwrap_or_default();
                    self.rest.extend_from_slice(&bytes);
                }
            }
        }
    }

    /// Everything up to the next empty line.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.windows(2).position(|pair| pair == b"\n\n")?;
        let mut frame: Vec<u8> = self.rest.drain(..end + 2).collect();
        frame.truncate(end);
        Some(frame)
    }
}

/// What a frame says; a heartbeat says nothing.
fn understand(frame: &[u8]) -> Result<Option<Frame>, Failure> {
    let text = String::from_utf8_lossy(frame);
    let mut kind = "";
    let mut content = String::new();
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("event:") {
            kind = value.trim();
        } else if let Some(value) = line.strip_prefix("data:") {
            content.push_str(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    match kind {
        "event" => match serde_json::from_str::<Line>(&content) {
            Ok(line) => Ok(Some(Frame::Event(Box::new(line)))),
            Err(error) => Err(unintelligible(&format!("an event is not understood: {error}"))),
        },
        "problem" => match serde_json::from_str::<Problem>(&content) {
            Ok(problem) => Err(problem.into()),
            Err(error) => Err(unintelligible(&format!("a problem is not understood: {error}"))),
        },
        _ => Ok(None),
    }
}
