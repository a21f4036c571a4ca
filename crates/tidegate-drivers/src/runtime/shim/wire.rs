//! What the runtime driver and a shim say to each other: one JSON line there, one back, over the
//! slot's unix socket. A shim may be older than the server that asks it, so fields are only ever
//! added, with defaults. Must never carry a type of the core: those change with releases.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::digest::Digest;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::store::{Store, socket_by};

/// Longest line in either direction, in bytes: an environment of 64 instances fits many times.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A caller that says nothing for this long is hung up on.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is meant to run in the slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Label of the revision.
    pub(crate) revision: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// Declared variables.
    pub(crate) env: BTreeMap<String, String>,
    /// Working directory: the artifact.
    pub(crate) directory: PathBuf,
    /// Variable that carries the port; `None` for a worker, which has no port.
    pub(crate) port_env: Option<String>,
    /// How many.
    pub(crate) instances: u32,
    /// Between SIGTERM and SIGKILL, milliseconds.
    pub(crate) grace_ms: u64,
    /// Memory that reads as 100 %, bytes.
    pub(crate) memory_max: Option<u64>,
    /// Most bytes kept of each instance's log.
    pub(crate) log_bytes_max: u64,
}

impl Wanted {
    /// Names exactly how one instance is run: instances of another run are replaced.
    pub(crate) fn run(&self) -> Digest {
        let one = Self { instances: 1, ..self.clone() };
        // Serialising plain strings and numbers cannot fail; if it did, no two runs would be
        // mistaken for another, because the debug form differs as well.
        let bytes = serde_json::to_vec(&one).unwrap_or_else(|_| format!("{one:?}").into_bytes());
        Digest::of(&bytes)
    }
}

/// What a shim is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub(crate) enum Request {
    /// Bring this about.
    Ensure {
        /// Who wishes.
        epoch: u64,
        /// What.
        wanted: Option<Box<Wanted>>,
    },
    /// Say what is there.
    Observe,
    /// Say how busy it is.
    Usage,
}

/// What a shim answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub(crate) enum Reply {
    /// It is under way.
    Accepted,
    /// Somebody with a higher epoch was here.
    Fenced {
        /// The highest epoch seen.
        seen: u64,
    },
    /// What is there.
    Observed(Observed),
    /// How busy it is.
    Usage {
        /// Percent of the processors, the busiest instance.
        cpu_percent: Option<f64>,
        /// Percent of the memory limit, the largest instance.
        memory_percent: Option<f64>,
    },
    /// It could not be done.
    Failed {
        /// Why.
        what: String,
    },
}

/// What is in a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Observed {
    /// Label of the revision.
    pub(crate) revision: Option<String>,
    /// Instances that accept work.
    pub(crate) ready: u32,
    /// Instances that exist.
    pub(crate) total: u32,
    /// `address:port` of each instance that listens, in their order.
    pub(crate) endpoints: Vec<String>,
    /// What is wrong, one line.
    pub(crate) problem: Option<String>,
}

/// A request on its way to the supervisor.
#[derive(Debug)]
pub(crate) struct Call {
    /// What is asked.
    pub(crate) request: Request,
    /// Where the reply goes.
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// Why a shim was not asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody listens.
    #[error("no shim listens")]
    Gone,
    /// It did not answer in time.
    #[error("the shim did not answer within {0:?}")]
    Silent(Duration),
    /// The exchange broke.
    #[error("the exchange with the shim broke: {0}")]
    Broken(io::Error),
}

/// Asks the shim of a slot.
///
/// # Errors
/// [`Error::Gone`] only when certainly nobody listens.
pub(crate) async fn ask(store: &Store, request: &Request, limit: Duration) -> Result<Reply, Error> {
    match tokio::time::timeout(limit, exchange(store, request)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Error::Silent(limit)),
    }
}

async fn exchange(store: &Store, request: &Request) -> Result<Reply, Error> {
    let directory = match store.open_directory() {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Gone),
        Err(error) => return Err(Error::Broken(error)),
    };
    let stream = match UnixStream::connect(socket_by(&directory)).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(Error::Gone);
        }
        Err(error) => return Err(Error::Broken(error)),
    };
    let (reading, mut writing) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(|error| Error::Broken(error.into()))?;
    line.push(b'\n');
    writing.write_all(&line).await.map_err(Error::Broken)?;
    let mut answer = Vec::new();
    let mut reading = BufReader::new(reading).take(LINE_BYTES_MAX);
    reading.read_until(b'\n', &mut answer).await.map_err(Error::Broken)?;
    if answer.is_empty() {
        return Err(Error::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_slice(&answer).map_err(|error| Error::Broken(error.into()))
}

/// Reads one request of a connection, waits for the supervisor, writes the reply.
pub(crate) async fn answer(stream: UnixStream, calls: mpsc::Sender<Call>) {
    let served = tokio::time::timeout(PATIENCE, serve_one(stream, calls)).await;
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a caller was not answered"),
        Err(_elapsed) => tracing::debug!("a caller said nothing"),
    }
}

async fn serve_one(stream: UnixStream, calls: mpsc::Sender<Call>) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    BufReader::new(reading).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    let reply = match serde_json::from_slice(&line) {
        Ok(request) => {
            let (reply, replied) = oneshot::channel();
            let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
            calls.send(Call { request, reply }).await.map_err(|_closed| gone())?;
            replied.await.map_err(|_closed| gone())?
        }
        Err(error) => Reply::Failed { what: format!("the request cannot be read: {error}") },
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    // failpoint: shim.answer.before
    let written = writing.write_all(&bytes).await;
    // failpoint: shim.answer.after
    written
}
