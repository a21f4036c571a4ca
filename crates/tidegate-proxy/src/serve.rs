//! The life of a proxy process: lock, load, serve, pulse, drain.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener as TokioListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::access::AccessLog;
use crate::control;
use crate::disk::Disk;
use crate::keep::Keeper;
use crate::listen::{Plane, Tools};
use crate::tls::Keys;
use crate::upgrade::taking::{self, Elder, Inheritance};
use crate::upgrade::{self, Failed, giving};
use crate::workers::{self, Workers};

/// Time between two attempts to listen for readers of the metrics.
const METRICS_RETRY: Duration = Duration::from_secs(1);

/// How a proxy is started.
#[derive(Debug)]
pub struct Config {
    /// Where the last good tables live. One proxy at a time.
    pub state_dir: PathBuf,
    /// The control socket; created with mode 0600.
    pub socket: PathBuf,
    /// Length of a tick. Leases and brakes are looked at once a tick.
    pub tick: Duration,
    /// Threads that carry requests, 1 to 64; a core each is right.
    pub workers: usize,
    /// Listening sockets that came with the process (systemd). A table that wants the address of
    /// one gets it; nothing is bound there.
    pub sockets: Vec<TcpListener>,
    /// Where `GET /metrics` is answered besides the control socket.
    pub metrics: Option<SocketAddr>,
    /// Take the place of the proxy that runs on this state directory, and give what is in
    /// progress there so long, at most ten minutes, to end.
    pub take_over: Option<Duration>,
    /// How long the proxy waits for others.
    pub timeouts: Timeouts,
}

impl Config {
    /// A proxy with ticks of one second and the default timeouts.
    #[must_use]
    pub fn new(state_dir: PathBuf, socket: PathBuf) -> Self {
        let tick = Duration::from_secs(1);
        let (workers, timeouts) = (workers::default_count(), Timeouts::default());
        let (sockets, metrics, take_over) = (Vec::new(), None, None);
        Self { state_dir, socket, tick, workers, sockets, metrics, take_over, timeouts }
    }
}

/// How long the proxy waits for others before it gives up on them.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For an endpoint to accept a connection.
    pub connect: Duration,
    /// For the response head, from the end of the request.
    pub response_head: Duration,
    /// For a client's request head, idle keep-alive time included.
    pub client_head: Duration,
    /// For the next bytes of a request body.
    pub upload_silence: Duration,
    /// For the next bytes of a response body. Server-sent events need a heartbeat below it.
    pub body_silence: Duration,
    /// For requests and tunnels in progress when the proxy ends.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            response_head: Duration::from_secs(60),
            client_head: Duration::from_secs(30),
            upload_silence: Duration::from_secs(60),
            body_silence: Duration::from_secs(600),
            drain: Duration::from_secs(30),
        }
    }
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("TG5014 another proxy holds the state directory {}", .path.display())]
    Held { path: PathBuf },
    #[error("TG5007 cannot read or write the state in {}", .path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("TG5015 cannot open the control socket {}", .path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("TG5041 no proxy to take over from at {}", .path.display())]
    NoElder { path: PathBuf, source: io::Error },
    #[error("TG5042 the proxy at {} goes on, taking over from it failed: {reason}", .path.display())]
    Succession { path: PathBuf, reason: String },
}

/// A proxy that serves.
struct Serving {
    keeper: Arc<Keeper>,
    plane: Arc<Plane>,
    control: Arc<std::os::unix::net::UnixListener>,
    elder: Option<Elder>,
}

