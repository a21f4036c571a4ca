//! The life of one request: route, choose, rewrite, exchange, stream back.
//!
//! An answer of our own carries a status and a few words, never a name or an address from
//! inside. Every request that found a service is counted exactly once, whatever happens to it.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
    SET_COOKIE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::time::timeout;

use crate::access::{Line, plain_path};
use crate::body::{Download, Relay, Upload, is_grpc_failure};
use crate::headers::{self, Provenance};
use crate::http2;
use crate::listen::{Place, Plane};
use crate::mirror::may_copy;
use crate::route::{Choice, RevisionView, ServiceView, Target};
use crate::stats::{Failure, Flight, Note, Tunnel};
use crate::tap::Gate;
use crate::tls::Door;
use crate::upstream::{Answer, Link, Unanswered, Waits, exchange};
use crate::validate::asks_for_tunnel;

/// Seconds a client is asked to wait while nothing is deployed.
const RETRY_AFTER_SECONDS: u16 = 5;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The client, or what stands in front of the proxy.
    pub(crate) address: SocketAddr,
    /// What the connection's requests say about where they come from is believed.
    pub(crate) forwards: bool,
}

/// The client connection a request came on.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) plane: Arc<Plane>,
    pub(crate) listen: SocketAddr,
    pub(crate) origin: Origin,
    provenance: Provenance,
    pub(crate) gate: Arc<Gate>,
    /// Set on a connection with TLS, with the name it was opened for.
    tls: Option<(Arc<Door>, Option<String>)>,
    began: Instant,
    /// Milliseconds after `began` of the last sign of progress.
    moved: AtomicU64,
    /// A tunnel keeps it.
    _place: Place,
}

impl Client {
    pub(crate) fn new(
        plane: Arc<Plane>,
        listen: SocketAddr,
        origin: Origin,
        door: Option<Arc<Door>>,
        name: Option<String>,
        place: Place,
    ) -> Self {
        let provenance = Provenance::new(origin, if door.is_some() { "https" } else { "http" });
        let tls = door.map(|door| (door, name));
        let (gate, began, moved) = (Arc::default(), Instant::now(), AtomicU64::new(0));
        Self { plane, listen, origin, provenance, gate, tls, began, moved, _place: place }
    }

    /// Where the user is: the connection's other end, or what it says where it is believed.
    fn user(&self, headers: &HeaderMap) -> IpAddr {
        let told = if self.origin.forwards { headers::told(headers) } else { None };
        told.unwrap_or_else(|| self.origin.address.ip().to_canonical())
    }

    /// A byte went one way or the other.
    pub(crate) fn moves(&self) {
        let age = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(age, Ordering::Relaxed);
    }

    /// How long nothing has moved.
    pub(crate) fn still_for(&self) -> Duration {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(moved)
    }
}

/// Answers one request. Never fails: what goes wrong becomes an answer.
pub(crate) async fn respond(
    client: Arc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<Download>, Infallible> {
    let begun = Instant::now();
    let is_http2 = request.version() == Version::HTTP_2;
    if is_http2 {
        client.moves();
        if let Err(refused) = http2::admit(&mut request) {
            tracing::debug!(reason = refused.0, "refused a request head");
            return Ok(text(StatusCode::BAD_REQUEST, "bad request\n"));
        }
    }
    let protocol = tunnel_protocol(&request);
    let wants_tunnel = protocol.is_some();
    let response = route(&client, request, protocol, begun).await;
    if wants_tunnel && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // The validator holds back what a client sent after an upgrade request. With no tunnel
        // to read it, nobody may.
        return Ok(closing(response));
    }
    let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if client.plane.is_leaving() && !is_tunnel && !is_http2 {
        return Ok(closing(response));
    }
    Ok(response)
}

async fn route(
    client: &Arc<Client>,
    request: Request<Incoming>,
    protocol: Option<HeaderValue>,
    begun: Instant,
) -> Response<Download> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(host_name);
    let host = host.as_deref();
    if let Some(answer) = answer_here(client, host, request.uri().path()) {
        return answer;
    }
    let routing = client.plane.routing.load();
    let found = routing.find(client.listen, host, request.uri().path()).cloned();
    drop(routing);
    let service = match found {
        Some(Target::Service(service)) => service,
        Some(Target::Https(port)) => return to_https(host, port, request.uri()),
        None => return text(StatusCode::NOT_FOUND, "no such place\n"),
    };
    let Some(choice) =
        service.choose(request.headers(), client.user(request.headers()), &client.plane.key)
    else {
        service.counts.no_backend.fetch_add(1, Ordering::Relaxed);
        let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "not ready yet\n");
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        return response;
    };
    let mut flight = Flight::begin(Arc::clone(&choice.revision.stats), begun, !choice.is_preview);
    if service.is_logged() {
        flight.remember(note(client, &service, &choice, &request));
    }
    let chosen = Chosen { service: &service, revision: choice.revision };
    let mut response = forward(client, chosen, request, protocol, flight).await;
    if let Some(cookie) = choice.set_cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Where a request goes.
