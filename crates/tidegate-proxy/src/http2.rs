//! HTTP/2 towards clients: the limits of a connection, what a request must look like that came
//! without lines, and the end of a connection that stands still. It must never let through what
//! the HTTP/1.1 validator refuses.

use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use http::{Method, Request, Uri};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::forward::{Client, respond};
use crate::frames::Account;
use crate::validate::{self, Ambiguous, HEAD_BYTES};
use crate::watched::Watched;

/// Requests in progress on one connection; browsers expect at least 100.
const STREAMS: u32 = 100;
/// What a client may send before we read it, for one request and for all of them.
const STREAM_WINDOW: u32 = 256 * 1_024;
const CONNECTION_WINDOW: u32 = 1_024 * 1_024;
/// What waits for a client to read it, for one request: four frames.
const SEND_BUFFER: usize = 64 * 1_024;
/// Requests a client may cancel before we have looked at them (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that h2 itself may have to reset for a client's mistakes ("MadeYouReset",
/// CVE-2025-8671); an honest client makes none.
const OWN_RESETS: usize = 64;
/// Silence after which a client is asked whether it lives.
const PING_AFTER: Duration = Duration::from_secs(30);
/// How long a client may take to say that it lives.
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long a connection without any request is kept.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Serves one connection to its end.
pub(crate) async fn converse<S>(client: Arc<Client>, socket: S, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = client.plane.cut.clone();
    let silence = client.plane.timeouts.body_silence;
    let ours = Arc::clone(&client);
    let service = service_fn(move |request| respond(Arc::clone(&client), request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(OWN_RESETS)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_WITHIN)
        .serve_connection(TokioIo::new(Watched::new(socket, Account::new())), service);
    tokio::pin!(connection);
    let mut is_ending = false;
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            () = cut.cancelled() => break Ok(()),
            () = stop.cancelled(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(LOOK) => {
                let still = ours.still_for();
                // Every exchange holds the client: two of them are ours.
                let is_busy = Arc::strong_count(&ours) > 2;
                if is_busy && still > silence {
                    tracing::debug!("an HTTP/2 client took no byte for too long");
                    break Ok(());
                }
                let is_over = ours.plane.is_leaving() || (!is_busy && still > IDLE_MAX);
                if is_over && !is_ending {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP/2 connection ended");
    }
}

/// Holds a request to the rules of the HTTP/1.1 validator, and brings it into the same form:
/// one `Host`, one `Cookie`.
pub(crate) fn admit<B>(request: &mut Request<B>) -> Result<(), Ambiguous> {
    let uri = request.uri();
    if *request.method() == Method::CONNECT {
        return Err(Ambiguous("CONNECT"));
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    validate::path(request.method().as_str().as_bytes(), path.as_bytes())?;
    let host = host(uri, request.headers())?;
    validate::fields(request.headers())?;
    request.headers_mut().insert(HOST, host);
    join_cookies(request.headers_mut());
    Ok(())
}

/// The authority, which a `Host` may repeat but not contradict.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<HeaderValue, Ambiguous> {
    let mut lines = headers.get_all(HOST).into_iter();
    let (line, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(Ambiguous("two Host lines"));
    }
    let host = match (uri.authority(), line) {
        (None, None) => return Err(Ambiguous("no Host")),
        (None, Some(line)) => line.clone(),
        (Some(authority), line) => {
            let said = authority.as_str();
            if line.is_some_and(|line| !line.as_bytes().eq_ignore_ascii_case(said.as_bytes())) {
                return Err(Ambiguous(":authority and Host disagree"));
            }
            HeaderValue::from_str(said).map_err(|_unsaid| Ambiguous("Host"))?
        }
    };
    validate::authority(host.as_bytes())?;
    Ok(host)
}

/// HTTP/2 may split a cookie header for compression; HTTP/1.1 knows one line only, RFC 9113
/// section 8.2.3.
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).into_iter();
    if lines.by_ref().take(2).count() < 2 {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn what_the_validator_refuses_is_refused_here_too() {
        for (uri, headers) in [
            ("http://a@evil/", &[][..]),
            ("http://a/", &[("host", "b")][..]),
            ("http://a/", &[("host", "a"), ("host", "a")][..]),
            ("/", &[][..]),
            ("http://a/", &[("content_length", "3")][..]),
            ("http://a/", &[("content-length", "010")][..]),
            ("http://a/", &[("content-length", "1"), ("content-length", "1")][..]),
            ("http://a/", &[("expect", "200-ok")][..]),
            ("http://a/", &[("x_y", "1"), ("transfer_encoding", "chunked")][..]),
        ] {
            assert!(admit(&mut request(uri, headers)).is_err(), "{uri} {headers:?}");
        }
        let mut connect = request("http://a/", &[]);
        *connect.method_mut() = Method::CONNECT;
        assert!(admit(&mut connect).is_err());
    }

    #[test]
    fn one_host_and_one_cookie_are_left() {
        let lines = [("cookie", "a=1"), ("cookie", "b=2"), ("host", "SHOP.example")];
        let mut ordinary = request("https://shop.example/x?y", &lines);
        admit(&mut ordinary).unwrap();
        assert_eq!(ordinary.headers()["cookie"], "a=1; b=2");
        assert_eq!(ordinary.headers()["host"], "shop.example");
        assert_eq!(ordinary.headers().len(), 2);
    }
}
