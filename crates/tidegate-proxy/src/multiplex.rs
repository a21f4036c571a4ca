//! Connections to endpoints that speak HTTP/2 without TLS by prior knowledge: many requests on
//! one connection, another connection when one is full.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::body::Upload;

/// Requests on one connection before another is opened. Where an endpoint takes fewer at once,
/// the others wait for their turn.
const STREAMS: usize = 100;
/// Silence after which an endpoint is asked whether it lives, while requests wait for it.
const PING_AFTER: Duration = Duration::from_secs(20);
/// How long an endpoint may take to say that it lives.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// What an endpoint may send before we read it, for one request and for all of them.
const STREAM_WINDOW: u32 = 256 * 1_024;
const CONNECTION_WINDOW: u32 = 4 * 1_024 * 1_024;
/// Largest header list of an answer.
const HEADER_LIST: u32 = 64 * 1_024;

/// The open connections of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Vec<Shared>>);

#[derive(Clone, Debug)]
struct Shared {
    sender: SendRequest<Upload>,
    /// Requests on the connection.
    count: Arc<AtomicUsize>,
}

/// One request's share of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) sender: SendRequest<Upload>,
    count: Arc<AtomicUsize>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn stream(&self) -> Stream {
        self.count.fetch_add(1, Ordering::Relaxed);
        Stream { sender: self.sender.clone(), count: Arc::clone(&self.count) }
    }

    fn has_room(&self) -> bool {
        self.sender.is_ready() && self.count.load(Ordering::Relaxed) < STREAMS
    }
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on a connection that is open.
    pub(crate) fn find(&self) -> Option<Stream> {
        self.open().iter().find(|shared| shared.has_room()).map(Shared::stream)
    }

    /// Forgets closed connections, and says how many carry nothing.
    pub(crate) fn sweep(&self) -> u64 {
        let mut open = self.open();
        open.retain(|shared| !shared.sender.is_closed());
        open.iter().filter(|shared| shared.count.load(Ordering::Relaxed) == 0).count() as u64
    }

    /// Begins to speak on a new connection.
    pub(crate) async fn begin(&self, socket: TcpStream) -> hyper::Result<Stream> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PONG_WITHIN)
            .handshake(TokioIo::new(socket))
            .await?;
        tokio::spawn(async move {
            // An error here has reached the requests on the connection, which count it.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to an endpoint ended");
            }
        });
        let shared = Shared { sender, count: Arc::default() };
        let stream = shared.stream();
        let mut open = self.open();
        open.retain(|shared| !shared.sender.is_closed());
        open.push(shared);
        Ok(stream)
    }
}

/// Brings a head into the form of HTTP/2: the authority in the target, and nothing that belongs
/// to one connection of HTTP/1.1. Does nothing to one that has it.
pub(crate) fn shape(request: &mut Request<Upload>) {
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    if headers.remove(CONNECTION).is_some() && headers.contains_key(TE) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(host) = headers.remove(HOST)
        && let Ok(authority) = Authority::try_from(host.as_bytes())
    {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(authority));
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    *request.version_mut() = Version::HTTP_2;
}

/// Whether an endpoint said that it did not look at the request (REFUSED_STREAM), RFC 9113
/// section 8.7: the same request may be sent again, whatever it is.
pub(crate) fn is_untouched(error: &hyper::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        source = error.source();
    }
    false
}