struct Chosen<'a> {
    service: &'a ServiceView,
    revision: &'a RevisionView,
}

/// What the access log says of a request.
fn note(
    client: &Client,
    service: &ServiceView,
    choice: &Choice<'_>,
    request: &Request<Incoming>,
) -> Note {
    let line = Line {
        at_ms: 0,
        service: Arc::clone(&service.name),
        revision: choice.revision.stats.revision.clone(),
        client: client.user(request.headers()),
        method: request.method().as_str().to_owned(),
        path: plain_path(request.uri().path()),
        status: None,
        duration_ms: 0.0,
        preview: choice.is_preview,
    };
    Note { log: Arc::clone(&client.plane.access), line }
}

/// The answer to a request that no service is asked about: an ACME server's challenge, or a
/// request on a connection that was opened for somebody else.
fn answer_here(client: &Client, host: Option<&str>, path: &str) -> Option<Response<Download>> {
    match &client.tls {
        None => {
            let proof = client.plane.keys.acme.answer(path)?;
            Some(answer(StatusCode::OK, Bytes::from(proof)))
        }
        Some((door, name)) if !door.may_carry(name.as_deref(), host.unwrap_or_default()) => {
            Some(text(StatusCode::MISDIRECTED_REQUEST, "no such place here\n"))
        }
        Some(_) => None,
    }
}

/// The same target by HTTPS; 308 keeps the method, and the client its body.
fn to_https(host: Option<&str>, port: u16, uri: &Uri) -> Response<Download> {
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let place = host.map(|host| format!("https://{host}{port}{target}"));
    let Some(place) = place.and_then(|place| HeaderValue::try_from(place).ok()) else {
        return text(StatusCode::BAD_REQUEST, "bad request\n");
    };
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "use https\n");
    response.headers_mut().insert(LOCATION, place);
    response
}

/// The lower-case host without port. The validator has accepted it before.
fn host_name(authority: &str) -> Cow<'_, str> {
    let host = match authority.rsplit_once(':') {
        Some((host, _)) if !authority.ends_with(']') => host,
        _ => authority,
    };
    let host = host.trim_end_matches('.');
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(host.to_ascii_lowercase());
    }
    Cow::Borrowed(host)
}

async fn forward(
    client: &Arc<Client>,
    chosen: Chosen<'_>,
    mut request: Request<Incoming>,
    protocol: Option<HeaderValue>,
    mut flight: Flight,
) -> Response<Download> {
    let limits = &client.plane.timeouts;
    let is_head = request.method() == Method::HEAD;
    let is_http2 = request.version() == Version::HTTP_2;
    let tunnel = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
    let Some(request) = rewrite(client, request, protocol) else {
        return text(StatusCode::BAD_REQUEST, "bad request\n");
    };
    let upload = request.body().progress();
    let waits = Waits { connect: limits.connect, head: limits.response_head };
    if let Some(other) = chosen.service.mirror(chosen.revision)
        && tunnel.is_none()
        && may_copy(&request)
    {
        client.plane.mirrors.send(other, &chosen.service.counts.mirror, &request, waits);
    }
    let exchanged = exchange(&chosen.revision.endpoints, request, waits).await;
    let Answer { mut response, mut link } = match exchanged {
        Ok(answer) => answer,
        Err(_) if upload.as_ref().is_some_and(|upload| upload.is_broken()) => {
            let answer = text(StatusCode::BAD_REQUEST, "the request broke off\n");
            return if is_http2 { answer } else { closing(answer) };
        }
        Err(Unanswered { failure, asked }) => {
            flight.lost(failure, asked);
            let answer = failed(failure);
            flight.status(answer.status());
            return answer;
        }
    };
    flight.sent_to(link.instance());
    flight.status(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(tunnel) = tunnel else {
            flight.fail(Failure::Reset);
            return failed(Failure::Reset);
        };
        flight.head();
        let upstream = hyper::upgrade::on(&mut response);
        client.gate.open();
        carry(client, link, tunnel, upstream, flight.into_tunnel());
        headers::to_client_tunnel(response.headers_mut());
        return response.map(|_| Download::Text(None));
    }
    if has_two_framings(&response) {
        flight.fail(Failure::Reset);
        return failed(Failure::Reset);
    }
    flight.head();
    let is_grpc = is_grpc(&response);
    if response.status().is_server_error() {
        flight.fail(Failure::Status5xx);
    } else if is_grpc && is_grpc_failure(response.headers()) {
        flight.fail(Failure::Grpc);
    }
    if response.version() == Version::HTTP_2 {
        *response.version_mut() = Version::HTTP_11;
    }
    if upload.as_ref().is_some_and(|upload| !upload.is_complete()) {
        link.part();
    }
    headers::to_client(response.headers_mut());
    check_length(&mut response, is_head);
    response.map(|body| {
        let patience = limits.body_silence;
        let watched = is_http2.then(|| Arc::clone(client));
        let relay = Relay::new(body, patience, flight, link, upload, is_grpc);
        Download::Relay(Box::new(relay.watched(watched)))
    })
}

