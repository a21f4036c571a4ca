//! The users: an open loop of requests at a fixed rate, each of another user.
//!
//! The time of a request is set before the loop knows how the one before it went, so a server
//! that stalls meets all the requests it would have met. Must never keep a cookie, never repeat a
//! request that may have reached the proxy, and never leave a request without a record.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ledger::{Ledger, Outcome, Record, Version};

/// The header in which the shop says which release answered.
pub(crate) const VERSION_HEADER: &str = "x-shop-version";
/// The header in which a faulty instance says for how many milliseconds it has been so.
pub(crate) const FAULT_HEADER: &str = "x-shop-fault-age-ms";

/// Highest rate, in requests a second: with [`super::ledger::RECORDS_MAX`] it covers a run of
/// eight minutes.
pub(crate) const RATE_MAX: u32 = 2_000;
/// A user goes away when the whole answer is not there this long after the intended time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests under way at once: below the 1,024 open files that a shell usually allows. Those past
/// it wait for a place, and with a patience of ten seconds they are bounded as well.
const IN_FLIGHT_MAX: usize = 900;
/// An idle connection is not used again after this time, so that no request meets the proxy
/// closing it.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// Longest page that a user reads, in bytes; the shop's are far below.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// One user in so many signs in instead of looking around.
const SIGN_IN_EVERY: u64 = 20;

/// Requests that run until [`Load::stop`].
#[derive(Debug)]
pub(crate) struct Load {
    ledger: Arc<Ledger>,
    stop: CancellationToken,
    pace: JoinHandle<()>,
}

impl Load {
    /// Begins to send `rate` requests a second, 1 to [`RATE_MAX`], to the proxy at `address`.
    pub(crate) fn start(address: SocketAddr, rate: u32) -> Self {
        let ledger = Arc::new(Ledger::default());
        let stop = CancellationToken::new();
        let users = Users {
            connections: Connections { address, idle: Mutex::default() },
            places: Semaphore::new(IN_FLIGHT_MAX),
            ledger: Arc::clone(&ledger),
        };
        let rate = rate.clamp(1, RATE_MAX);
        let pace = tokio::spawn(pace(Arc::new(users), rate, stop.clone()));
        Self { ledger, stop, pace }
    }

    /// The records.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Sends no more and waits until every request has its record: at most the users' patience.
    pub(crate) async fn stop(self) -> Arc<Ledger> {
        self.stop.cancel();
        if let Err(error) = self.pace.await {
            tracing::debug!(%error, "the load ended by itself");
        }
        self.ledger
    }
}

/// The wall clock in microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

async fn pace(users: Arc<Users>, rate: u32, stop: CancellationToken) {
    let began = Instant::now();
    let began_us = now_us();
    let rate = u64::from(rate);
    let under_way = TaskTracker::new();
    let mut sent: u64 = 0;
    loop {
        let due = micros(began.elapsed()) * rate / 1_000_000 + 1;
        while sent < due {
            let offset_us = sent * 1_000_000 / rate;
            let users = Arc::clone(&users);
            let intended = began + Duration::from_micros(offset_us);
            under_way.spawn(visit(users, sent, intended, began_us + offset_us));
            sent += 1;
        }
        let next = began + Duration::from_micros(sent * 1_000_000 / rate);
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep_until(next) => {}
        }
    }
    under_way.close();
    under_way.wait().await;
}

#[derive(Debug)]
struct Users {
    connections: Connections,
    places: Semaphore,
    ledger: Arc<Ledger>,
}

/// One user, one request, one record.
async fn visit(users: Arc<Users>, number: u64, intended: Instant, intended_us: u64) {
    let deadline = intended + PATIENCE;
    // A machine that stalls makes users wait for a place too; that is part of their latency.
    let outcome = match timeout_at(deadline, users.places.acquire()).await {
        Ok(Ok(_place)) => users.connections.ask(number, deadline).await,
        Ok(Err(_)) | Err(_) => Outcome::Silence,
    };
    let ended_us = intended_us + micros(intended.elapsed());
    users.ledger.note(Record { intended_us, ended_us, outcome });
}

#[derive(Debug)]
struct Connections {
    address: SocketAddr,
    /// Newest last; held for a push or a pop only.
    idle: Mutex<Vec<(SendRequest<Full<Bytes>>, Instant)>>,
}

impl Connections {
    async fn ask(&self, number: u64, deadline: Instant) -> Outcome {
        match timeout_at(deadline, self.exchange(number)).await {
            Ok(Some((sender, response))) => self.read(sender, response, deadline).await,
            Ok(None) | Err(_) => Outcome::Silence,
        }
    }

    /// The response head, and the connection on which its body follows.
    async fn exchange(
        &self,
        number: u64,
    ) -> Option<(SendRequest<Full<Bytes>>, Response<Incoming>)> {
        let mut request = request(self.address, number)?;
        if let Some(mut sender) = self.take_idle() {
            match sender.try_send_request(request).await {
                Ok(response) => return Some((sender, response)),
                // Only a request of which no byte has left is sent on another connection.
                Err(mut error) => request = error.take_message()?,
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await.ok()?;
        Some((sender, response))
    }

    async fn read(
        &self,
        sender: SendRequest<Full<Bytes>>,
        response: Response<Incoming>,
        deadline: Instant,
    ) -> Outcome {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, PAGE_BYTES_MAX).collect();
        let whole = matches!(timeout_at(deadline, body).await, Ok(Ok(_)));
        if whole {
            self.give_back(sender);
        }
        let status = head.status.as_u16();
        match header(&head.headers, VERSION_HEADER).and_then(Version::parse) {
            Some(version) => {
                let age = header(&head.headers, FAULT_HEADER).and_then(|age| age.parse().ok());
                Outcome::Shop { version, status, whole, fault_age_ms: age }
            }
            None => Outcome::Proxy { status },
        }
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, since) = idle.pop()?;
        if since.elapsed() >= IDLE_MAX {
            // The others are older still.
            idle.clear();
            return None;
        }
        sender.is_ready().then_some(sender)
    }

    fn give_back(&self, sender: SendRequest<Full<Bytes>>) {
        if !sender.is_closed() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((sender, Instant::now()));
        }
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let socket = TcpStream::connect(self.address).await.ok()?;
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a slower connection");
        }
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.ok()?;
        tokio::spawn(async move {
            // Its error has reached the request that was on it.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the load broke");
            }
        });
        Some(sender)
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// What the user of that number asks for. No cookie: the proxy meets everybody for the first time.
fn request(address: SocketAddr, number: u64) -> Option<Request<Full<Bytes>>> {
    let builder = Request::builder().header(HOST, address.to_string());
    if number % SIGN_IN_EVERY == SIGN_IN_EVERY - 1 {
        let form = format!("user=visitor-{number}&password=sesame");
        let builder = builder.method(Method::POST).uri("/login");
        let builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        return builder.body(Full::from(form)).ok();
    }
    let path = match number % 3 {
        0 => "/".to_owned(),
        1 => "/items".to_owned(),
        _ => format!("/items/{}", number % super::shop::ITEMS.len() as u64 + 1),
    };
    builder.uri(path).body(Full::default()).ok()
}

#[cfg(test)]
mod tests;
