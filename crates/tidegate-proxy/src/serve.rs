//! The life of a proxy process: lock, load, serve, pulse, drain.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::control;
use crate::disk::Disk;
use crate::keep::Keeper;
use crate::listen::Plane;
use crate::tls::Keys;

/// How a proxy is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the last good tables live. One proxy at a time.
    pub state_dir: PathBuf,
    /// The control socket; created with mode 0600.
    pub socket: PathBuf,
    /// Length of a tick. Leases and brakes are looked at once a tick.
    pub tick: Duration,
    /// How long the proxy waits for others.
    pub timeouts: Timeouts,
}

impl Config {
    /// A proxy with ticks of one second and the default timeouts.
    #[must_use]
    pub fn new(state_dir: PathBuf, socket: PathBuf) -> Self {
        let tick = Duration::from_secs(1);
        Self { state_dir, socket, tick, timeouts: Timeouts::default() }
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
}

/// Runs a proxy until `shutdown`, then drains it. Needs a multi-thread tokio runtime.
///
/// The last good tables serve before this function waits for anything; the control socket opens
/// after them.
///
/// # Errors
/// [`Error`] when the state or the socket cannot be had; nothing is served then.
pub async fn serve(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    let Config { state_dir, socket, tick, timeouts } = config;
    let state = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock => Error::Held { path: state_dir.clone() },
        _ => Error::State { path: state_dir.clone(), source },
    };
    let disk = Disk::open(&state_dir).map_err(state)?;
    let plane = Arc::new(Plane::new(timeouts, Keys::new(&state_dir)));
    let keeper = Arc::new(Keeper::open(disk, Arc::clone(&plane)).map_err(state)?);
    let callers =
        control::bind(&socket).map_err(|source| Error::Socket { path: socket.clone(), source })?;

    let stop = CancellationToken::new();
    let tasks = [
        tokio::spawn(control::serve(callers, Arc::clone(&keeper), stop.clone())),
        tokio::spawn(pulse(Arc::clone(&keeper), tick, stop.clone())),
        tokio::spawn(mend(Arc::clone(&keeper), tick, stop.clone())),
    ];
    shutdown.cancelled().await;

    keeper.store().close_all();
    plane.tasks.close();
    if timeout(timeouts.drain, plane.tasks.wait()).await.is_err() {
        tracing::warn!(left = plane.tasks.len(), "time to drain is over, cutting the rest");
    }
    plane.cut.cancel();
    stop.cancel();
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the proxy failed");
        }
    }
    if let Err(error) = std::fs::remove_file(&socket) {
        tracing::debug!(%error, "control socket is gone already");
    }
    Ok(())
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

fn ticks_of(tick: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + tick, tick);
    // After a pause of the whole machine one long tick is the truth, many short ones are not.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
