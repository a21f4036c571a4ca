//! The control socket: HTTP/1.1 with JSON on a unix socket that only its owner may open. File
//! permissions are the authority; there is nothing else to check. A slow or broken caller costs
//! a bounded amount of time and memory, and never a request of the data plane.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::keep::Keeper;
use crate::metrics;
use crate::refusal::Refused;
use crate::wire::{
    DrainRequest, Drained, LeaseRenewal, PATH_DRAIN, PATH_LEASE, PATH_METRICS, PATH_REHEARSAL,
    PATH_ROLLBACK, PATH_STATUS, PATH_TABLE, PATH_TICKS, Refusal, RollbackRequest, UncheckedTable,
    limits,
};

/// Callers at the same time; a control plane needs one or two.
const CALLERS: usize = 64;
/// How long a caller may take to send a request.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// How often a drain looks.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// How long cut tunnels may take to be gone.
const CUT_WAIT: Duration = Duration::from_secs(1);

/// Binds the socket so that nobody but its owner can ever open it: it gets its permissions
/// under another name and takes its place by a rename. A socket left by a dead proxy is
/// replaced; the lock on the state directory says that it is dead.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
    // failpoint: proxy.socket.rename.before
    fs::rename(&fresh, path)?;
    // failpoint: proxy.socket.rename.after
    Ok(listener)
}

/// Answers callers until `stop`; from `deaf` on, only those it has.
pub(crate) async fn serve(
    listener: UnixListener,
    keeper: Arc<Keeper>,
    deaf: CancellationToken,
    stop: CancellationToken,
) {
    let callers = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(permit) = Arc::clone(&callers).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = deaf.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let (keeper, stop) = (Arc::clone(&keeper), stop.clone());
                tokio::spawn(async move {
                    converse(socket, keeper, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket cannot accept, pausing");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse(socket: UnixStream, keeper: Arc<Keeper>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let keeper = Arc::clone(&keeper);
        async move { Ok::<_, Infallible>(respond(&keeper, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WAIT)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "control connection ended");
    }
}

async fn respond(keeper: &Keeper, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match answer(keeper, request).await {
        Ok(response) => response,
        Err(refusal) => json(StatusCode::CONFLICT, &refusal),
    }
}

async fn answer(
    keeper: &Keeper,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let ok = StatusCode::OK;
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::PUT, PATH_TABLE) => {
            let table: UncheckedTable = body(request).await?;
            // failpoint: proxy.table.before
            let ack = keeper.put(table).await?;
            // failpoint: proxy.table.after
            Ok(json(ok, &ack))
        }
        (&Method::POST, PATH_REHEARSAL) => {
            let table: UncheckedTable = body(request).await?;
            Ok(json(ok, &keeper.rehearse(table).await?))
        }
        (&Method::GET, PATH_METRICS) => Ok(metrics(keeper)),
        (&Method::GET, PATH_STATUS) => Ok(json(ok, &keeper.store().status())),
        (&Method::POST, PATH_LEASE) => {
            let renewals: Vec<LeaseRenewal> = body(request).await?;
            Ok(json(ok, &keeper.store().renew(renewals)))
        }
        (&Method::GET, PATH_TICKS) => {
            let query = query(&request)?;
            let service = query.get("service").ok_or_else(|| refuse("`service` is missing"))?;
            let after = number(&query, "after")?;
            Ok(json(ok, &keeper.store().ticks(service, after)?))
        }
        (&Method::POST, PATH_ROLLBACK) => {
            let order: RollbackRequest = body(request).await?;
            for said in [&order.actor, &order.reason] {
                if said.trim().is_empty() || said.len() > limits::TEXT_BYTES {
                    return Err(refuse("actor and reason must be said, in 1 to 1024 bytes each"));
                }
            }
            Ok(json(ok, &keeper.rollback(order).await?))
        }
        (&Method::POST, PATH_DRAIN) => Ok(json(ok, &drain(keeper, body(request).await?).await?)),
        (&Method::DELETE, path) => {
            let encoded = path.strip_prefix(PATH_TABLE).and_then(|rest| rest.strip_prefix('/'));
            let service = encoded.and_then(decode).ok_or_else(|| refuse("no such path"))?;
            let query = query(&request)?;
            let fence = (number(&query, "epoch")?, number(&query, "generation")?);
            Ok(json(ok, &keeper.delete(&service, fence).await?))
        }
        (method, path) => Err(refuse(&format!("no such request: {method} {path}"))),
    }
}

/// Waits until a revision without weight is empty, and cuts its tunnels when the grace is over.
async fn drain(keeper: &Keeper, request: DrainRequest) -> Result<Drained, Refusal> {
    let DrainRequest { service, revision, grace_ms } = request;
    if grace_ms > limits::DRAIN_MS {
        return Err(refuse("a grace is at most 10 minutes"));
    }
    // Another split may be in force after a wait; what has weight again is not cut.
    let load = || keeper.store().drainable(&service, &revision);
    let grace_ends = Instant::now() + Duration::from_millis(grace_ms);
    let (mut in_flight, mut tunnels) = load()?;
    while in_flight + tunnels > 0 && Instant::now() < grace_ends {
        tokio::time::sleep(DRAIN_LOOK).await;
        (in_flight, tunnels) = load()?;
    }
    let cut = tunnels;
    if cut > 0 {
        keeper.store().cut(&service, &revision);
        let cut_ends = Instant::now() + CUT_WAIT;
        while tunnels > 0 && Instant::now() < cut_ends {
            tokio::time::sleep(DRAIN_LOOK).await;
            (in_flight, tunnels) = load()?;
        }
    }
    Ok(Drained { in_flight, tunnels, cut })
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let limited = Limited::new(request.into_body(), limits::CONTROL_BYTES).collect();
    let Ok(collected) = timeout(REQUEST_WAIT, limited).await else {
        return Err(refuse("the request did not come in time"));
    };
    let bytes = collected.map_err(|error| refuse(&format!("the request broke off: {error}")))?;
    serde_json::from_slice(&bytes.to_bytes())
        .map_err(|error| refuse(&format!("the request is not understood: {error}")))
}

fn query(request: &Request<Incoming>) -> Result<BTreeMap<String, String>, Refusal> {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter(|p| !p.is_empty());
    let decoded = pairs.map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((decode(key)?, decode(value)?))
    });
    decoded.collect::<Option<_>>().ok_or_else(|| refuse("the query is not understood"))
}

