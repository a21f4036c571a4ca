//! What the events of backups and duties change.
//! Must never take one off the list whose bytes are still there.

use super::keep_newest;
use crate::backup::{BACKUPS_MAX, DRILLS_MAX, KeptBackup};
use crate::duty::{DONE_MAX, Done};
use crate::event::{Event, Recorded};
use crate::state::State;

pub(super) fn fold(state: &mut State, recorded: &Recorded) {
    match &recorded.event {
        Event::BackupMade { backup } => {
            let kept = KeptBackup { backup: backup.clone(), held: None, expired: false };
            state.backups.push(kept);
            keep_newest(&mut state.backups, BACKUPS_MAX);
        }
        Event::BackupDrilled { drill } => {
            state.drills.push(drill.clone());
            keep_newest(&mut state.drills, DRILLS_MAX);
        }
        Event::BackupHeld { id, held, reason } => {
            if let Some(kept) = find(state, id) {
                kept.held = held.then(|| reason.clone());
            }
        }
        Event::BackupExpired { id } => {
            if let Some(kept) = find(state, id) {
                kept.expired = true;
            }
        }
        Event::DutyDone { duty, evidence } => {
            let (at, by) = (recorded.at, recorded.actor.clone());
            if let Some(known) = state.duties.get_mut(duty) {
                known.done.push(Done { at, by, evidence: evidence.clone() });
                keep_newest(&mut known.done, DONE_MAX);
            }
        }
        Event::BackupDropped { id } => state.backups.retain(|kept| kept.backup.id != *id),
        _ => {}
    }
}

fn find<'s>(state: &'s mut State, id: &str) -> Option<&'s mut KeptBackup> {
    state.backups.iter_mut().find(|kept| kept.backup.id == id)
}
