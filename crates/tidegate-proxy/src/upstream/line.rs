//! One HTTP/1.1 connection to an endpoint, moved by whoever uses it: the request's own task polls
//! it, so that nobody has to be woken between a request and its answer.
//!
//! Nobody must wait for an answer or for its body without moving the connection as well.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, coop};

use crate::body::Upload;
use crate::watched::{Watch, Watched};

/// Bytes that are read in a row before others of the same worker have their turn: an endpoint
/// that sends interim answers without end must not keep a core.
const BURST_BYTES: usize = 64 * 1_024;

/// What `hyper` does with the socket: writes requests, reads answers, hands a tunnel over.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection and the work on it.
pub(super) struct Line {
    sender: SendRequest<Upload>,
    work: Option<Work>,
    /// Set once the work is a task of its own.
    task: Option<AbortHandle>,
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Line").field("sender", &self.sender).finish_non_exhaustive()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Line {
    /// Begins to speak on a new connection.
    pub(super) async fn begin(socket: TcpStream) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            // A request head goes out in one plain write; an upload is copied, which costs less
            // than a list of pieces for each of the many small requests.
            .writev(false)
            .handshake(TokioIo::new(Watched::new(socket, Steady { burst: 0 })))
            .await?;
        let work = async move {
            // An error here has reached the request on the connection, which counts it.
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to an endpoint ended");
            }
        };
        Ok(Self { sender, work: Some(Box::pin(work)), task: None })
    }

    /// Does what can be done at once; `context` is woken when there is more.
    pub(super) fn poll_work(&mut self, context: &mut Context<'_>) {
        if let Some(work) = &mut self.work
            && work.as_mut().poll(context).is_ready()
        {
            self.work = None;
        }
    }

    /// Whether an idle connection takes a request. One whose endpoint has hung up does not.
    pub(super) fn is_ready(&mut self) -> bool {
        // Whoever waited for the last answer is not woken by this connection any more.
        self.poll_work(&mut Context::from_waker(Waker::noop()));
        self.work.is_some() && self.sender.is_ready()
    }

    /// Whether the connection may wait for another request. A cheaper look than
    /// [`Line::is_ready`], which is asked before the next one.
    pub(super) fn can_idle(&self) -> bool {
        self.work.is_some() && !self.sender.is_closed()
    }

    /// Sends a request and waits for the head of its answer. Not sent at all when it is not
    /// polled.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        let answer = self.sender.try_send_request(request);
        // The answer comes by our own work alone: that wakes us, and nothing else has to.
        let mut answer = pin!(coop::unconstrained(answer));
        poll_fn(|context| {
            self.poll_work(context);
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// The next part of an answer's body.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if self.task.is_some() {
            return Pin::new(body).poll_frame(context);
        }
        // Asking for a part makes the work want to read it.
        let quiet = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(quiet) {
            return Poll::Ready(frame);
        }
        self.poll_work(context);
        Pin::new(body).poll_frame(quiet)
    }

    /// Makes the work a task of its own, for as long as the line lives: the request is still on
    /// its way while its answer is read, and neither may wait for the other.
    pub(super) fn part(&mut self) {
        if let Some(work) = self.work.take() {
            self.task = Some(tokio::spawn(work).abort_handle());
        }
    }

    /// Works until the socket was handed to a tunnel.
    pub(super) async fn hand_over(&mut self) {
        if let Some(work) = self.work.take() {
            work.await;
        }
    }
}

/// Yields every now and then.
struct Steady {
    /// Bytes read since the socket had none.
    burst: usize,
}

impl Watch<TcpStream> for Steady {
    fn poll_read(
        &mut self,
        socket: &mut TcpStream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.burst > BURST_BYTES {
            self.burst = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(socket).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        self.burst = if read.is_pending() { 0 } else { self.burst + count };
        read
    }
}
