//! The server on the network: takes connections, hands their requests to the API or to the pages.
//! Must never take a request here for one of the socket's owner, nor wait for a slow one for ever.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::network::{self, Behind, From};
use super::settings::Settings;
use super::tls;
use crate::api::principal::Peer;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::problem::Problem;

/// Most connections at a time: two descriptors each are left for everything else.
const CONNECTIONS_MAX: usize = 2_048;
/// A TLS handshake takes at most this long.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A head arrives within this, also between two requests of a connection.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// Largest head, bytes; cookies and a token are a few hundred.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most header lines.
const HEADERS_MAX: usize = 64;
/// How long nobody is taken after the system said that it has no more descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// What the API answers beside everything under `/v1/`.
const FOR_MACHINES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// What answers on the network.
#[derive(Clone)]
pub(super) struct Answers {
    /// Everything for machines.
    pub(super) api: Router,
    /// Everything else.
    pub(super) pages: Router,
}

/// A place on the network that is bound.
pub(super) struct Door {
    listener: TcpListener,
    /// The address that is bound.
    pub(super) address: SocketAddr,
    /// How browsers reach it.
    pub(super) url: String,
    behind: Option<Behind>,
    tls: Option<(TlsAcceptor, tls::Files, Arc<tls::Current>)>,
}

/// Binds the address of the settings, if there is one. Without TLS, here or in front, only this
/// machine may reach it.
///
/// # Errors
/// TG6117 when it is not of this machine, or cannot be had; TG6119 when the certificate does not
/// serve.
pub(super) async fn bind(settings: &Settings) -> Result<Option<Door>, Failure> {
    let Some(address) = settings.listen else { return Ok(None) };
    let refused = |what: String| {
        Failure::new(Exit::Unexpected, "TG6117", what)
            .safe("nothing was started; applications and proxy go on")
            .help("`tidegate server run --listen 127.0.0.1:0` takes a free port")
    };
    if !address.ip().is_loopback() && settings.tls.is_none() && settings.behind.is_none() {
        return Err(refused(format!(
            "{address} can be reached from other machines, and passwords would travel in the clear: \
             it needs `tls` or `behind` in server.yaml"
        )));
    }
    let tls = match &settings.tls {
        Some(files) => {
            let (config, current) = files.open().map_err(|what| {
                Failure::new(Exit::ConfigInvalid, "TG6119", what)
                    .safe("nothing was started; applications and proxy go on")
                    .help("name a certificate and its key, both PEM, under `tls` in server.yaml")
            })?;
            Some((TlsAcceptor::from(Arc::new(config)), files.clone(), current))
        }
        None => None,
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| refused(format!("{address} cannot be listened on: {error}")))?;
    let bound = listener.local_addr().map_err(Failure::local)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = settings.url.clone().unwrap_or_else(|| format!("{scheme}://{bound}"));
    Ok(Some(Door { listener, address: bound, url, behind: settings.behind.clone(), tls }))
}

/// Takes connections until the server stops; requests in progress then get to their end.
pub(super) async fn serve(door: Door, answers: Answers, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    if let Some((_, files, current)) = &door.tls {
        tokio::spawn(files.clone().renew(Arc::clone(current), stop.clone()));
    }
    let door = Arc::new(door);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        // The semaphore is never closed.
        let Ok(place) = place else { break };
        let taken = tokio::select! {
            taken = door.listener.accept() => taken,
            () = stop.cancelled() => break,
        };
        match taken {
            Ok((stream, address)) => {
                let (door, answers) = (Arc::clone(&door), answers.clone());
                let watcher = graceful.watcher();
                tokio::spawn(async move {
                    door.meet(stream, address, answers, watcher).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
    graceful.shutdown().await;
}

impl Door {
    /// Serves one connection to its end.
    async fn meet(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        answers: Answers,
        watcher: Watcher,
    ) {
        let peer = address.ip();
        let Some((acceptor, ..)) = &self.tls else {
            // In the clear only this machine and what stands in front are heard.
            let heard = peer.to_canonical().is_loopback()
                || self.behind.as_ref().is_some_and(|behind| behind.includes(peer));
            if heard {
                self.speak(stream, peer, answers, watcher).await;
            }
            return;
        };
        let accepted = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
        if let Ok(Ok(stream)) = accepted {
            self.speak(stream, peer, answers, watcher).await;
        }
    }

    async fn speak<S>(self: Arc<Self>, stream: S, peer: IpAddr, answers: Answers, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX);
        let service = service_fn(move |request: Request<Incoming>| {
            Arc::clone(&self).answer(request, peer, answers.clone())
        });
        let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
        if let Err(error) = connection.await {
            tracing::debug!(%error, %peer, "a connection ended");
        }
    }

    /// Who may ask is decided by the route that matched; this only tells API and pages apart.
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: IpAddr,
        answers: Answers,
    ) -> Result<Response, Infallible> {
        let from = match (&self.tls, &self.behind) {
            (Some(_), _) => From { address: peer.to_canonical(), encrypted: true },
            (None, Some(behind)) => network::told(request.headers(), peer, behind),
            (None, None) => From { address: peer.to_canonical(), encrypted: false },
        };
        if self.tls.is_none() && !network::is_meant(request.headers(), Some(&self.url)) {
            return Ok(Problem::new(421, "TG7052", "this server does not go by that name")
                .safe("nothing was changed")
                .help("write the name that browsers use as `url:` into server.yaml")
                .into_response());
        }
        let peer = Peer::Network { address: from.address, encrypted: from.encrypted };
        request.extensions_mut().insert(ConnectInfo(peer));
        let path = request.uri().path();
        let for_machines = path.starts_with("/v1/") || FOR_MACHINES.contains(&path);
        let router = if for_machines { answers.api } else { answers.pages };
        TowerToHyperService::new(router).call(request).await
    }
}
