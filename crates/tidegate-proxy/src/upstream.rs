//! Connections to endpoints: which endpoint, a small pool each, and one careful exchange.
//!
//! A request is sent a second time only where the first attempt cannot have had an effect: no
//! byte of it left, or it is idempotent, has no body, and went out on a reused connection that
//! its endpoint was just closing. An exchange never leaves its revision: that would change the
//! split.

mod line;

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::alarm::{Alarm, Kind};
use crate::body::Upload;
use crate::health::Health;
use crate::multiplex::{self, Stream, Streams};
use crate::stats::{Failure, InstanceStats};
use crate::wire::Protocol;
use crate::workers::shard;
use line::Line;

/// An idle connection is not reused after this time. Node.js closes idle ones after five
/// seconds, and a request must not meet that close on its way.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// The same for requests that could not be repeated if they met it.
const IDLE_MAX_UNREPEATABLE: Duration = Duration::from_secs(1);
/// Idle connections a worker keeps for one endpoint; more are closed.
const IDLE_CONNECTIONS: usize = 256;
/// Silence after which the kernel asks a peer whether it lives; its own default is two hours.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);
/// Attempts at one request, connection failures included.
const ATTEMPTS: usize = 3;

/// One instance of a revision.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    protocol: Protocol,
    pub(crate) health: Health,
    pub(crate) stats: Arc<InstanceStats>,
    /// Those of each worker, which alone takes and gives back: newest last. Held for moments,
    /// never across an await; a sweep is the only other visitor.
    idle: Box<[Mutex<Vec<Idle>>]>,
    /// Those of an endpoint that takes many requests on one.
    streams: Streams,
}

#[derive(Debug)]
struct Idle {
    line: Line,
    since: Instant,
}

impl Endpoint {
    pub(crate) fn new(
        address: SocketAddr,
        protocol: Protocol,
        limits_ms: &[f64],
        workers: usize,
    ) -> Self {
        Self {
            address,
            protocol,
            health: Health::new(),
            stats: Arc::new(InstanceStats::new(limits_ms, workers)),
            idle: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            streams: Streams::default(),
        }
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Closes idle connections that are too old or gone, and says how many stay.
    pub(crate) fn sweep(&self) -> u64 {
        let of_worker = |pool: &Mutex<Vec<Idle>>| {
            let mut idle = pool.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain_mut(|idle| idle.since.elapsed() < IDLE_MAX && idle.line.is_ready());
            idle.len() as u64
        };
        self.idle.iter().map(of_worker).sum::<u64>() + self.streams.sweep()
    }

    /// This worker's idle connections.
    fn pool(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle[shard() % self.idle.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest idle connection that can take a request.
    fn idle_link(self: &Arc<Self>, idle_max: Duration) -> Option<Link> {
        if self.protocol == Protocol::H2c {
            let sender = Sender::H2c(self.streams.find()?);
            return Some(Link { sender, seat: Seat::take(self), reused: true });
        }
        let mut idle = self.pool();
        while let Some(Idle { mut line, since }) = idle.pop() {
            // Those below it are older still: the next sweep closes them.
            if since.elapsed() >= idle_max {
                idle.push(Idle { line, since });
                return None;
            }
            if line.is_ready() {
                let sender = Sender::Http1(line);
                return Some(Link { sender, seat: Seat::take(self), reused: true });
            }
        }
        None
    }

    async fn new_link(self: &Arc<Self>, within: Duration) -> Option<Link> {
        let seat = Seat::take(self);
        let connected = timeout(within, TcpStream::connect(self.address)).await;
        let socket = connected.ok()?.ok()?;
        // Without these a connection is slower or lives on after its peer's death, but works.
        if let Err(error) = socket.set_nodelay(true).and_then(|()| keep_alive(&socket)) {
            tracing::debug!(endpoint = %self.address, %error, "socket options");
        }
        if self.protocol == Protocol::H2c {
            let stream = timeout(within, self.streams.begin(socket)).await.ok()?.ok()?;
            return Some(Link { sender: Sender::H2c(stream), seat, reused: false });
        }
        let line = Line::begin(socket).await.ok()?;
        Some(Link { sender: Sender::Http1(line), seat, reused: false })
    }
}

/// Lets the kernel find out about a peer that died without a word; tunnels have no other clock.
pub(crate) fn keep_alive(socket: &TcpStream) -> std::io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    Ok(sockopt::set_tcp_keepidle(socket, KEEP_ALIVE_AFTER)?)
}

/// A request's place on an endpoint.
#[derive(Debug)]
struct Seat(Arc<Endpoint>);

impl Seat {
    fn take(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.health.enter();
        Self(Arc::clone(endpoint))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.health.leave();
    }
}

#[derive(Debug)]
enum Sender {
    Http1(Line),
    H2c(Stream),
}

/// A connection to an endpoint, lent to one exchange, or a share of one.
#[derive(Debug)]
pub(crate) struct Link {
    sender: Sender,
    seat: Seat,
    reused: bool,
}

impl Link {
    /// The counters of the instance at its other end.
    pub(crate) fn instance(&self) -> Arc<InstanceStats> {
        Arc::clone(&self.seat.0.stats)
    }

    /// Puts the connection back for the next request. Request and response must be complete.
    pub(crate) fn give_back(self) {
        let line = match self.sender {
            Sender::Http1(line) if line.can_idle() => line,
            Sender::Http1(_) | Sender::H2c(_) => return,
        };
        let mut idle = self.seat.0.pool();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { line, since: Instant::now() });
        }
    }

