//! Ports of what is done once for a deployment: custom steps and backups.
//! Must never be asked for a level: what is done here has an end.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::backup::{BackupRecord, DrillRecord};
use tidegate_core::effect::StepJob;
use tidegate_core::ids::{DeploymentId, Scope};
use tidegate_core::input::StepReport;
use tidegate_core::plan::Backup;

use super::Failure;

/// What carries out custom steps.
///
/// # Guarantees
/// An attempt is carried out at most once, whoever dies in between.
/// # Idempotency
/// Asked again about an attempt that began, it says what became of it: what was recorded, else what
/// the step's own `verify` says, else that it is lost. Only a step that says that it is idempotent
/// is done again.
/// # Errors
/// None: whatever goes wrong is a report.
#[async_trait]
pub trait Steps: Send + Sync + fmt::Debug {
    /// Carries out one attempt, and returns when it is over. Dropping the call stops it.
    async fn attempt(&self, deployment: &DeploymentId, attempt: u32, job: &StepJob) -> StepReport;
}

/// What makes copies of data, and shows that they are good.
///
/// # Guarantees
/// What `make` returns lies whole under its name and was flushed to the disk.
#[async_trait]
pub trait Backups: Send + Sync + fmt::Debug {
    /// Makes a copy of what is there now.
    ///
    /// # Errors
    /// [`Failure`] when there is no copy; nothing of it stays then.
    async fn make(
        &self,
        scope: &Scope,
        backup: &Backup,
        now: Timestamp,
    ) -> Result<BackupRecord, Failure>;

    /// Reads all of a copy and compares it with its digest.
    ///
    /// # Errors
    /// [`Failure`] when it is missing or is another.
    async fn verify(&self, record: &BackupRecord) -> Result<(), Failure>;

    /// Restores a copy into scratch, compares what is there with what was copied, and takes it away.
    async fn drill(&self, backup: &Backup, record: &BackupRecord, now: Timestamp) -> DrillRecord;

    /// Restores a copy into a place that is empty, and says where.
    ///
    /// # Errors
    /// [`Failure`] when the place is not empty, or the copy is not good.
    async fn restore(
        &self,
        backup: &Backup,
        record: &BackupRecord,
        into: &str,
    ) -> Result<String, Failure>;

    /// Removes the bytes of a copy. One that is gone is none to miss.
    ///
    /// # Errors
    /// [`Failure`] when they are still there.
    async fn remove(&self, record: &BackupRecord) -> Result<(), Failure>;
}
