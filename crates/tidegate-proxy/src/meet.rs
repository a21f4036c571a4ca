//! How a connection begins and which protocol it turns out to speak: who the client is, TLS, then
//! HTTP/1.1 behind the validator or HTTP/2 behind the frame account. Each beginning has a
//! deadline; a client that fails in it is closed without a word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarms;
use crate::forward::{Client, Origin, respond};
use crate::front;
use crate::http2;
use crate::listen::{Place, Plane};
use crate::tap::Tap;
use crate::tls::{ALPN, Door};
use crate::upstream;
use crate::validate::HEAD_BYTES;
use crate::watched::Watched;
use crate::wire::{Behind, Speaks};

/// How long a client may take for its PROXY protocol header and its TLS handshake together.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// Read and write buffer of one connection. Must hold a whole request head.
const BUFFER_BYTES: usize = 2 * HEAD_BYTES;
/// How an HTTP/2 connection without TLS begins, RFC 9113 section 3.4: no request of HTTP/1.1
/// that the validator accepts begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A connection that was just accepted.
#[derive(Debug)]
pub(crate) struct Meeting {
    pub(crate) plane: Arc<Plane>,
    pub(crate) listen: SocketAddr,
    pub(crate) place: Place,
}

impl Meeting {
    /// Serves one client connection to its end.
    pub(crate) async fn converse(
        self,
        socket: std::net::TcpStream,
        peer: SocketAddr,
        stop: CancellationToken,
    ) {
        let mut socket = match TcpStream::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%error, "a connection cannot be served"),
        };
        if let Err(error) = socket.set_nodelay(true).and_then(|()| upstream::keep_alive(&socket)) {
            tracing::debug!(%error, "socket options");
        }
        let routing = self.plane.routing.load();
        let (door, behind) = routing.entrance(self.listen);
        let (door, behind) = (door.cloned(), behind.cloned());
        drop(routing);
        if door.is_none() && behind.is_none() {
            let client = self.client(Origin { address: peer, forwards: false }, None, None);
            return speak(client, socket, stop).await;
        }
        let begun = timeout(BEGIN_WITHIN, begin(&mut socket, peer, behind.as_ref()));
        let stopped = stop.clone();
        let origin = tokio::select! {
            begun = begun => match begun {
                Ok(Some(origin)) => origin,
                Ok(None) | Err(_) => return,
            },
            () = stopped.cancelled() => return,
        };
        let Some(door) = door else {
            return speak(self.client(origin, None, None), socket, stop).await;
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&door.config));
        let accepted = tokio::select! {
            accepted = timeout(BEGIN_WITHIN, acceptor.accept(socket)) => accepted,
            () = stopped.cancelled() => return,
        };
        let Ok(Ok(stream)) = accepted else {
            tracing::debug!(%peer, "a TLS handshake failed");
            return;
        };
        let (_, session) = stream.get_ref();
        let name = session.server_name().map(str::to_ascii_lowercase);
        let is_http2 = session.alpn_protocol() == Some(ALPN[0]);
        let client = self.client(origin, Some(door), name);
        // Boxed, so that a connection without TLS does not carry the room for it.
        if is_http2 {
            Box::pin(http2::converse(client, stream, stop)).await;
        } else {
            Box::pin(http1(client, stream, stop)).await;
        }
    }

    fn client(self, origin: Origin, door: Option<Arc<Door>>, name: Option<String>) -> Arc<Client> {
        let Self { plane, listen, place } = self;
        Arc::new(Client::new(plane, listen, origin, door, name, place))
    }
}

/// Who the client is, by what stands in front. `None` closes the connection.
async fn begin(
    socket: &mut TcpStream,
    peer: SocketAddr,
    behind: Option<&Behind>,
) -> Option<Origin> {
    let is_front = behind.is_some_and(|behind| behind.includes(peer.ip()));
    match behind.map(|behind| behind.speaks) {
        None => Some(Origin { address: peer, forwards: false }),
        Some(Speaks::Forwarded) => Some(Origin { address: peer, forwards: is_front }),
        Some(Speaks::ProxyProtocol) if !is_front => {
            tracing::debug!(%peer, "a connection from elsewhere than the load balancer");
            None
        }
        Some(Speaks::ProxyProtocol) => match front::client(socket, peer).await {
            Ok(address) => Some(Origin { address, forwards: false }),
            Err(error) => {
                tracing::warn!(%peer, %error, "a connection without a PROXY protocol header");
                None
            }
        },
    }
}

/// Without TLS the first bytes tell the protocol.
async fn speak(client: Arc<Client>, socket: TcpStream, stop: CancellationToken) {
    let mut first = [0; PREFACE.len()];
    let patience = client.plane.timeouts.client_head;
    let seen = tokio::select! {
        seen = timeout(patience, socket.peek(&mut first)) => seen,
        () = stop.cancelled() => return,
    };
    // An error or an end is left to whoever reads it next.
    let length = seen.ok().and_then(Result::ok).unwrap_or(0);
    if length == PREFACE.len() && first == PREFACE {
        Box::pin(http2::converse(client, socket, stop)).await;
    } else {
        http1(client, socket, stop).await;
    }
}

/// Serves HTTP/1.1.
async fn http1<S>(client: Arc<Client>, socket: S, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = client.plane.cut.clone();
    let tap = Tap::new(Arc::clone(&client.gate));
    let client_head = client.plane.timeouts.client_head;
    let service = service_fn(move |request| respond(Arc::clone(&client), request));
    let connection = http1::Builder::new()
        .timer(Alarms)
        .header_read_timeout(client_head)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(Watched::new(socket, tap)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        // The connection is nearly always why this is polled.
        biased;
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut connection => ended,
                () = cut.cancelled() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection ended");
    }
}
