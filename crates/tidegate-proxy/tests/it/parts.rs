//! What the tests are built from: an application, a client, a proxy and a table.
//! Every wait in here is for a thing, with a deadline.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tidegate_proxy::wire::{
    self, Ack, Backend, Refusal, Rehearsed, RollbackRequest, Share, StatusReport, Table,
    TableParts, Ticks, Weight,
};
use tidegate_proxy::{Config, Timeouts, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A tick short enough for tests.
pub(crate) const TICK: Duration = Duration::from_millis(50);
pub(crate) const SERVICE: &str = "shop/web";

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// Looks again and again until `look` finds something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let ends = Instant::now() + PATIENCE;
    let mut looks = interval(Duration::from_millis(5));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < ends {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
    }
    panic!("waited in vain: {what}");
}

/// A port that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// An application of one revision. It answers by path:
/// `/headers` what it was sent, `/status/N`, `/never`, `/upload` the number of bytes received,
/// `/upgrade` an echoing tunnel, `/grpc/N`, anything else its own name.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl App {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let counter = Arc::clone(&counter);
                let service = service_fn(move |request| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    answer(name, request)
                });
                tokio::spawn(async move {
                    let io = TokioIo::new(socket);
                    http1::Builder::new().serve_connection(io, service).with_upgrades().await
                });
            }
        });
        Self { address, requests, task }
    }

    pub(crate) fn count(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    name: &'static str,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let builder = Response::builder().header("x-revision", name);
    let response = if path == "/headers" {
        let head = format!("{} {}\n", request.method(), request.uri());
        let lines = request.headers().iter();
        let text = lines.fold(head, |text, (name, value)| {
            format!("{text}{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
        });
        let builder = builder.header("connection", "x-internal").header("x-internal", "1");
        builder.header("keep-alive", "timeout=9").body(full(text))
    } else if let Some(status) = path.strip_prefix("/status/") {
        builder.status(status.parse::<u16>().unwrap()).body(full("as asked"))
    } else if path == "/never" {
        std::future::pending::<()>().await;
        builder.body(empty())
    } else if path == "/upload" {
        let mut body = request.into_body();
        let mut count = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { break };
            count += frame.data_ref().map_or(0, Bytes::len);
        }
        builder.body(full(count.to_string()))
    } else if path == "/upgrade" {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrade.await.unwrap());
            let mut buffer = [0; 1_024];
            while let Ok(length @ 1..) = io.read(&mut buffer).await {
                io.write_all(&buffer[..length]).await.unwrap();
            }
        });
        let builder = builder.status(101).header("connection", "upgrade");
        builder.header("upgrade", "websocket").body(empty())
    } else if let Some(status) = path.strip_prefix("/grpc/") {
        let builder = builder.header("content-type", "application/grpc");
        builder.header("grpc-status", status).body(empty())
    } else {
        builder.body(full(name))
    };
    Ok(response.unwrap())
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// `name=value` of the cookie that was set.
    pub(crate) fn cookie(&self) -> Option<String> {
        let set = self.headers.get("set-cookie")?.to_str().unwrap();
        Some(set.split(';').next().unwrap().to_owned())
    }
}

/// One keep-alive connection.
#[derive(Debug)]
pub(crate) struct Client {
    sender: SendRequest<Body>,
}

impl From<SendRequest<Body>> for Client {
    fn from(sender: SendRequest<Body>) -> Self {
        Self { sender }
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self { sender }
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        timeout(PATIENCE, self.sender.send_request(request)).await.expect("no answer at all")
    }

