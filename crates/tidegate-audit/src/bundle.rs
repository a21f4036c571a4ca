//! Evidence bundles: one file with everything that was recorded of a deployment, which proves
//! itself against a log's public key and needs nothing else.
//!
//! It is a tar file: `manifest.json`, `checkpoint` (a signed note), `entries.jsonl` (each entry
//! with its position and its proof), then `reports/DIGEST`. Must never call a bundle verified of
//! which one byte was left unchecked.

mod check;
mod write;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::Entry;
use crate::merkle::Hash;
use crate::note::Refused;

pub use check::check;
pub use write::Writer;

/// The form of bundles that this build writes and reads.
pub const FORM: &str = "tidegate.bundle.v1";

/// What a bundle is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORM`].
    pub form: String,
    /// The deployment.
    pub deployment: String,
    /// Its stream, `service/environment`.
    pub stream: String,
    /// The version it brought.
    pub version: String,
    /// Number of its first entry in the stream.
    pub first_seq: u64,
    /// Number of its last entry; absent when it had not ended.
    pub last_seq: Option<u64>,
}

/// An entry with what proves its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// Its place among all entries of the log, from 0.
    pub position: u64,
    /// The entry.
    pub entry: Entry,
    /// The hashes beside its way to the root, lowest first, lower-case hex.
    pub proof: Vec<String>,
}

impl Proven {
    /// An entry and its proof.
    #[must_use]
    pub fn new(position: u64, entry: Entry, proof: &[Hash]) -> Self {
        Self { position, entry, proof: proof.iter().map(|hash| HEXLOWER.encode(hash)).collect() }
    }

    fn hashes(&self) -> Option<Vec<Hash>> {
        let hash = |text: &String| HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
        self.proof.iter().map(hash).collect()
    }
}

/// What a bundle proves, and what it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What it is about.
    pub manifest: Manifest,
    /// The log whose key signed.
    pub log: String,
    /// Entries of the log when the bundle was made.
    pub size: u64,
    /// The root over them, lower-case hex.
    pub root: String,
    /// Entries that stand in the log as they stand here.
    pub entries: u64,
    /// Reports whose bytes are those of the log.
    pub reports: u64,
    /// What happened, one line an entry of the deployment.
    pub course: Vec<Line>,
    /// What does not fit. A bundle is good when there is nothing here.
    pub problems: Vec<String>,
}

/// One entry in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number in the stream.
    pub seq: u64,
    /// When, microseconds since 1970 in UTC.
    pub at_us: i64,
    /// Who, `person:ada`.
    pub actor: String,
    /// What kind of event.
    pub kind: String,
}

/// Why a file cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read, or is no tar file.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A part is missing, too long or not what it must be.
    #[error("{0}")]
    Part(String),
    /// The checkpoint is not signed by the key.
    #[error("its checkpoint is worth nothing: {0}")]
    Checkpoint(#[from] Refused),
}
