//! Backups: what was made before a deployment or by hand, what is held, and what is let go.
//! Must never let a deployment go on with a copy that was not read back.

use super::Draft;
use super::duties;
use super::observe::{asked, backoff};
use crate::backup::{BackupRecord, DrillRecord, overdue};
use crate::event::Event;
use crate::ids::DeploymentId;
use crate::input::BackupReport;
use crate::rejection::Rejection;
use crate::state::TaskId;

/// Longest reason for which a backup is held, bytes.
const REASON_BYTES_MAX: usize = 500;

/// The backup of a deployment was made and read back, or was not.
pub(super) fn reported(draft: &mut Draft, id: &DeploymentId, attempt: u32, report: &BackupReport) {
    let Some(current) = draft.state.current.as_ref().filter(|current| current.id == *id) else {
        return;
    };
    if !asked(current, &TaskId::Backup, attempt) {
        return;
    }
    let good = report.outcome.allows_progress();
    let again = !good && report.retryable && attempt < current.plan.limits.attempts;
    if let Some(backup) = &report.made {
        made(draft, backup);
    }
    if let Some(drill) = &report.drill {
        drilled(draft, drill);
    }
    draft.emit(Event::TaskFinished {
        deployment: id.clone(),
        task: TaskId::Backup,
        attempt,
        outcome: report.outcome,
        summary: report.summary.clone(),
        retry_at: again.then(|| draft.now.checked_add(backoff(attempt)).unwrap_or(draft.now)),
    });
}

/// A backup is there. What is past its time goes now, when something newer has come.
pub(super) fn made(draft: &mut Draft, backup: &BackupRecord) {
    let known = draft.state.backups.iter().any(|kept| kept.backup.id == backup.id);
    if known {
        return;
    }
    draft.emit(Event::BackupMade { backup: backup.clone() });
    for id in overdue(&draft.state, draft.now) {
        draft.emit(Event::BackupExpired { id });
    }
}

/// A drill was run.
pub(super) fn drilled(draft: &mut Draft, drill: &DrillRecord) {
    draft.emit(Event::BackupDrilled { drill: drill.clone() });
    duties::drilled(draft, drill);
}

/// The bytes of one whose time was over are gone.
pub(super) fn dropped(draft: &mut Draft, id: &str) {
    let expired = draft.state.backups.iter().any(|kept| kept.backup.id == id && kept.expired);
    if expired {
        draft.emit(Event::BackupDropped { id: id.to_owned() });
    }
}

/// A person holds one beyond its time, or lets it go.
pub(super) fn hold(draft: &mut Draft, id: &str, held: bool, reason: &str) -> Result<(), Rejection> {
    let refused =
        |what: &str| Rejection::BackupInvalid { id: id.to_owned(), what: what.to_owned() };
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(refused("say in 1 to 500 bytes why"));
    }
    let known = draft.state.backups.iter().find(|kept| kept.backup.id == id && !kept.expired);
    let Some(known) = known else {
        return Err(refused("there is none of that name"));
    };
    if known.held.is_some() != held {
        draft.emit(Event::BackupHeld { id: id.to_owned(), held, reason: reason.to_owned() });
    }
    Ok(())
}