    pub(crate) async fn try_get(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> hyper::Result<Reply> {
        let (head, body) = self.send(get(path, headers)).await?.into_parts();
        let bytes = timeout(PATIENCE, body.collect()).await.expect("no end")?.to_bytes();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.try_get(path, headers).await.unwrap()
    }
}

pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(path).header("host", "shop.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(empty()).unwrap()
}

/// One request on a connection of its own.
pub(crate) async fn fetch(address: SocketAddr, path: &str) -> Reply {
    Client::connect(address).await.get(path, &[]).await
}

/// Sends raw bytes and reads until the proxy closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    // A reset after the answer is as good as an end: unread bytes make the kernel send one.
    let _ended = read.expect("the connection stayed open");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Calls the control socket of a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Control(pub(crate) PathBuf);

impl Control {
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<T, Refusal> {
        let socket = UnixStream::connect(&self.0).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "proxy");
        let response = sender.send_request(request.body(full(body)).unwrap()).await.unwrap();
        let is_ok = response.status() == StatusCode::OK;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        if is_ok {
            Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {text}")))
        } else {
            Err(serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {text}")))
        }
    }

    pub(crate) async fn put(&self, table: &Table) -> Result<Ack, Refusal> {
        let body = serde_json::to_string(table).unwrap();
        self.call(Method::PUT, wire::PATH_TABLE, body).await
    }

    pub(crate) async fn rehearse(&self, table: &Table) -> Result<Rehearsed, Refusal> {
        let body = serde_json::to_string(table).unwrap();
        self.call(Method::POST, wire::PATH_REHEARSAL, body).await
    }

    /// `None` while nobody answers.
    pub(crate) async fn report(&self) -> Option<StatusReport> {
        let socket = UnixStream::connect(&self.0).await.ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.ok()?;
        tokio::spawn(connection);
        let response = sender.send_request(get(wire::PATH_STATUS, &[])).await.ok()?;
        let bytes = response.into_body().collect().await.ok()?.to_bytes();
        serde_json::from_slice(&bytes).ok()
    }

    /// The metrics, as a reader of them gets them on the socket.
    pub(crate) async fn metrics(&self) -> (HeaderMap, String) {
        let socket = UnixStream::connect(&self.0).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(get(wire::PATH_METRICS, &[])).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn status(&self) -> wire::Status {
        let report: StatusReport =
            self.call(Method::GET, wire::PATH_STATUS, String::new()).await.unwrap();
        report.services.into_iter().find(|status| status.service == SERVICE).unwrap()
    }

    pub(crate) async fn revision(&self, revision: &str) -> wire::RevisionStatus {
        let status = self.status().await;
        status.revisions.into_iter().find(|status| status.revision == revision).unwrap()
    }

    pub(crate) async fn ticks(&self, after: u64) -> Ticks {
        let service = wire::encode_service(SERVICE);
        let path = format!("{}?service={service}&after={after}", wire::PATH_TICKS);
        self.call(Method::GET, &path, String::new()).await.unwrap()
    }

    pub(crate) async fn rollback(&self) -> Result<Ack, Refusal> {
        let order = RollbackRequest {
            service: SERVICE.into(),
            actor: "ada".into(),
            reason: "errors everywhere".into(),
        };
        let body = serde_json::to_string(&order).unwrap();
        self.call(Method::POST, wire::PATH_ROLLBACK, body).await
    }

    /// Sums of all kept ticks of one revision.
    pub(crate) async fn sums(&self, revision: &str) -> wire::RevisionTick {
        let mut sums = wire::RevisionTick::default();
        for tick in self.ticks(0).await.ticks {
            for part in tick.revisions.into_iter().filter(|part| part.revision == revision) {
                assert!(part.failures.total() <= part.requests);
                sums.started += part.started;
                sums.requests += part.requests;
                sums.abandoned += part.abandoned;
                sums.failures.status_5xx += part.failures.status_5xx;
                sums.failures.grpc += part.failures.grpc;
                sums.failures.connect += part.failures.connect;
                sums.failures.timeout += part.failures.timeout;
                sums.failures.reset += part.failures.reset;
                sums.latency.extend(part.latency);
            }
        }
        sums
    }
}

/// A proxy in this process, with its state in a directory of its own.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) control: Control,
    pub(crate) listen: SocketAddr,
    state: Option<tempfile::TempDir>,
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// Soon tired of waiting for an answer; for tests that want to see it give up. Everything else
/// runs with the product's own patience, which a busy machine does not exhaust.
pub(crate) fn impatient() -> Timeouts {
    Timeouts { response_head: Duration::from_millis(600), ..Timeouts::default() }
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::start_with(Timeouts::default()).await
    }

