//! Bodies on their way through, in both directions, frame by frame. Nothing is gathered: a frame
//! is read only when the other side can take it, and a side that stands still for too long ends
//! the exchange.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::forward::Client;
use crate::headers;
use crate::stats::{Failure, Flight};
use crate::upstream::Link;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    #[error("no byte came in time")]
    Stalled,
}

/// Bounds the silence between two frames. Costs a timer only once a body makes us wait.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    const fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Ends the wait with `frame`, or goes on waiting.
    fn poll(
        &mut self,
        frame: Poll<Option<hyper::Result<Frame<Bytes>>>>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match frame {
            Poll::Ready(frame) => {
                self.timer = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Error::Broken)))
            }
            Poll::Pending => {
                let limit = self.limit;
                let timer =
                    self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
                timer.as_mut().poll(context).map(|()| Some(Err(Error::Stalled)))
            }
        }
    }
}

/// What the rest of an exchange must know about its request body.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    complete: AtomicBool,
    broken: AtomicBool,
}

impl Progress {
    /// Every byte was passed on.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// The client failed to send it: what comes of the request is not the revision's fault.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

/// A request body towards an endpoint.
#[derive(Debug)]
pub(crate) enum Upload {
    Empty,
    Streaming(Box<Streaming>),
}

#[derive(Debug)]
pub(crate) struct Streaming {
    body: Incoming,
    patience: Patience,
    progress: Arc<Progress>,
}

impl Upload {
    pub(crate) fn new(body: Incoming, patience: Duration) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let patience = Patience::new(patience);
        Self::Streaming(Box::new(Streaming { body, patience, progress: Arc::default() }))
    }

    /// Absent when there is no body to wait for.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streaming(streaming) => Some(Arc::clone(&streaming.progress)),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self::Streaming(streaming) = self.get_mut() else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(&mut streaming.body).poll_frame(context);
        let mut frame = streaming.patience.poll(frame, context);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            headers::trailers_to_upstream(trailers);
        }
        match &frame {
            Poll::Ready(None) => streaming.progress.complete.store(true, Ordering::Release),
            Poll::Ready(Some(Err(_))) => streaming.progress.broken.store(true, Ordering::Release),
            Poll::Ready(Some(Ok(_))) if streaming.body.is_end_stream() => {
                streaming.progress.complete.store(true, Ordering::Release);
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.body.size_hint(),
        }
    }
}

/// A response body towards the client.
#[derive(Debug)]
pub(crate) enum Download {
    /// Words of our own.
    Text(Option<Bytes>),
    /// An endpoint's.
    Relay(Box<Relay>),
}

/// An endpoint's response body, and what must happen when it ends.
#[derive(Debug)]
pub(crate) struct Relay {
    body: Incoming,
    patience: Patience,
    flight: Flight,
    /// Goes back to the pool when request and response were complete, else is dropped.
    link: Option<Link>,
    upload: Option<Arc<Progress>>,
    is_grpc: bool,
    /// What is told once the frames before it were sent on.
    broken: Option<Error>,
    /// An HTTP/2 connection, which must know that it is busy and whether anything moves.
    client: Option<Arc<Client>>,
}

impl Relay {
    pub(crate) fn new(
        body: Incoming,
        patience: Duration,
        flight: Flight,
        link: Link,
        upload: Option<Arc<Progress>>,
        is_grpc: bool,
    ) -> Self {
        let patience = Patience::new(patience);
        let link = Some(link);
        let (broken, client) = (None, None);
        let mut relay = Self { body, patience, flight, link, upload, is_grpc, broken, client };
        if relay.body.is_end_stream() {
            relay.end();
        }
        relay
    }

    pub(crate) fn watched(mut self, client: Option<Arc<Client>>) -> Self {
        self.client = client;
        self
    }

    fn end(&mut self) {
        self.flight.succeed();
        let uploaded = self.upload.as_ref().is_none_or(|progress| progress.is_complete());
        if let Some(link) = self.link.take()
            && uploaded
        {
            link.give_back();
        }
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match &mut self.link {
            Some(link) => link.poll_frame(&mut self.body, context),
            None => Pin::new(&mut self.body).poll_frame(context),
        };
        let frame = self.patience.poll(frame, context);
        match &frame {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(_))) => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(client) = &self.client {
                    client.moves();
                }
                if let Some(trailers) = frame.trailers_ref()
                    && self.is_grpc
                    && is_grpc_failure(trailers)
                {
                    self.flight.fail(Failure::Grpc);
                }
                if self.body.is_end_stream() {
                    self.end();
                }
            }
        }
        match frame {
            Poll::Ready(Some(Err(error))) => self.breaks(error, context),
            frame => frame,
        }
    }

    /// An error makes hyper drop what it has not written yet, so it waits for one turn.
    fn breaks(
        &mut self,
        error: Error,
        context: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let is_client = self.upload.as_ref().is_some_and(|upload| upload.is_broken());
        if !is_client {
            self.flight.fail(Failure::Reset);
        }
        self.broken = Some(error);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Relay(relay) => relay.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Relay(relay) => relay.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Relay(relay) => relay.body.size_hint(),
        }
    }
}

/// gRPC statuses that are the server's fault: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED,
/// UNIMPLEMENTED (a release that lost a method), INTERNAL, UNAVAILABLE and DATA_LOSS. A status
/// that is no number counts too; an absent one does not, because trailers may be cut off by a
/// client that did not ask for them.
pub(crate) fn is_grpc_failure(headers: &http::HeaderMap) -> bool {
    let Some(status) = headers.get("grpc-status") else {
        return false;
    };
    let number = status.to_str().ok().and_then(|status| status.trim().parse::<u16>().ok());
    number.is_none_or(|number| matches!(number, 2 | 4 | 8 | 12 | 13 | 14 | 15))
}
