//! Listen addresses and client connections. A listener never dies of a failed accept: it pauses
//! while descriptors are short and keeps what it has.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::AccessLog;
use crate::cohort::Key;
use crate::meet::Meeting;
use crate::mirror::Mirrors;
use crate::route::Routing;
use crate::serve::Timeouts;
use crate::tls::Keys;
use crate::workers::{Seat, Workers};

/// Client connections of the whole proxy, if descriptors suffice; past it, new ones are refused.
const CONNECTIONS: usize = 16_384;
/// Descriptors for everything that is no connection of a user: listeners, the control socket,
/// files, idle endpoint connections.
const RESERVED: usize = 128;
/// Connections the kernel keeps for us before we accept them.
const BACKLOG: u32 = 1_024;
/// Pause after an accept that failed: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a plane is given from the state directory.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) key: Key,
    pub(crate) access: AccessLog,
    pub(crate) keys: Keys,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) routing: ArcSwap<Routing>,
    /// Told after each change of it.
    published: Notify,
    pub(crate) timeouts: Timeouts,
    pub(crate) workers: Workers,
    /// Signs cohort cookies.
    pub(crate) key: Key,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) mirrors: Mirrors,
    /// Connections and tunnels, to wait for at the end.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the time to drain is over.
    pub(crate) cut: CancellationToken,
    /// Certificates, and the answers to an ACME server's challenges.
    pub(crate) keys: Keys,
    /// Set when another process has taken over: each connection ends with its next answer, which
    /// says so. Closing an idle one would meet a request that is on its way.
    is_leaving: AtomicBool,
    connections: Arc<Semaphore>,
    /// How many of them there may be.
    most: usize,
}

