//! The server on the network: takes connections, hands their requests to the API or to the pages.
//! Must never take a request here for one of the socket's owner, nor wait for a slow head for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::principal::Peer;
use crate::exit::Exit;
use crate::failure::Failure;

/// Most connections at a time: two descriptors each are left for everything else.
const CONNECTIONS_MAX: usize = 2_048;
/// A head arrives within this, also between two requests of a connection.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// Largest head, bytes; cookies and a token are a few hundred.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most header lines.
const HEADERS_MAX: usize = 64;
/// How long nobody is taken after the system said that it has no more descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What answers on the network.
#[derive(Clone)]
pub(super) struct Answers {
    /// Everything under `/v1/`.
    pub(super) api: Router,
    /// Everything else.
    pub(super) pages: Router,
}

/// Binds an address. Without TLS only this machine may reach it.
///
/// # Errors
/// TG6117 when it is not of this machine, or cannot be had.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let refused = |what: String| {
        Failure::new(Exit::Unexpected, "TG6117", what)
            .safe("nothing was started; applications and proxy go on")
            .help("`tidegate server run --listen 127.0.0.1:0` takes a free port")
    };
    if !address.ip().is_loopback() {
        return Err(refused(format!(
            "{address} can be reached from other machines, and passwords would travel in the clear"
        )));
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| refused(format!("{address} cannot be listened on: {error}")))
}

/// Takes connections until the server stops; requests in progress then get to their end.
pub(super) async fn serve(listener: TcpListener, answers: Answers, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        // The semaphore is never closed.
        let Ok(place) = place else { break };
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = stop.cancelled() => break,
        };
        let (stream, address) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let peer = Peer::Network { address: address.ip(), encrypted: false };
        let answers = answers.clone();
        let service =
            service_fn(move |request: Request<Incoming>| answers.clone().answer(request, peer));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, %address, "a connection ended");
            }
            drop(place);
        });
    }
    graceful.shutdown().await;
}

impl Answers {
    /// Who may ask is decided by the route that matched; this only tells API and pages apart.
    fn answer(
        self,
        mut request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Result<axum::response::Response, std::convert::Infallible>> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = if request.uri().path().starts_with("/v1/") { self.api } else { self.pages };
        TowerToHyperService::new(router).call(request)
    }
}
