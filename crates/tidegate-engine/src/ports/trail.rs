//! The journal as auditors read it: entries of all streams in the order of the tree, and proofs.
//! The engine itself never asks it. Must never leave an entry out of an answer without saying so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_audit::Entry;
use tidegate_audit::merkle::Hash;
use tidegate_core::ids::{Actor, Scope};

use super::{Failure, JournalError};

/// Which entries are wanted. Nothing set: all of them.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// At this position or after it.
    pub from: u64,
    /// Of this stream.
    pub stream: Option<Scope>,
    /// Of this kind, `approval_given`.
    pub kind: Option<String>,
    /// Caused by this actor, as [`actor_text`] writes it.
    pub actor: Option<String>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Proofs in one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proofs {
    /// The tree.
    pub head: TreeHead,
    /// For each position the hashes beside its way to the root, lowest first.
    pub paths: BTreeMap<u64, Vec<Hash>>,
}

/// Every entry of a journal, with proofs.
#[async_trait]
pub trait Trail: Send + Sync + fmt::Debug {
    /// Where the journal ends.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn head(&self) -> Result<TreeHead, JournalError>;

    /// Entries with their positions, in the order in which they were written, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when an entry is not what its leaf was made of.
    async fn entries(&self, wanted: &Wanted, limit: u32)
    -> Result<Vec<(u64, Entry)>, JournalError>;

    /// The tree over the first `size` entries with the proofs of these positions in it; `None` when
    /// the journal has fewer. It reads every leaf once: seconds for some million entries.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when the leaves do not give the root that was stored.
    async fn prove(
        &self,
        size: u64,
        positions: &BTreeSet<u64>,
    ) -> Result<Option<Proofs>, JournalError>;
}

/// An actor as entries name it: `person:ada`, `tidegate`, `proxy:main`.
#[must_use]
pub fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::Person(name) => format!("person:{name}"),
        Actor::Robot(name) => format!("robot:{name}"),
        Actor::Tidegate => "tidegate".to_owned(),
        Actor::Proxy(name) => format!("proxy:{name}"),
    }
}

/// A place outside the database that keeps checkpoints, where who rewrites the one cannot reach.
#[async_trait]
pub trait Anchor: Send + Sync + fmt::Debug {
    /// Which, for people.
    fn name(&self) -> &str;

    /// Whether it is beyond the reach of who owns the journal's file.
    fn outside(&self) -> bool;

    /// Keeps a signed checkpoint; older ones stay where the place can keep several.
    ///
    /// # Errors
    /// A failure of the place; the same checkpoint may be put again.
    async fn put(&self, note: &str) -> Result<(), Failure>;

    /// The newest checkpoint that it has; `None` when it has none or cannot be asked.
    ///
    /// # Errors
    /// A failure of the place: whether it has one is unknown.
    async fn newest(&self) -> Result<Option<String>, Failure>;
}
