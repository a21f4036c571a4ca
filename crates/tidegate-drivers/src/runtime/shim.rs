//! The shim: a small process that lives beside one slot, keeps its instances running and tells
//! what it sees. It outlives the server, so that an upgrade or a crash of Tidegate stops nothing.
//!
//! It must never act on its own idea of what should run: it carries out the newest wish that it
//! was given, by the highest epoch, and nothing else. When it dies its instances go on, and the
//! next shim finds them by process number, start time and mark.
//!
//! A slot's directory holds `spec.json` (the wish), `state.json` (the processes), `shim.lock`
//! (one shim at a time), `shim.sock` (line JSON, mode 0600), `shim.log` and `instance-N.log`.
//! To undo by hand: kill the shim, then the process groups named in `state.json`.

mod instance;
mod log;
mod meter;
mod ports;
pub(super) mod store;
mod supervisor;
pub(super) mod wire;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use store::Store;
use supervisor::Supervisor;

/// What the shim prints on standard output once it can be spoken to.
pub(super) const READY: &str = "ready";
/// How long a new shim waits for one that is about to end.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often it looks whether the other one has ended.
const LOCK_POLL: Duration = Duration::from_millis(20);
/// How long an empty slot keeps its shim: replies that are on their way arrive.
const LINGER: Duration = Duration::from_millis(300);
/// Requests and readiness answers that wait at once; more senders wait for room.
const QUEUE_MAX: usize = 64;

/// Why a shim ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another shim serves this slot.
    #[error("another shim holds {0}")]
    Held(String),
    /// The slot's records cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The system said no.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { what, source }
}

/// Serves one slot until it is empty. Blocks: call it from the main thread of a process that does
/// nothing else, outside of any async runtime.
///
/// # Errors
/// [`Error`] when it cannot begin, or cannot go on. Instances run on either way.
pub fn run(directory: &Path) -> Result<(), Error> {
    // A session of its own: a terminal that closes or a Ctrl-C there concerns the server only.
    // EPERM means that this process leads a group already, which serves as well.
    if let Err(error) = rustix::process::setsid()
        && error != rustix::io::Errno::PERM
    {
        return Err(Error::System { what: "starting a session", source: error.into() });
    }
    // Processes that fork away from an instance become children of the shim, not of init.
    // Where the kernel refuses, marks in the environment still find them.
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%error, "orphans will not come to the shim");
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("starting the runtime"))?
        .block_on(serve(directory))
}

async fn serve(directory: &Path) -> Result<(), Error> {
    let store = Store::new(directory);
    let _lock = lock(&store).await?;
    let (reports, mut reported) = mpsc::channel(QUEUE_MAX);
    let mut supervisor = Supervisor::resume(store.clone(), reports)?;
    let listener = listen(&store)?;
    let (requests, mut requested) = mpsc::channel::<wire::Call>(QUEUE_MAX);
    let mut children = signal(SignalKind::child()).map_err(system("watching children"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("watching SIGTERM"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(system("watching SIGHUP"))?;
    // Without it logs are still looked at, only less often.
    let mut watch = log::Watch::new(directory).ok();
    announce();
    let mut last_busy = Instant::now();
    loop {
        let pause = supervisor.tick()?;
        if !supervisor.is_idle() {
            last_busy = Instant::now();
        }
        if last_busy.elapsed() > LINGER {
            store.remove_socket();
            return Ok(());
        }
        tokio::select! {
            accepted = listener.accept() => {
                last_busy = Instant::now();
                match accepted {
                    Ok((stream, _)) => {
                        tokio::spawn(wire::answer(stream, requests.clone()));
                    }
                    Err(error) => tracing::warn!(%error, "could not accept a request"),
                }
            }
            Some(call) = requested.recv() => {
                last_busy = Instant::now();
                let reply = supervisor.carry_out(call.request);
                // A caller that left has no use for the reply; the wish stands.
                drop(call.reply.send(reply));
            }
            Some(report) = reported.recv() => supervisor.hear(report),
            written = written(&mut watch) => {
                supervisor.look_at_logs();
                if let Err(error) = written {
                    tracing::warn!(%error, "logs are looked at by the clock");
                    watch = None;
                }
            }
            _ = children.recv() => {}
            _ = hangup.recv() => {}
            // The shim can be replaced, its instances cannot: they stay.
            _ = terminate.recv() => {
                store.remove_socket();
                return Ok(());
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn written(watch: &mut Option<log::Watch>) -> io::Result<()> {
    match watch {
        Some(watch) => watch.written().await,
        None => std::future::pending().await,
    }
}

async fn lock(store: &Store) -> Result<std::fs::File, Error> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match store.lock()? {
            Some(file) => return Ok(file),
            None if Instant::now() < deadline => tokio::time::sleep(LOCK_POLL).await,
            None => return Err(Error::Held(store.directory().display().to_string())),
        }
    }
}

fn listen(store: &Store) -> Result<UnixListener, Error> {
    store.remove_socket();
    let directory = store.open_directory().map_err(system("opening the slot's directory"))?;
    let listener = UnixListener::bind(store::socket_by(&directory))
        .map_err(system("binding the shim's socket"))?;
    store.protect_socket().map_err(system("protecting the shim's socket"))?;
    Ok(listener)
}

// Whoever started the shim may have left; then nobody reads this and that is fine.
fn announce() {
    let mut out = io::stdout();
    if writeln!(out, "{READY}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody waited for the shim");
    }
}

/// The last bytes of an instance's log over its two files.
pub(super) fn tail_of_log(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    log::tail(path, bytes_max)
}
