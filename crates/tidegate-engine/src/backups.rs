//! The backup before a deployment: a young one is read back, else a new one is made, and it is
//! restored where the plan wants that.
//! Must never pass one that was not read back.

use jiff::Timestamp;
use tidegate_core::backup::{BackupRecord, DrillRecord, missed};
use tidegate_core::effect::BackupJob;
use tidegate_core::input::BackupReport;
use tidegate_core::plan::Backup;
use tidegate_core::verdict::Outcome;

use crate::ports::{Failure, FailureKind, Ports};

/// Makes it, or finds one that is good.
pub(crate) async fn before(ports: &Ports, job: &BackupJob) -> BackupReport {
    let Some(backup) = &job.backup else {
        let what = "the plan demands a backup and does not say of what".to_owned();
        return none(Outcome::NoData, what, false);
    };
    let known = match &job.recent {
        Some(recent) => ports.backups.verify(recent).await.ok().map(|()| recent.clone()),
        None => None,
    };
    let (record, made) = match known {
        Some(recent) => (recent, None),
        None => match fresh(ports, job, backup).await {
            Ok(record) => (record.clone(), Some(record)),
            Err(failure) => return refused(&failure),
        },
    };
    let drill = match backup.drill {
        true => Some(ports.backups.drill(backup, &record, ports.clock.now()).await),
        false => None,
    };
    judged(backup, &record, made, drill, ports.clock.now())
}

/// A new one. What was written is read once more, as whoever restores it would.
async fn fresh(ports: &Ports, job: &BackupJob, backup: &Backup) -> Result<BackupRecord, Failure> {
    let record = ports.backups.make(&job.scope, backup, ports.clock.now()).await?;
    ports.backups.verify(&record).await?;
    Ok(record)
}

/// What a copy and its drill come to, held against what recovery must reach.
fn judged(
    backup: &Backup,
    record: &BackupRecord,
    made: Option<BackupRecord>,
    drill: Option<DrillRecord>,
    now: Timestamp,
) -> BackupReport {
    let shown = drill.as_ref().map_or_else(
        || "read back".to_owned(),
        |drill| format!("{} in {} ms", drill.summary, drill.took_ms),
    );
    let (outcome, said) = match drill.as_ref().map_or(Outcome::Pass, |drill| drill.outcome) {
        Outcome::Pass => match missed(backup, record, drill.as_ref(), now) {
            Some(missed) => (Outcome::Fail, format!("{shown}; TG6626: {missed}")),
            None => (Outcome::Pass, shown),
        },
        other => (other, shown),
    };
    let summary = format!("{}; {said}", record.sentence());
    BackupReport { outcome, summary, retryable: false, made, drill }
}

/// Nothing was made.
pub(crate) fn none(outcome: Outcome, summary: String, retryable: bool) -> BackupReport {
    BackupReport { outcome, summary, retryable, made: None, drill: None }
}

fn refused(failure: &Failure) -> BackupReport {
    let summary = format!("{}: {}", failure.code, failure.what);
    none(Outcome::Fail, summary, failure.kind == FailureKind::Retryable)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tidegate_core::digest::Digest;
    use tidegate_core::plan::{BackupOf, Place, Targets};

    use super::*;

    #[test]
    fn a_copy_that_misses_what_recovery_must_reach_is_no_pass() {
        let now: Timestamp = "2026-11-25T17:00:00Z".parse().unwrap();
        let minutes = SignedDuration::from_mins;
        let of = BackupOf::Sqlite { path: "/srv/shop.db".to_owned() };
        let backup = |rpo, rto| Backup {
            of: of.clone(),
            to: Place::Own,
            newer_than: minutes(60),
            drill: true,
            drill_at: None,
            encrypt: None,
            keep: minutes(600),
            timeout: minutes(10),
            targets: Targets { rpo, rto },
        };
        let record = BackupRecord {
            id: "b-1".to_owned(),
            of: of.clone(),
            place: "/srv/backups/b-1".to_owned(),
            bucket: None,
            encrypted_to: None,
            bytes: 1,
            digest: Digest::of(b"copy"),
            content: None,
            made_at: now.checked_sub(minutes(10)).unwrap(),
            log_at: None,
            took_ms: 1,
            keep_until: now,
        };
        let drill = |outcome| DrillRecord {
            backup: "b-1".to_owned(),
            at: now,
            took_ms: 120_000,
            outcome,
            summary: "restored".to_owned(),
        };
        let judge = |rpo, rto, drill: Option<DrillRecord>| {
            let report = judged(&backup(rpo, rto), &record, None, drill, now);
            (report.outcome, report.summary)
        };
        let met = judge(Some(minutes(10)), Some(minutes(2)), Some(drill(Outcome::Pass)));
        assert_eq!(met.0, Outcome::Pass, "{met:?}");
        let (outcome, said) = judge(Some(minutes(9)), None, Some(drill(Outcome::Pass)));
        assert!(outcome == Outcome::Fail && said.contains("10m would be lost"), "{said}");
        let (outcome, said) = judge(None, Some(minutes(1)), Some(drill(Outcome::Pass)));
        assert!(outcome == Outcome::Fail && said.contains("took 2m"), "{said}");
        assert_eq!(judge(None, None, Some(drill(Outcome::NoData))).0, Outcome::NoData);
        assert_eq!(judge(None, Some(minutes(1)), None).0, Outcome::Pass, "nothing was timed");
    }
}
