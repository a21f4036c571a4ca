//! Backups that were made, drills that were run, and how long each is kept.
//! Must never count a copy that nobody has read back, nor let go of one that is held.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::plan::{Backup, BackupOf, Bucket};
use crate::state::State;
use crate::verdict::Outcome;

/// Most backups of one service that are remembered.
pub const BACKUPS_MAX: usize = 256;
/// Most drills that are remembered, newest last.
pub const DRILLS_MAX: usize = 64;

/// A copy that was made, read back and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Its name: `b-20261125-170316-1f3a`.
    pub id: String,
    /// What was copied.
    pub of: BackupOf,
    /// The folder that it lies in, or what the names of its objects begin with.
    pub place: String,
    /// The bucket of those objects; `None` is a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// Whom its bytes are encrypted to; `None` is nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_to: Option<String>,
    /// Its length, bytes.
    pub bytes: u64,
    /// Digest of its bytes.
    pub digest: Digest,
    /// What was in it, where that can be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The moment that it shows.
    pub made_at: Timestamp,
    /// Where a log is archived: the moment up to which that could bring it forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_at: Option<Timestamp>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// Not longer than until then.
    pub keep_until: Timestamp,
}

impl BackupRecord {
    /// One line for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let content = self.content.as_ref().map(|content| format!(", {}", content.sentence()));
        let short = self.digest.as_str().get(..12).unwrap_or_default();
        let content = content.unwrap_or_default();
        let encrypted = if self.encrypted_to.is_some() { ", encrypted" } else { "" };
        let (id, of, bytes) = (&self.id, self.of.words(), self.bytes);
        format!("{id} of {of}: {bytes} bytes, {short}{encrypted}{content}")
    }

    /// The newest moment that it can bring back.
    #[must_use]
    pub fn reaches(&self) -> Timestamp {
        self.log_at.unwrap_or(self.made_at).max(self.made_at)
    }
}

/// What a copy holds: enough to say whether a restored one is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Tables, or files.
    pub parts: u64,
    /// Rows, or bytes.
    pub rows: u64,
    /// Digest over all of them, whatever their order.
    pub digest: Digest,
}

impl Content {
    /// One line for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} parts with {} rows", self.parts, self.rows)
    }
}

/// A rehearsal: a copy was restored into scratch and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRecord {
    /// Which backup.
    pub backup: String,
    /// When it began.
    pub at: Timestamp,
    /// How long restoring and comparing took, milliseconds.
    pub took_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// One line for people.
    pub summary: String,
}

impl DrillRecord {
    /// How long it took.
    #[must_use]
    pub fn took(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.took_ms).unwrap_or(i64::MAX))
    }
}

/// A backup with what has been said of it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBackup {
    /// The backup.
    pub backup: BackupRecord,
    /// Why it is kept beyond its time; only a person ends that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Whether its time is over, and its bytes are being removed.
    #[serde(default)]
    pub expired: bool,
}

/// Whether the last drill with a copy did not pass: nobody can rest on it.
fn failed_its_drill(state: &State, id: &str) -> bool {
    let last = state.drills.iter().rev().find(|drill| drill.backup == id);
    last.is_some_and(|drill| drill.outcome != Outcome::Pass)
}

/// The newest backup of the same thing that is no older than this at a moment.
#[must_use]
pub fn recent<'s>(
    state: &'s State,
    of: &BackupOf,
    newer_than: SignedDuration,
    at: Timestamp,
) -> Option<&'s BackupRecord> {
    let same = |kept: &&KeptBackup| {
        kept.backup.of == *of && !kept.expired && !failed_its_drill(state, &kept.backup.id)
    };
    let newest = state.backups.iter().rev().find(same)?;
    let fresh = at.duration_since(newest.backup.made_at) <= newer_than;
    (fresh && newer_than > SignedDuration::ZERO).then_some(&newest.backup)
}

/// What recovery would reach now: how much would be lost, and how long being back takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Since the newest moment that can be brought back; `None` when there is no copy.
    pub loss: Option<SignedDuration>,
    /// The time of the newest drill that passed; `None` when none did.
    pub back_within: Option<SignedDuration>,
}

impl Recovery {
    /// What the copies and drills of one thing say at a moment.
    #[must_use]
    pub fn measured(state: &State, of: &BackupOf, now: Timestamp) -> Self {
        let all = state.backups.iter().filter(|kept| !kept.expired).map(|kept| &kept.backup);
        let good = all.filter(|one| one.of == *of && !failed_its_drill(state, &one.id));
        let reached = good.map(BackupRecord::reaches).max();
        let passed = state.drills.iter().rev().find(|drill| drill.outcome == Outcome::Pass);
        Self {
            loss: reached.map(|reached| now.duration_since(reached).max(SignedDuration::ZERO)),
            back_within: passed.map(|drill| drill.took()),
        }
    }
}

/// Why a copy and its drill miss what was declared; `None` when they meet it.
#[must_use]
pub fn missed(
    backup: &Backup,
    record: &BackupRecord,
    drill: Option<&DrillRecord>,
    now: Timestamp,
) -> Option<String> {
    let loss = now.duration_since(record.reaches());
    if let Some(rpo) = backup.targets.rpo.filter(|rpo| loss > *rpo) {
        return Some(format!("{loss:#} would be lost, and the recovery point allows {rpo:#}"));
    }
    let took = drill.map(DrillRecord::took);
    let (rto, took) = backup.targets.rto.zip(took)?;
    (took > rto).then(|| format!("being back took {took:#}, and the recovery time allows {rto:#}"))
}

/// Those whose time is over. The newest of each thing stays, and so does what is held.
#[must_use]
pub fn overdue(state: &State, now: Timestamp) -> Vec<String> {
    let newest = |kept: &KeptBackup| {
        let same = state.backups.iter().rev().find(|other| other.backup.of == kept.backup.of);
        same.is_some_and(|other| other.backup.id == kept.backup.id)
    };
    let over = state.backups.iter().filter(|kept| {
        !kept.expired && kept.held.is_none() && kept.backup.keep_until <= now && !newest(kept)
    });
    over.map(|kept| kept.backup.id.clone()).collect()
}