/// Runs a proxy until `shutdown`, or until another has taken over, then drains it. Needs a
/// multi-thread tokio runtime; requests run on threads of their own.
///
/// The last good tables serve before this function waits for anything; the control socket opens
/// after them. `started` is called once everything is open, with the id of the process whose
/// place was taken.
///
/// # Errors
/// [`Error`] when the state or the socket cannot be had; nothing is served then.
pub async fn serve(
    config: Config,
    shutdown: CancellationToken,
    started: impl FnOnce(Option<u32>),
) -> Result<(), Error> {
    let metrics = config.metrics;
    let (tick, socket, timeouts) = (config.tick, config.socket.clone(), config.timeouts);
    let refused = |source: io::Error| Error::Socket { path: socket.clone(), source };
    let serving = open(config).await?;
    let Serving { keeper, plane, control, elder } = serving;
    let ear = control.try_clone().and_then(|ear| {
        ear.set_nonblocking(true)?;
        UnixListener::from_std(ear)
    });
    let ear = ear.map_err(refused)?;

    let (deaf, stop) = (CancellationToken::new(), CancellationToken::new());
    let elder_pid = elder.as_ref().map(|elder| elder.pid);
    let mut elders = JoinSet::new();
    if let Some(elder) = elder {
        // Before anything that changes a table: until then the elder decides.
        elders.spawn(succeed(elder, &keeper, &socket).await?);
    }
    let mut tasks = JoinSet::new();
    tasks.spawn(control::serve(ear, Arc::clone(&keeper), deaf.clone(), stop.clone()));
    if let Some(address) = metrics {
        tasks.spawn(show_metrics(address, Arc::clone(&keeper), deaf.clone()));
    }
    tasks.spawn(pulse(Arc::clone(&keeper), tick, stop.clone()));
    tasks.spawn(mend(Arc::clone(&keeper), tick, stop.clone()));
    tasks.spawn(sweep(Arc::clone(&keeper), tick, stop.clone()));
    let handover = control::bind(&upgrade::path_beside(&socket)).map_err(refused)?;
    started(elder_pid);

    let successor = tokio::select! {
        () = shutdown.cancelled() => None,
        successor = giving::wait(handover, Arc::clone(&control), Arc::clone(&keeper)) => {
            Some(successor)
        }
    };
    drop(control);
    deaf.cancel();
    let drained = CancellationToken::new();
    let mut drain = timeouts.drain;
    let mut reports = JoinSet::new();
    let has_successor = successor.is_some();
    if let Some(successor) = successor {
        tracing::info!(successor = successor.pid, "another proxy serves, this one drains");
        drain = successor.drain;
        let kept = Arc::clone(&keeper);
        reports.spawn(giving::report(successor, kept, tick, drained.clone()));
    } else {
        keeper.store().close_all();
        remove_sockets(&socket);
    }
    plane.tasks.close();
    let all_done = async {
        plane.tasks.wait().await;
        // This proxy's elder is only known to the successor through it.
        while has_successor && elders.join_next().await.is_some() {}
    };
    tokio::select! {
        () = all_done => {}
        () = tokio::time::sleep(drain) => {
            tracing::warn!(left = plane.tasks.len(), "time to drain is over, cutting the rest");
        }
        // A second wish to end shortens a drain that a successor allowed.
        () = impatience(&shutdown, timeouts.drain) => {}
    }
    plane.cut.cancel();
    drained.cancel();
    while reports.join_next().await.is_some() {}
    stop.cancel();
    end(tasks, plane).await;
    Ok(())
}

fn remove_sockets(control: &Path) {
    for path in [control, &upgrade::path_beside(control)] {
        if let Err(error) = std::fs::remove_file(path) {
            tracing::debug!(%error, path = %path.display(), "a socket is gone already");
        }
    }
}

/// Waits for what runs beside the requests, and ends the threads.
async fn end(mut tasks: JoinSet<()>, plane: Arc<Plane>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the proxy failed");
        }
    }
    let ended = tokio::task::spawn_blocking(move || {
        plane.workers.end();
        plane.access.end();
    })
    .await;
    if let Err(error) = ended {
        tracing::error!(%error, "the workers did not end");
    }
}

/// Resolves when the shutdown was asked for that long ago.
async fn impatience(shutdown: &CancellationToken, drain: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(drain).await;
}

