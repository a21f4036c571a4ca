//! The backup before a deployment: a young one is read back, else a new one is made, and it is
//! restored where the plan wants that.
//! Must never pass one that was not read back.

use tidegate_core::effect::BackupJob;
use tidegate_core::input::BackupReport;
use tidegate_core::verdict::Outcome;

use crate::ports::{Failure, FailureKind, Ports};

/// Makes it, or finds one that is good.
pub(crate) async fn before(ports: &Ports, job: &BackupJob) -> BackupReport {
    let Some(backup) = &job.backup else {
        let what = "the plan demands a backup and does not say of what".to_owned();
        return none(Outcome::NoData, what, false);
    };
    let known = match &job.recent {
        Some(recent) => ports.backups.verify(recent).await.ok().map(|()| recent),
        None => None,
    };
    let (record, made) = match known {
        Some(recent) => (recent.clone(), None),
        None => match ports.backups.make(&job.scope, backup, ports.clock.now()).await {
            Ok(record) => (record.clone(), Some(record)),
            Err(failure) => return refused(&failure),
        },
    };
    // What was written is read once more, as whoever restores it would.
    if let Err(failure) = ports.backups.verify(&record).await {
        return refused(&failure);
    }
    if !backup.drill {
        let summary = format!("{}, read back", record.sentence());
        let (outcome, retryable) = (Outcome::Pass, false);
        return BackupReport { outcome, summary, retryable, made, drill: None };
    }
    let drill = ports.backups.drill(backup, &record, ports.clock.now()).await;
    BackupReport {
        outcome: drill.outcome,
        summary: format!("{}; {} in {} ms", record.sentence(), drill.summary, drill.took_ms),
        retryable: false,
        made,
        drill: Some(drill),
    }
}

/// Nothing was made.
pub(crate) fn none(outcome: Outcome, summary: String, retryable: bool) -> BackupReport {
    BackupReport { outcome, summary, retryable, made: None, drill: None }
}

fn refused(failure: &Failure) -> BackupReport {
    let summary = format!("{}: {}", failure.code, failure.what);
    none(Outcome::Fail, summary, failure.kind == FailureKind::Retryable)
}
