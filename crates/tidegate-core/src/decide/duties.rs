//! Duties: what people vouch for, what shows itself, and what no release may pass.
//! Must never stop a way back: what is asked here concerns the way forward only.

use jiff::Timestamp;

use super::Draft;
use crate::backup::DrillRecord;
use crate::duty::{TEXT_BYTES_MAX, standings};
use crate::event::Event;
use crate::plan::Plan;
use crate::rejection::Rejection;
use crate::state::State;

/// How a duty is done that a drill of a backup shows.
const DRILL: &str = "tidegate drill restore";

/// Somebody vouches that one was done.
pub(super) fn done(draft: &mut Draft, duty: &str, evidence: &str) -> Result<(), Rejection> {
    let refused = |what: String| Err(Rejection::DutyInvalid { duty: duty.to_owned(), what });
    if !draft.state.duties.contains_key(duty) {
        let known: Vec<&str> = draft.state.duties.keys().map(String::as_str).collect();
        let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return refused(format!("no deployment declared it; there is {there}"));
    }
    if evidence.trim().is_empty() || evidence.len() > TEXT_BYTES_MAX {
        return refused(format!("say in 1 to {TEXT_BYTES_MAX} bytes what shows it"));
    }
    draft.emit(Event::DutyDone { duty: duty.to_owned(), evidence: evidence.to_owned() });
    Ok(())
}

/// A drill that passed does the duties that ask for one.
pub(super) fn drilled(draft: &mut Draft, drill: &DrillRecord) {
    if !drill.outcome.allows_progress() {
        return;
    }
    let current = draft.state.current.as_ref().map(|current| &current.plan);
    let plan = current.or_else(|| draft.state.history.last().map(|ended| &ended.plan));
    let asked = |plan: &Plan| -> Vec<String> {
        let asked = plan.duties.iter().filter(|duty| duty.run.as_deref() == Some(DRILL));
        asked.map(|duty| duty.name.clone()).collect()
    };
    let evidence = format!("drill of {}: {}", drill.backup, drill.summary);
    for duty in plan.map(|plan| asked(plan)).unwrap_or_default() {
        let evidence = evidence.chars().take(TEXT_BYTES_MAX / 4).collect();
        draft.emit(Event::DutyDone { duty, evidence });
    }
}

/// Whether a release may begin: none of its duties that demand it is overdue.
pub(super) fn none_is_overdue(state: &State, plan: &Plan, now: Timestamp) -> Result<(), Rejection> {
    let standings = standings(state, plan, now);
    let late = standings.iter().find(|one| one.duty.blocks && one.is_overdue(now));
    match late.and_then(|one| Some((one.duty.name.clone(), one.due?))) {
        Some((duty, due)) => Err(Rejection::DutyOverdue { duty, due }),
        None => Ok(()),
    }
}
