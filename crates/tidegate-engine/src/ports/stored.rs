//! What a journal gives back, and what it says when it does not.
//! Must never hold what no event said.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_core::event::{Ending, Recorded};
use tidegate_core::ids::{Actor, DeploymentId, Scope};

/// An entry at its place among those of all streams.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its place: grows without end, with no meaning but the order.
    pub position: u64,
    /// Its stream; `None` when that cannot be read.
    pub scope: Option<Scope>,
    /// The event, or why there is none.
    pub recorded: Result<Recorded, JournalError>,
}

/// A state at a sequence, encoded by the engine. Thrown away when its schema is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The sequence it stands at.
    pub seq: u64,
    /// Version of its encoding.
    pub schema: u32,
    /// The encoded state.
    pub bytes: Vec<u8>,
}

/// One line of the list of deployments, kept in the same transaction as its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentRow {
    /// Its id.
    pub deployment: DeploymentId,
    /// Whose it is.
    pub scope: Scope,
    /// The version it brings.
    pub version: String,
    /// Sequence of its first event.
    pub first_seq: u64,
    /// Sequence of its last event; `None` while it is in flight.
    pub last_seq: Option<u64>,
    /// When it began.
    pub started_at: Timestamp,
    /// Who began it.
    pub started_by: Actor,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How.
    pub ending: Option<Ending>,
    /// One line for people.
    pub why: Option<String>,
}

/// What a verification counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Events, each with its leaf.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Root of the tree over all leaves, lower-case hex.
    pub root: String,
}

/// What the store said.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The stream is not where the writer thought.
    #[error("the stream is at {actual}, not at {expected}")]
    Conflict {
        /// What the writer thought.
        expected: u64,
        /// Where it is.
        actual: u64,
    },
    /// The writer's epoch is not the current one.
    #[error("epoch {epoch} was replaced by {current}")]
    Fenced {
        /// The writer's.
        epoch: u64,
        /// The current one.
        current: u64,
    },
    /// Another writer holds the lease.
    #[error("{holder} holds this state directory")]
    Held {
        /// Who.
        holder: String,
    },
    /// Stored content does not fit.
    #[error("{what}")]
    Damaged {
        /// `TGxxxx`.
        code: &'static str,
        /// Which entry, and how.
        what: String,
    },
    /// The store did not do it; whether it took effect is unknown.
    #[error("{what}")]
    Unavailable {
        /// `TGxxxx`.
        code: &'static str,
        /// What it said.
        what: String,
    },
}