/// The protocol of a request that may become a tunnel, by the validator's own rule.
fn tunnel_protocol(request: &Request<Incoming>) -> Option<HeaderValue> {
    let headers = request.headers();
    let upgrade = headers.get_all(UPGRADE).into_iter().next_back()?;
    let connection = headers.get_all(CONNECTION).into_iter().map(HeaderValue::as_bytes);
    let method = request.method().as_str().as_bytes();
    let is_11 = request.version() == Version::HTTP_11;
    let bodiless = request.body().is_end_stream();
    let bytes = Some(upgrade.as_bytes());
    asks_for_tunnel(method, is_11, bodiless, connection, bytes).then(|| upgrade.clone())
}

/// The request an endpoint gets: the same target bytes it was routed by, our own framing.
fn rewrite(
    client: &Client,
    request: Request<Incoming>,
    tunnel: Option<HeaderValue>,
) -> Option<Request<Upload>> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().cloned();
    head.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let host = match head.headers.get(HOST) {
        Some(host) => host.clone(),
        None => HeaderValue::try_from(client.listen.to_string()).ok()?,
    };
    headers::to_upstream(&mut head.headers, &client.provenance, host, tunnel);
    head.version = Version::HTTP_11;
    let body = Upload::new(body, client.plane.timeouts.upload_silence);
    Some(Request::from_parts(head, body))
}

/// An answer that says its length in two ways ends differently for different readers.
fn has_two_framings(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

fn is_grpc(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Drops a `Content-Length` that is not the length of the body that will be sent.
fn check_length(response: &mut Response<Incoming>, is_head: bool) {
    let stated = response.headers().get(CONTENT_LENGTH);
    let stated = stated.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let bodiless = is_head || response.status() == StatusCode::NOT_MODIFIED;
    if !bodiless && stated != response.body().size_hint().exact() {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

/// Copies bytes both ways until one side is done, the revision is cut, or the proxy ends.
fn carry(
    client: &Arc<Client>,
    mut link: Link,
    downstream: OnUpgrade,
    upstream: OnUpgrade,
    tunnel: Tunnel,
) {
    let client = Arc::clone(client);
    let tasks = client.plane.tasks.clone();
    tasks.spawn(async move {
        let plane = &client.plane;
        let upstream = async {
            link.hand_over().await;
            upstream.await
        };
        let both = async { tokio::try_join!(downstream, upstream) };
        let opened = timeout(plane.timeouts.response_head, both).await;
        let Ok(Ok((downstream, upstream))) = opened else {
            tracing::debug!("a tunnel was answered but never opened");
            return;
        };
        let mut downstream = TokioIo::new(downstream);
        let mut upstream = TokioIo::new(upstream);
        let copied = tokio::select! {
            copied = copy_bidirectional(&mut downstream, &mut upstream) => copied,
            () = tunnel.cut.cancelled() => return,
            () = plane.cut.cancelled() => return,
        };
        if let Err(error) = copied {
            tracing::debug!(%error, "a tunnel broke");
        }
        // The tunnel holds its place on the endpoint for as long as it lives.
        drop(link);
    });
}

fn failed(failure: Failure) -> Response<Download> {
    match failure {
        Failure::Timeout => text(StatusCode::GATEWAY_TIMEOUT, "no answer in time\n"),
        Failure::Connect | Failure::Reset | Failure::Grpc | Failure::Status5xx => {
            text(StatusCode::BAD_GATEWAY, "no answer\n")
        }
    }
}

fn closing(mut response: Response<Download>) -> Response<Download> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text(status: StatusCode, words: &'static str) -> Response<Download> {
    answer(status, Bytes::from_static(words.as_bytes()))
}

fn answer(status: StatusCode, words: Bytes) -> Response<Download> {
    let mut response = Response::new(Download::Text(Some(words)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
