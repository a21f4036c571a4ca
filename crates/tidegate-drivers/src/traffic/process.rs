//! The proxy as a process of its own: adopted when it runs, started when it does not.
//!
//! It must never stop a proxy, and never start a second one while the first may live, but for one
//! that takes its place: a proxy that accepts a connection is alive, however slow its answer.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tidegate_engine::ports::Failure;
use tidegate_proxy::wire;
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::files;
use crate::text;

use super::embedded::client::Client;

/// A living proxy answers in microseconds; one that takes this long is stopped or starved.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a new proxy may take to open its socket: it loads its tables and listens first.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one may take to replace another: both sides wait for each other's word for 10 s.
const REPLACE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a new proxy's socket is tried.
const START_POLL: Duration = Duration::from_millis(10);
/// The proxy's log begins anew beyond this, in bytes, when a proxy is started.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// What is shown of the log when the proxy did not start, in bytes.
const LOG_TAIL: u64 = 1024;

/// The proxy that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// Whether this call started it.
    pub started: bool,
}

/// One proxy took the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The process that drains.
    pub before: u32,
    /// The process that serves.
    pub now: u32,
}

/// Looks after one proxy.
#[derive(Debug)]
pub struct ProxyProcess {
    socket: PathBuf,
    command: Vec<OsString>,
    log: PathBuf,
    client: Client,
    // What this process started itself, to collect it when it ends.
    child: Mutex<Option<Child>>,
}

impl ProxyProcess {
    /// Looks after the proxy of that socket, which `command` (program and all arguments) runs.
    /// Its output goes to `proxy.log` in the state directory. Touches nothing yet.
    #[must_use]
    pub fn new(socket: PathBuf, command: Vec<OsString>, state_dir: impl AsRef<Path>) -> Self {
        let client = Client::with_timeout(socket.clone(), ANSWER_TIMEOUT);
        let log = state_dir.as_ref().join("proxy.log");
        Self { socket, command, log, client, child: Mutex::new(None) }
    }

    /// Starts the proxy unless it runs. Cheap while it runs: one question. For a loop that calls
    /// it a few times a second.
    ///
    /// # Errors
    /// [`Failure`] `TG5901` when it lives and does not answer, `TG5905` with its last words when
    /// it does not come up.
    pub async fn ensure_running(&self) -> Result<Running, Failure> {
        let mut child = self.child.lock().await;
        if self.listens().await? {
            // One of ours that gave way to another has ended by now, maybe: it is collected.
            if let Some(ended) = child.as_mut()
                && matches!(ended.try_wait(), Ok(Some(_)))
            {
                *child = None;
            }
            return self.running(false).await;
        }
        // Nobody listens. One of ours may be starting, or about to end.
        if let Some(running) = child.as_mut()
            && !matches!(running.try_wait(), Ok(Some(_)))
        {
            self.wait(running).await?;
            return self.running(false).await;
        }
        let mut started = self.start().map_err(|error| self.failed(&error.to_string()))?;
        let up = self.wait(&mut started).await;
        *child = Some(started);
        up?;
        self.running(true).await
    }

    /// Starts the command, which takes the place of the proxy that runs, and waits until it
    /// serves. The other one goes on until then, and for good when this fails.
    ///
    /// # Errors
    /// [`Failure`] `TG5901` when no proxy answers, `TG5905` with the last words of one that did
    /// not come up.
    pub async fn replace(&self) -> Result<Replaced, Failure> {
        let before = self.running(false).await?.pid;
        let mut started = self.start().map_err(|error| self.failed(&error.to_string()))?;
        let Some(now) = started.id() else { return Err(self.failed("it ended at once")) };
        let deadline = Instant::now() + REPLACE_TIMEOUT;
        loop {
            // Around the moment of the change an answer may fail; the next one counts.
            if self.running(false).await.is_ok_and(|running| running.pid == now) {
                return Ok(Replaced { before, now });
            }
            match started.try_wait() {
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(START_POLL).await,
                Ok(None) => return Err(self.failed("it did not take over in time")),
                Ok(Some(status)) => return Err(self.failed(&crate::once::words(status))),
                Err(error) => return Err(self.failed(&error.to_string())),
            }
        }
    }

    async fn running(&self, started: bool) -> Result<Running, Failure> {
        let report: wire::StatusReport = self.client.get(wire::PATH_STATUS, &[]).await?;
        Ok(Running { pid: report.pid, started })
    }

    // `Err` when nothing certain can be said.
    async fn listens(&self) -> Result<bool, Failure> {
        let connecting = UnixStream::connect(&self.socket);
        match tokio::time::timeout(ANSWER_TIMEOUT, connecting).await {
            Ok(Ok(_stream)) => Ok(true),
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
                _ => Err(Failure::retryable("TG5901", self.named(&error.to_string()))),
            },
            Err(_elapsed) => {
                Err(Failure::retryable("TG5901", self.named("it accepts no connection")))
            }
        }
    }

    fn start(&self) -> io::Result<Child> {
        let log = &self.log;
        files::make_private(log.parent().unwrap_or(log))?;
        let full = std::fs::metadata(log).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX);
        let mut options = OpenOptions::new();
        options.create(true).mode(0o600);
        if full {
            options.write(true).truncate(true);
        } else {
            options.append(true);
        }
        let out = options.open(log)?;
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| io::Error::other("no proxy command is configured"))?;
        tokio::process::Command::new(program)
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // A group of its own: Ctrl-C at the server's terminal does not concern it.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
    }

    async fn wait(&self, child: &mut Child) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if self.listens().await? {
                return Ok(());
            }
            match child.try_wait() {
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(START_POLL).await,
                Ok(None) => return Err(self.failed("it did not open its socket in time")),
                Ok(Some(status)) => return Err(self.failed(&crate::once::words(status))),
                Err(error) => return Err(self.failed(&error.to_string())),
            }
        }
    }

    fn named(&self, what: &str) -> String {
        format!("the proxy at {}: {what}", self.socket.display())
    }

    fn failed(&self, what: &str) -> Failure {
        let said = files::tail(&self.log, LOG_TAIL).unwrap_or_default();
        let said = text::last_lines(&said, 3);
        Failure::retryable("TG5905", format!("{}; {said}", self.named(what)))
    }
}
