//! Listen addresses and client connections. A listener never dies of a failed accept: it pauses
//! while descriptors are short and keeps what it has.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::meet::Meeting;
use crate::route::Routing;
use crate::serve::Timeouts;
use crate::tls::Keys;

/// Client connections of the whole proxy; past it, new ones wait in the kernel's queue.
const CONNECTIONS: usize = 16_384;
/// Connections the kernel keeps for us before we accept them.
const BACKLOG: u32 = 1_024;
/// Pause after an accept that failed: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) routing: ArcSwap<Routing>,
    pub(crate) timeouts: Timeouts,
    /// Connections and tunnels, to wait for at the end.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the time to drain is over.
    pub(crate) cut: CancellationToken,
    /// Certificates, and the answers to an ACME server's challenges.
    pub(crate) keys: Keys,
    connections: Arc<Semaphore>,
}

impl Plane {
    pub(crate) fn new(timeouts: Timeouts, keys: Keys) -> Self {
        Self {
            routing: ArcSwap::default(),
            timeouts,
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
            keys,
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }
}

/// The open listen addresses.
#[derive(Debug)]
pub(crate) struct Listeners {
    plane: Arc<Plane>,
    open: HashMap<SocketAddr, CancellationToken>,
    /// Set when the proxy ends: no address is opened from then on.
    is_ending: bool,
}

impl Listeners {
    pub(crate) fn new(plane: Arc<Plane>) -> Self {
        Self { plane, open: HashMap::new(), is_ending: false }
    }

    pub(crate) fn is_open(&self, address: SocketAddr) -> bool {
        self.open.contains_key(&address)
    }

    /// Binds and begins to accept; does nothing for an address that is open, or at the end.
    pub(crate) fn open(&mut self, address: SocketAddr) -> io::Result<()> {
        if self.is_ending || self.is_open(address) {
            return Ok(());
        }
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Connections of a proxy that was killed must not keep its successor from the port.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let stop = self.plane.cut.child_token();
        let plane = Arc::clone(&self.plane);
        self.plane.tasks.spawn(accept(plane, listener, address, stop.clone()));
        self.open.insert(address, stop);
        Ok(())
    }

    /// Stops accepting for good; requests in progress go on.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
        self.retain(|_| false);
    }

    /// Stops accepting on every address that is not in use, and lets its connections finish the
    /// request they are in.
    pub(crate) fn retain(&mut self, in_use: impl Fn(SocketAddr) -> bool) {
        self.open.retain(|address, stop| {
            let keep = in_use(*address);
            if !keep {
                stop.cancel();
            }
            keep
        });
    }
}

async fn accept(
    plane: Arc<Plane>,
    listener: TcpListener,
    address: SocketAddr,
    stop: CancellationToken,
) {
    loop {
        let Ok(permit) = Arc::clone(&plane.connections).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let meeting = Meeting { plane: Arc::clone(&plane), listen: address, permit };
                plane.tasks.spawn(meeting.converse(socket, peer, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept, pausing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
