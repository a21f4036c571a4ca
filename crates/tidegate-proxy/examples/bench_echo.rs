//! The smallest application: it answers every request with the name of its revision and the time
//! at which the request reached it. What the benchmarks put behind the proxy.
//! Must never be slower or cleverer than that.
//!
//! `bench_echo NAME@ADDRESS ...` listens at each address under its name; `bench_echo NAME` listens
//! at `$PORT`, as any application that is deployed.

use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Says which revision answered.
const REVISION: &str = "x-revision";
/// Says when the request came, microseconds since 1970.
const STARTED: &str = "x-started-us";
/// A listener out of file descriptors tries again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut listeners = JoinSet::new();
    for word in std::env::args().skip(1) {
        let (name, address) = match word.split_once('@') {
            Some((name, address)) => (name.to_owned(), address.parse()?),
            None => {
                let port = std::env::var("PORT")?.parse()?;
                (word, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            }
        };
        let name = HeaderValue::try_from(name)?;
        listeners.spawn(listen(TcpListener::bind(address).await?, name));
    }
    while let Some(ended) = listeners.join_next().await {
        ended?;
    }
    Err("usage: bench_echo NAME@ADDRESS ... | bench_echo NAME".into())
}

async fn listen(listener: TcpListener, name: HeaderValue) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Without it an answer may wait for an acknowledgement; it is slower then, not wrong.
        drop(socket.set_nodelay(true));
        let name = name.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&name, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            // A peer that closes in the middle is the load generator's to report.
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

fn answer(name: &HeaderValue, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let body = Bytes::from_static(if request.uri().path() == "/health" { b"ok" } else { b"tide" });
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(REVISION, name.clone());
    if let Ok(started) = HeaderValue::try_from(since.as_micros().to_string()) {
        response.headers_mut().insert(STARTED, started);
    }
    response
}