    pub(crate) async fn start_with(timeouts: Timeouts) -> Self {
        Self::start_with_in(timeouts, tempfile::tempdir().unwrap()).await
    }

    /// A proxy that finds what another one left.
    pub(crate) async fn start_in(state: tempfile::TempDir) -> Self {
        Self::start_with_in(Timeouts::default(), state).await
    }

    async fn start_with_in(timeouts: Timeouts, state: tempfile::TempDir) -> Self {
        let control = Control(state.path().join("control.sock"));
        let mut config = Config::new(state.path().into(), control.0.clone());
        config.tick = TICK;
        config.timeouts = timeouts;
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = Some(tokio::spawn(async move { serve(config, stop, |_| {}).await.unwrap() }));
        wait_for_socket(&control.0).await;
        Self { control, listen: free_address(), state: Some(state), shutdown, task }
    }

    /// A proxy that serves `table`.
    pub(crate) async fn serving(table: impl FnOnce(SocketAddr) -> Table) -> Self {
        Self::serving_with(Timeouts::default(), table).await
    }

    pub(crate) async fn serving_with(
        timeouts: Timeouts,
        table: impl FnOnce(SocketAddr) -> Table,
    ) -> Self {
        let proxy = Self::start_with(timeouts).await;
        proxy.control.put(&table(proxy.listen)).await.unwrap();
        proxy
    }

    /// Where it keeps its state.
    pub(crate) fn directory(&self) -> &Path {
        self.state.as_ref().unwrap().path()
    }

    pub(crate) async fn stop(self) {
        self.stop_and_keep().await;
    }

    /// Stops it and leaves its state for another.
    pub(crate) async fn stop_and_keep(mut self) -> (SocketAddr, tempfile::TempDir) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task.take().unwrap()).await.unwrap().unwrap();
        (self.listen, self.state.take().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) async fn wait_for_socket(path: &Path) {
    eventually("a control socket", || async { UnixStream::connect(path).await.ok() }).await;
}

pub(crate) fn weight(basis_points: u16) -> Weight {
    Weight::new(basis_points).unwrap()
}

/// Parts of a table for [`SERVICE`], revisions as (name, basis points, endpoint).
pub(crate) fn parts(
    listen: SocketAddr,
    generation: u64,
    backends: &[(&str, u16, SocketAddr)],
) -> TableParts {
    let backend = |(revision, basis_points, endpoint): &(&str, u16, SocketAddr)| Backend {
        slot: format!("slot-{revision}"),
        ..Backend::plain(revision, weight(*basis_points), *endpoint)
    };
    let backends = backends.iter().map(backend).collect();
    let limits_ms = vec![200.0, 500.0];
    TableParts { generation, limits_ms, ..TableParts::plain(SERVICE, listen, backends) }
}

pub(crate) fn seal(parts: TableParts) -> Table {
    Table::seal(parts).unwrap()
}

pub(crate) fn all_to(revision: &str) -> Option<Vec<Share>> {
    Some(vec![Share { revision: revision.into(), weight: Weight::FULL }])
}

/// A shift from `live` to `candidate` with the candidate at some basis points.
pub(crate) fn shift(
    listen: SocketAddr,
    generation: u64,
    live: SocketAddr,
    candidate: SocketAddr,
    basis_points: u16,
) -> TableParts {
    let backends = [("live", 10_000 - basis_points, live), ("candidate", basis_points, candidate)];
    let mut parts = parts(listen, generation, &backends);
    parts.fallback = all_to("live");
    parts
}

/// How many times each revision answered.
pub(crate) fn tally<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}