    /// The next part of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match &mut self.sender {
            Sender::Http1(line) => line.poll_frame(body, context),
            Sender::H2c(_) => Pin::new(body).poll_frame(context),
        }
    }

    /// Lets an upload go on by itself while the answer is read.
    pub(crate) fn part(&mut self) {
        if let Sender::Http1(line) = &mut self.sender {
            line.part();
        }
    }

    /// Waits until the socket was handed to a tunnel.
    pub(crate) async fn hand_over(&mut self) {
        if let Sender::Http1(line) = &mut self.sender {
            line.hand_over().await;
        }
    }

    /// Waits for the response head, `within` after `since`. The clock begins anew while the client
    /// is still sending: an upload has its own patience.
    async fn send(
        &mut self,
        request: Request<Upload>,
        since: Instant,
        within: Duration,
    ) -> Result<Response<Incoming>, Lost> {
        let upload = request.body().progress();
        let mut answer = pin!(self.sender.try_send(request));
        let mut deadline = since + within;
        loop {
            let alarm = Alarm::at(deadline, Kind::Answer);
            tokio::select! {
                biased;
                answered = &mut answer => return match answered {
                    Ok(response) => Ok(response),
                    Err(mut error) => {
                        let unsent = error.take_message().map(Box::new);
                        let untouched = multiplex::is_untouched(error.error());
                        Err(Lost::Broken { unsent, untouched })
                    }
                },
                () = alarm => {}
            }
            if upload.as_ref().is_none_or(|progress| progress.is_complete()) {
                return Err(Lost::Late);
            }
            deadline = Instant::now() + within;
        }
    }
}

enum Lost {
    /// No response head in time.
    Late,
    /// The connection broke before the response head; `unsent` when no byte had left,
    /// `untouched` when the endpoint said that it did not look at the request.
    Broken { unsent: Option<Box<Request<Upload>>>, untouched: bool },
}

impl Sender {
    async fn try_send(
        &mut self,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        match self {
            Self::Http1(line) => {
                if request.body().size_hint().exact().is_none() {
                    // hyper sends no body of unknown length with a GET unless told to.
                    let chunked = HeaderValue::from_static("chunked");
                    request.headers_mut().insert(TRANSFER_ENCODING, chunked);
                }
                line.send(request).await
            }
            Self::H2c(stream) => {
                multiplex::shape(&mut request);
                stream.sender.try_send_request(request).await
            }
        }
    }
}