/// Loads the state and serves it.
async fn open(config: Config) -> Result<Serving, Error> {
    let Config { state_dir, socket, tick: _, workers, sockets, metrics: _, take_over, timeouts } =
        config;
    let state = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock => Error::Held { path: state_dir.clone() },
        _ => Error::State { path: state_dir.clone(), source },
    };
    let workers = Workers::start(workers).map_err(state)?;
    let access = AccessLog::start(&state_dir).map_err(state)?;
    let keys = Keys::new(&state_dir);
    let plane = |key| Arc::new(Plane::new(timeouts, workers, Tools { key, access, keys }));
    let Some(drain) = take_over else {
        let disk = Disk::open(&state_dir).map_err(state)?;
        let plane = plane(disk.cohort_key().map_err(state)?);
        let keeper = Keeper::open(disk, Arc::clone(&plane), sockets, Vec::new()).map_err(state)?;
        let control = control::bind(&socket).and_then(UnixListener::into_std);
        let control = control.map_err(|source| Error::Socket { path: socket, source })?;
        let (keeper, control) = (Arc::new(keeper), Arc::new(control));
        return Ok(Serving { keeper, plane, control, elder: None });
    };
    let path = upgrade::path_beside(&socket);
    let asked = tokio::task::spawn_blocking(move || taking::ask(&path, drain)).await;
    let taken = asked.map_err(|error| state(io::Error::other(error)))?;
    let Inheritance { lock, control, sockets, heirlooms, elder } =
        taken.map_err(|failed| succession(&socket, failed))?;
    let disk = Disk::adopt(&state_dir, lock).map_err(state)?;
    let plane = plane(disk.cohort_key().map_err(state)?);
    let keeper = Keeper::open(disk, Arc::clone(&plane), sockets, heirlooms).map_err(state)?;
    let (keeper, control) = (Arc::new(keeper), Arc::new(control));
    Ok(Serving { keeper, plane, control, elder: Some(elder) })
}

/// Asks the elder to stop. The future looks after it until it ends.
async fn succeed(
    elder: Elder,
    keeper: &Arc<Keeper>,
    socket: &Path,
) -> Result<impl Future<Output = ()> + use<>, Error> {
    let dismissed = tokio::task::spawn_blocking(move || elder.dismiss()).await;
    let dismissed = dismissed.map_err(|error| Failed::Broken(io::Error::other(error)));
    let (last, link) =
        dismissed.and_then(|dismissed| dismissed).map_err(|failed| succession(socket, failed))?;
    let (orders, heard) = tokio::sync::mpsc::unbounded_channel();
    {
        let mut store = keeper.store();
        store.lead(orders);
        for record in last.records {
            store.take_over(record);
        }
        store.absorb(last.residues);
    }
    Ok(taking::accompany(link, Arc::clone(keeper), heard))
}

fn succession(path: &Path, failed: Failed) -> Error {
    let path = path.to_owned();
    match failed {
        Failed::Nobody(source) => Error::NoElder { path, source },
        other => {
            let cause = std::error::Error::source(&other).map(ToString::to_string);
            let reason =
                cause.map_or_else(|| other.to_string(), |cause| format!("{other}: {cause}"));
            Error::Succession { path, reason }
        }
    }
}

/// Waits for the address: a proxy whose place this one took has it until it stops.
async fn show_metrics(address: SocketAddr, keeper: Arc<Keeper>, stop: CancellationToken) {
    let mut tries = ticks_of(METRICS_RETRY);
    let listener = loop {
        match TokioListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => tracing::warn!(%address, %error, "TG5044 no metrics yet, trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tries.tick() => {}
        }
    };
    control::serve_metrics(listener, keeper, stop).await;
}

async fn pulse(keeper: Arc<Keeper>, tick: Duration, stop: CancellationToken) {
    let mut ticks = ticks_of(tick);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => keeper.store().pulse(),
        }
    }
}

/// Apart from the pulse, which must not wait for a disk.
async fn mend(keeper: Arc<Keeper>, tick: Duration, stop: CancellationToken) {
    let mut ticks = ticks_of(tick);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => keeper.mend().await,
        }
    }
}

/// Closes idle connections to endpoints that are too old or gone. Apart from the pulse as well:
/// thousands of connections take longer to look at than the store may be held.
async fn sweep(keeper: Arc<Keeper>, tick: Duration, stop: CancellationToken) {
    let mut ticks = ticks_of(tick);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let endpoints = keeper.store().endpoints();
        for endpoint in endpoints {
            endpoint.sweep();
            tokio::task::consume_budget().await;
        }
    }
}

fn ticks_of(tick: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + tick, tick);
    // After a pause of the whole machine one long tick is the truth, many short ones are not.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
