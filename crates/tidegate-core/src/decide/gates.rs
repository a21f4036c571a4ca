//! Evidence that is added, gates that are set aside, and the moment in which all gates of a
//! deployment are weighed. Must never weigh what was found for another attempt.

use jiff::Timestamp;

use super::Draft;
use super::observe::asked;
use crate::effect::question;
use crate::event::Event;
use crate::gate::{self, Evidence, Found, NAME_CHARS_MAX, WAIVER_MAX};
use crate::ids::DeploymentId;
use crate::input::Command;
use crate::rejection::Rejection;
use crate::state::{State, TaskId};
use crate::window::{FREEZE_MAX, FREEZES_MAX};

/// Longest reason of a waiver, bytes: it stands in every list of gates.
const REASON_BYTES_MAX: usize = 500;
/// Longest name of a report, bytes.
const REPORT_NAME_BYTES_MAX: usize = 300;

/// Adds a report. The same bytes under the same name for the same commit change nothing.
pub(super) fn add(draft: &mut Draft, evidence: &Evidence) -> Result<(), Rejection> {
    if evidence.name.is_empty() || evidence.name.len() > REPORT_NAME_BYTES_MAX {
        let what = format!("the name of a report has 1 to {REPORT_NAME_BYTES_MAX} bytes");
        return Err(Rejection::EvidenceInvalid { what });
    }
    commit_is_the_tags(&draft.state, &evidence.version, &evidence.commit)?;
    let same = |known: &Evidence| {
        known.name == evidence.name
            && known.commit == evidence.commit
            && known.version == evidence.version
    };
    let newest = draft.state.evidence.iter().rev().find(|kept| same(&kept.evidence));
    if newest.is_none_or(|kept| kept.evidence != *evidence) {
        draft.emit(Event::EvidenceAdded { evidence: evidence.clone() });
    }
    Ok(())
}

/// Sets a gate aside: for one version at one commit, with a reason, and not for ever.
pub(super) fn waive(draft: &mut Draft, command: &Command) -> Result<(), Rejection> {
    let Command::Waive { gate, version, commit, reason, until } = command else {
        return Ok(());
    };
    let refused = |what: String| Err(Rejection::WaiverInvalid { what });
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return refused(format!("it needs a reason of 1 to {REASON_BYTES_MAX} bytes"));
    }
    if gate.is_empty() || gate.chars().count() > NAME_CHARS_MAX {
        return refused(format!("a gate's name has 1 to {NAME_CHARS_MAX} characters"));
    }
    let most = draft.now.checked_add(WAIVER_MAX).unwrap_or(Timestamp::MAX);
    if *until <= draft.now || *until > most {
        return refused("it must end in the future, within 30 days".to_owned());
    }
    commit_is_the_tags(&draft.state, version, commit)?;
    draft.emit(Event::GateWaived {
        gate: gate.clone(),
        version: version.clone(),
        commit: commit.clone(),
        reason: reason.clone(),
        until: *until,
    });
    Ok(())
}

/// Lets no deployment begin for a time.
pub(super) fn freeze(
    draft: &mut Draft,
    name: &str,
    reason: &str,
    from: Option<Timestamp>,
    until: Timestamp,
) -> Result<(), Rejection> {
    let refused = |what: String| Err(Rejection::FreezeInvalid { what });
    let from = from.unwrap_or(draft.now);
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return refused(format!("its name has 1 to {NAME_CHARS_MAX} characters"));
    }
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return refused(format!("it needs a reason of 1 to {REASON_BYTES_MAX} bytes"));
    }
    if until <= from || until <= draft.now || until.duration_since(from) > FREEZE_MAX {
        return refused("it must end in the future, after it begins, within 90 days".to_owned());
    }
    let now = draft.now;
    let others = draft.state.freezes.iter().filter(|known| known.name != name && known.until > now);
    if others.count() >= FREEZES_MAX {
        return refused(format!("there are {FREEZES_MAX} others: end one first"));
    }
    let (name, reason) = (name.to_owned(), reason.to_owned());
    draft.emit(Event::FreezeBegan { name, reason, from, until });
    Ok(())
}

/// Ends a freeze before its end.
pub(super) fn thaw(draft: &mut Draft, name: &str, reason: &str) -> Result<(), Rejection> {
    let now = draft.now;
    let running: Vec<&str> =
        draft.state.freezes.iter().filter(|f| f.until > now).map(|f| f.name.as_str()).collect();
    if !running.contains(&name) {
        let there = if running.is_empty() { "none".to_owned() } else { running.join(", ") };
        let what = format!("there is no freeze of that name; there is {there}");
        return Err(Rejection::FreezeInvalid { what });
    }
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        let what = format!("its end needs a reason of 1 to {REASON_BYTES_MAX} bytes");
        return Err(Rejection::FreezeInvalid { what });
    }
    draft.emit(Event::FreezeEnded { name: name.to_owned(), reason: reason.to_owned() });
    Ok(())
}

fn commit_is_the_tags(state: &State, version: &str, commit: &str) -> Result<(), Rejection> {
    match state.tags.get(version) {
        Some(first) if first != commit => Err(Rejection::TagMoved {
            version: version.to_owned(),
            first: first.clone(),
            found: commit.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Holds what was found against the gates of the plan. A gate for which nothing was found is
/// no-data.
pub(super) fn weighed(draft: &mut Draft, id: &DeploymentId, attempt: u32, found: &[Found]) {
    let Some(current) = draft.state.current.as_ref().filter(|current| current.id == *id) else {
        return;
    };
    if !asked(current, &TaskId::Gates, attempt) {
        return;
    }
    let question = question(&draft.state, &current.plan);
    let results = gate::weigh_all(&question, found, &draft.state.waivers, draft.now);
    let (outcome, summary) = gate::combine(&results);
    draft.emit(Event::GatesWeighed { deployment: id.clone(), results });
    draft.emit(Event::TaskFinished {
        deployment: id.clone(),
        task: TaskId::Gates,
        attempt,
        outcome,
        summary,
        retry_at: None,
    });
}