impl Plane {
    pub(crate) fn new(timeouts: Timeouts, workers: Workers, tools: Tools) -> Self {
        let Tools { key, access, keys } = tools;
        let most = most_connections();
        Self {
            routing: ArcSwap::default(),
            published: Notify::new(),
            timeouts,
            workers,
            key,
            access: Arc::new(access),
            mirrors: Mirrors::default(),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
            keys,
            is_leaving: AtomicBool::new(false),
            connections: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    /// Requests that arrive from here on are placed by this.
    pub(crate) fn publish(&self, routing: Routing) {
        self.routing.store(Arc::new(routing));
        self.published.notify_waiters();
    }

    /// Waits until a table of this address is in force. A socket is open a little earlier, and
    /// whoever waits in its queue must not be told that there is nothing here.
    async fn serves(&self, address: SocketAddr) {
        loop {
            let mut published = pin!(self.published.notified());
            published.as_mut().enable();
            if self.routing.load().has(address) {
                return;
            }
            published.await;
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Open client connections.
    pub(crate) fn connections(&self) -> usize {
        self.most - self.connections.available_permits()
    }
}

/// The open listen addresses.
#[derive(Debug)]
pub(crate) struct Listeners {
    plane: Arc<Plane>,
    open: HashMap<SocketAddr, Open>,
    /// Sockets that came with this process and that no table has asked for yet.
    inherited: HashMap<SocketAddr, std::net::TcpListener>,
    /// Set when the proxy ends: no address is opened from then on.
    is_ending: bool,
}

#[derive(Debug)]
struct Open {
    /// To be given away; `None` once it was.
    socket: Option<Arc<std::net::TcpListener>>,
    /// Ends accepting.
    deaf: CancellationToken,
    /// Ends the connections as well, each after the request it is in.
    stop: CancellationToken,
}

impl Listeners {
    pub(crate) fn new(plane: Arc<Plane>, inherited: Vec<std::net::TcpListener>) -> Self {
        let by_address = inherited.into_iter().filter_map(|socket| match socket.local_addr() {
            Ok(address) => Some((address, socket)),
            Err(error) => {
                tracing::warn!(%error, "an inherited socket has no address");
                None
            }
        });
        let inherited = by_address.collect();
        Self { plane, open: HashMap::new(), inherited, is_ending: false }
    }

    pub(crate) fn is_open(&self, address: SocketAddr) -> bool {
        self.open.contains_key(&address)
    }

    /// Binds, or takes the inherited socket, and begins to accept; does nothing for an address
    /// that is open, or at the end.
    pub(crate) fn open(&mut self, address: SocketAddr) -> io::Result<()> {
        if self.is_ending || self.is_open(address) {
            return Ok(());
        }
        let socket = match self.inherited.remove(&address) {
            Some(socket) => socket,
            None => bind(address)?,
        };
        socket.set_nonblocking(true)?;
        let socket = Arc::new(socket);
        let stop = self.plane.cut.child_token();
        let deaf = stop.child_token();
        let listener = TcpListener::from_std(socket.try_clone()?)?;
        let plane = Arc::clone(&self.plane);
        let stops = Stops { deaf: deaf.clone(), stop: stop.clone() };
        self.plane.tasks.spawn(accept(plane, listener, address, stops));
        self.open.insert(address, Open { socket: Some(socket), deaf, stop });
        Ok(())
    }

    /// The open sockets, for another process to accept from as well.
    pub(crate) fn sockets(&self) -> Vec<Arc<std::net::TcpListener>> {
        self.open.values().filter_map(|open| open.socket.clone()).collect()
    }

    /// Stops accepting for good and ends every connection after the request it is in.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
        self.retain(|_| false);
    }

    /// Leaves accepting to another process. Connections say goodbye with their next answer.
    pub(crate) fn leave(&mut self) {
        self.is_ending = true;
        self.plane.is_leaving.store(true, Ordering::Relaxed);
        self.inherited.clear();
        for open in self.open.values_mut() {
            open.deaf.cancel();
            // A socket that nobody accepts from would keep callers waiting.
            open.socket = None;
        }
    }

    /// Stops accepting on every address that is not in use, and lets its connections finish the
    /// request they are in.
    pub(crate) fn retain(&mut self, in_use: impl Fn(SocketAddr) -> bool) {
        self.open.retain(|address, open| {
            let keep = in_use(*address);
            if !keep {
                open.stop.cancel();
            }
            keep
        });
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of a proxy that was killed must not keep its successor from the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

struct Stops {
    deaf: CancellationToken,
    stop: CancellationToken,
}

/// How many clients may be connected, each with a connection to an endpoint: the descriptors
/// that clients take must never be those that answers need, or a revision would look broken.
fn most_connections() -> usize {
    let descriptors = raised_descriptors().and_then(|most| usize::try_from(most).ok());
    descriptors.map_or(CONNECTIONS, fitting)
}

/// Raises this process's limit of open descriptors to the most that it may give itself: the usual
/// 1,024 are there for programs that use `select`, and would be 448 clients here. Says the limit
/// that holds; `None` is none.
fn raised_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open descriptors stays as it is");
            limit.current
        }
    }
}

fn fitting(descriptors: usize) -> usize {
    (descriptors.saturating_sub(RESERVED) / 2).clamp(1, CONNECTIONS)
}

async fn accept(plane: Arc<Plane>, listener: TcpListener, address: SocketAddr, stops: Stops) {
    tokio::select! {
        () = stops.deaf.cancelled() => return,
        () = plane.serves(address) => {}
    }
    loop {
        let accepted = tokio::select! {
            () = stops.deaf.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Whoever serves it registers it with the runtime of its worker.
        match accepted.and_then(|(socket, peer)| Ok((socket.into_std()?, peer))) {
            Ok((socket, peer)) => {
                // Closed at once: those that are open keep what they need, and a caller learns
                // now that it has to go elsewhere.
                let Ok(permit) = Arc::clone(&plane.connections).try_acquire_owned() else {
                    tracing::warn!(%address, most = plane.most, "too many connections, one refused");
                    continue;
                };
                let (worker, seat) = plane.workers.least_busy();
                let place = Place { _permit: permit, _seat: seat };
                let meeting = Meeting { plane: Arc::clone(&plane), listen: address, place };
                let stop = stops.stop.clone();
                plane.tasks.spawn_on(meeting.converse(socket, peer, stop), &worker);
            }
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept, pausing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection's place among all, and on its worker.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _seat: Seat,
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS, fitting};

    #[test]
    fn a_client_and_its_endpoint_fit_into_the_descriptors() {
        for (descriptors, most) in [(1_024, 448), (20_000, 9_936), (1 << 20, CONNECTIONS), (64, 1)]
        {
            assert_eq!(fitting(descriptors), most);
        }
    }
}
