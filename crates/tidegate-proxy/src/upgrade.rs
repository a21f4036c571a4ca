//! One proxy takes the place of another without losing a request.
//!
//! The newcomer asks on the handover socket beside the control socket. The elder sends its open
//! sockets and its lock (`SCM_RIGHTS`), and what no disk holds: running leases and kept ticks.
//! Both accept from the same sockets for a moment; then the elder stops, says goodbye to each
//! client with its next answer, and ends when its last request and tunnel did.
//!
//! Until the newcomer says that it serves, the elder can go on as if nothing had happened. Two
//! proxies must never both write the state directory, and an elder must never serve by a table
//! that its successor has replaced.

pub(crate) mod giving;
mod rights;
pub(crate) mod taking;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk::Record;
use crate::wire::{RevisionTick, Tick};

/// The form of everything below. Another number is refused, and the elder goes on.
const VERSION: u32 = 1;
/// How long each side waits for the other's next word while nothing is decided yet.
const WORD_WAIT: Duration = Duration::from_secs(10);
/// Longest line: the kept ticks of one service are about 6 MiB as memory, twice that as text.
const LINE_BYTES: u64 = 64 * 1_048_576;

/// Where a newcomer asks.
pub(crate) fn path_beside(control: &Path) -> PathBuf {
    control.with_extension("handover")
}

/// The newcomer's first word.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    version: u32,
    pid: u32,
    /// How long the elder's requests and tunnels may go on, milliseconds.
    drain_ms: u64,
}

/// The elder's answer, after the descriptors; then one [`Heirloom`] a service.
#[derive(Debug, Serialize, Deserialize)]
struct Estate {
    version: u32,
    pid: u32,
    started_at_ms: u64,
    services: usize,
}

/// What is known of a service and stands on no disk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Heirloom {
    pub(crate) service: String,
    pub(crate) lease_left_ms: Option<u64>,
    /// Number of the next tick.
    pub(crate) next_tick: u64,
    pub(crate) ticks: Vec<Tick>,
}

/// The newcomer accepts connections.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {}

/// The elder has stopped accepting.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Go {
    /// Those that are not on disk: an override must not be lost because it fell into this moment.
    pub(crate) records: Vec<Record>,
    /// What is in progress at the elder. The newcomer must know before anybody asks it.
    pub(crate) residues: Vec<Residue>,
}

/// From the elder, once a tick until it ends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Residue {
    pub(crate) service: String,
    /// Requests that found no revision.
    pub(crate) no_backend: u64,
    /// Latency limits of the policy its histograms are made for.
    pub(crate) limits_ms: Vec<f64>,
    /// Counts since the last residue, and what is in progress now.
    pub(crate) revisions: Vec<RevisionTick>,
}

/// To the elder, until it ends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Serve by this from now on.
    Follow(Box<Record>),
    /// Cut the tunnels of a revision.
    Cut { service: String, revision: String },
}

/// Why one proxy could not take another's place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("nobody listens")]
    Nobody(#[source] std::io::Error),
    #[error("the other side broke off")]
    Broken(#[from] std::io::Error),
    #[error("the other side is not understood")]
    Words(#[from] serde_json::Error),
    #[error("the other side speaks version {theirs} of the handover, this one {VERSION}")]
    Version { theirs: u32 },
    #[error("the descriptors that came are not the ones announced")]
    Descriptors,
    #[error("it has no successor to give way to at this moment: {0}")]
    Busy(&'static str),
}
