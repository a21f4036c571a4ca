//! Backups and drills as the API shows them.
//! Must never hold the password of a connection: the plan has none.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The backups of a service, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Backups {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// What recovery would reach now.
    pub(crate) recovery: Recovery,
    /// Copies.
    pub(crate) backups: Vec<Backup>,
    /// Rehearsals.
    pub(crate) drills: Vec<Drill>,
}

/// What recovery would reach now, and what it must reach; seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Recovery {
    /// How much would be lost: since the newest moment that a copy can bring back.
    pub(crate) loss_s: Option<i64>,
    /// How much may be lost, as declared.
    pub(crate) rpo_s: Option<i64>,
    /// How long being back took in the newest drill that passed.
    pub(crate) back_s: Option<f64>,
    /// How long it may take, as declared.
    pub(crate) rto_s: Option<i64>,
}

/// A copy that was made and read back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Backup {
    /// Its name.
    pub(crate) id: String,
    /// `postgres`, `mysql`, `sqlite`, `files` or `exec`.
    pub(crate) by: String,
    /// What was copied.
    pub(crate) of: String,
    /// The folder that it lies in, or what the names of its objects begin with.
    pub(crate) place: String,
    /// The bucket of those objects.
    pub(crate) bucket: Option<String>,
    /// Whom its bytes are encrypted to.
    pub(crate) encrypted_to: Option<String>,
    /// Its length.
    pub(crate) bytes: u64,
    /// SHA-256 of its bytes.
    pub(crate) digest: String,
    /// Tables or files in it, where they can be counted.
    pub(crate) parts: Option<u64>,
    /// Rows or bytes in them.
    pub(crate) rows: Option<u64>,
    /// The moment that it shows.
    pub(crate) made_at: Timestamp,
    /// Where a log is archived: the moment up to which that could bring it forward.
    pub(crate) log_at: Option<Timestamp>,
    /// How long it took, milliseconds.
    pub(crate) took_ms: u64,
    /// Not longer than until then.
    pub(crate) keep_until: Timestamp,
    /// Why it is kept beyond its time.
    pub(crate) held: Option<String>,
    /// Whether its bytes are being removed.
    pub(crate) expired: bool,
    /// The last rehearsal with it.
    pub(crate) drill: Option<Drill>,
}

/// A copy that was restored into scratch and compared.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drill {
    /// Which backup.
    pub(crate) backup: String,
    /// When it began.
    pub(crate) at: Timestamp,
    /// How long restoring and comparing took, milliseconds.
    pub(crate) took_ms: u64,
    /// `pass`, `fail` or `no-data`.
    pub(crate) outcome: String,
    /// One line for people.
    pub(crate) summary: String,
}

/// Where a copy was restored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Restored {
    /// Which backup.
    pub(crate) backup: String,
    /// Where.
    pub(crate) into: String,
    /// One line for people.
    pub(crate) sentence: String,
}
