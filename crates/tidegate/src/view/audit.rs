//! The audit as the API answers. Must never show an entry otherwise than it was hashed.

use serde::{Deserialize, Serialize};
use tidegate_audit::bundle::{Manifest, Proven};
use utoipa::ToSchema;

/// One entry of the journal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// Its place among all entries, from 0.
    pub(crate) position: u64,
    /// The stream, `service/environment`.
    pub(crate) stream: String,
    /// Its number in the stream.
    pub(crate) seq: u64,
    /// When.
    pub(crate) at: jiff::Timestamp,
    /// Who caused it: `person:ada`, `robot:ci`, `tidegate`, `proxy:main`.
    pub(crate) actor: String,
    /// What kind of event.
    pub(crate) kind: String,
    /// The event as it was recorded.
    pub(crate) event: serde_json::Value,
    /// The leaf of the tree that it is, lower-case hex.
    pub(crate) leaf: String,
}

/// Entries in the order in which they were written.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entries {
    /// Some of them.
    pub(crate) entries: Vec<Entry>,
    /// Where the next ones begin (`from`); absent when these are the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u64>,
}

/// The journal's signed head.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Checkpoint {
    /// A signed note of C2SP: origin, entries, root, signature.
    pub(crate) note: String,
    /// The public key that it is signed with.
    pub(crate) key: String,
    /// Whether two places or more outside have a checkpoint.
    pub(crate) anchored: bool,
    /// One sentence about that.
    pub(crate) sentence: String,
    /// The places that get checkpoints.
    pub(crate) places: Vec<Place>,
}

/// A place outside the database that gets checkpoints.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Place {
    /// Which.
    pub(crate) name: String,
    /// Whether it is outside: not on the journal's file system or with its owner.
    pub(crate) outside: bool,
    /// Entries of the last checkpoint that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// When it took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<jiff::Timestamp>,
    /// Why it did not take the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// The root over the first entries.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Root {
    /// Entries.
    pub(crate) size: u64,
    /// The root, lower-case hex; absent when the journal has fewer entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<String>,
}

/// What a bundle of a deployment is made of, all but the reports' bytes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Proof {
    /// What it is about.
    #[schema(value_type = Object)]
    pub(crate) manifest: Manifest,
    /// A signed note of C2SP.
    pub(crate) checkpoint: String,
    /// The entries with their proofs.
    #[schema(value_type = Vec<Object>)]
    pub(crate) entries: Vec<Proven>,
    /// The reports that the entries name.
    pub(crate) reports: Vec<Named>,
}

/// A report that entries name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Named {
    /// SHA-256 of its bytes.
    pub(crate) digest: String,
    /// The name under which it was added.
    pub(crate) name: String,
}