/// A number of the query; absent means 0.
fn number(query: &BTreeMap<String, String>, key: &str) -> Result<u64, Refusal> {
    let Some(value) = query.get(key) else {
        return Ok(0);
    };
    value.parse().map_err(|error| refuse(&format!("`{key}` is `{value}`: {error}")))
}

fn decode(encoded: &str) -> Option<String> {
    let mut bytes = encoded.bytes();
    let mut decoded = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

/// Metrics as text.
pub(crate) fn metrics(keeper: &Keeper) -> Response<Full<Bytes>> {
    let snapshot = keeper.store().metrics();
    match snapshot.text() {
        Ok(text) => {
            let mut response = Response::new(Full::new(Bytes::from(text)));
            let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// Answers `GET /metrics` on TCP, for a Prometheus, and nothing else, until `stop`.
pub(crate) async fn serve_metrics(
    listener: TcpListener,
    keeper: Arc<Keeper>,
    stop: CancellationToken,
) {
    let callers = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(permit) = Arc::clone(&callers).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let keeper = Arc::clone(&keeper);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let is_ours =
                    request.method() == Method::GET && request.uri().path() == PATH_METRICS;
                let mut response = Response::new(Full::new(Bytes::new()));
                if is_ours {
                    response = metrics(&keeper);
                } else {
                    *response.status_mut() = StatusCode::NOT_FOUND;
                }
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_WAIT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(socket), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a reader of the metrics left");
            }
            drop(permit);
        });
    }
}

fn refuse(reason: &str) -> Refusal {
    Refused::Request(reason.to_owned()).into_wire(None)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