/// The instances of one revision.
#[derive(Debug)]
pub(crate) struct Endpoints {
    list: Vec<Arc<Endpoint>>,
    /// Where the search begins, so that ties are spread.
    turn: AtomicUsize,
}

impl Endpoints {
    pub(crate) const fn new(list: Vec<Arc<Endpoint>>) -> Self {
        Self { list, turn: AtomicUsize::new(0) }
    }

    /// The endpoint that is cheapest to ask, rested ones first. One that failed this request
    /// already comes last, but it comes: with a single instance a second try is the only other
    /// one there is.
    fn pick(&self, failed: &[SocketAddr]) -> Option<&Arc<Endpoint>> {
        if let [only] = self.list.as_slice() {
            return Some(only);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.list.len().max(1);
        let (late, early) = self.list.split_at(turn);
        early.iter().chain(late).min_by_key(|endpoint| {
            let has_failed = failed.contains(&endpoint.address);
            (has_failed, endpoint.health.is_resting(), endpoint.health.cost())
        })
    }
}

/// How long an exchange may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub(crate) connect: Duration,
    pub(crate) head: Duration,
}

/// A response, and the connection it comes from.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) link: Link,
}

/// Nobody answered.
pub(crate) struct Unanswered {
    pub(crate) failure: Failure,
    /// The instance that was asked last, if one took a connection.
    pub(crate) asked: Option<Arc<InstanceStats>>,
}

/// Sends a request to one endpoint of a revision.
pub(crate) async fn exchange(
    endpoints: &Endpoints,
    mut request: Request<Upload>,
    waits: Waits,
) -> Result<Answer, Unanswered> {
    let bodiless = matches!(request.body(), Upload::Empty);
    let repeatable = bodiless && is_idempotent(request.method());
    let mut failed = Vec::new();
    let mut may_reuse = true;
    let mut outcome = Unanswered { failure: Failure::Connect, asked: None };
    for _ in 0..ATTEMPTS {
        let Some(endpoint) = endpoints.pick(&failed) else {
            return Err(outcome);
        };
        let idle_max = if repeatable { IDLE_MAX } else { IDLE_MAX_UNREPEATABLE };
        let idle = if may_reuse { endpoint.idle_link(idle_max) } else { None };
        let mut link = match idle {
            Some(link) => link,
            None => match endpoint.new_link(waits.connect).await {
                Some(link) => link,
                None => {
                    endpoint.health.refused();
                    failed.push(endpoint.address);
                    continue;
                }
            },
        };
        let is_h2c = endpoint.protocol == Protocol::H2c;
        let spare =
            ((link.reused && repeatable) || (is_h2c && bodiless)).then(|| copy_head(&request));
        let sent = Instant::now();
        match link.send(request, sent, waits.head).await {
            Ok(response) => {
                if response.status().is_server_error() {
                    endpoint.health.failed();
                } else {
                    endpoint.health.answered(sent.elapsed());
                }
                return Ok(Answer { response, link });
            }
            Err(Lost::Late) => {
                endpoint.health.failed();
                outcome = Unanswered { failure: Failure::Timeout, asked: Some(link.instance()) };
                return Err(outcome);
            }
            Err(Lost::Broken { unsent, untouched }) => {
                outcome = Unanswered { failure: Failure::Reset, asked: Some(link.instance()) };
                // On a new connection an unsent request means that the endpoint hangs up.
                if !link.reused {
                    endpoint.health.failed();
                }
                if unsent.is_some() && !link.reused {
                    endpoint.health.refused();
                    failed.push(endpoint.address);
                }
                let spare = spare.filter(|_| untouched || (link.reused && repeatable));
                let Some(again) = unsent.map(|unsent| *unsent).or(spare) else {
                    return Err(outcome);
                };
                request = again;
                may_reuse = false;
            }
        }
    }
    Err(outcome)
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// The request without a body.
pub(crate) fn copy_head(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::Empty);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}
