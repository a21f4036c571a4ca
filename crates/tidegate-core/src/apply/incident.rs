//! What each event changes of an incident. Must never forget one that is open, unless there are
//! more of them than anybody can look after.

use std::collections::{BTreeMap, BTreeSet};

use super::keep_newest;
use crate::event::{Ending, Event, Recorded};
use crate::ids::DeploymentId;
use crate::incident::{
    Done, INCIDENTS_MAX, Incident, NOTES_MAX, Note, Policy, Postmortem, Resolution,
};
use crate::state::State;

/// Folds one event about an incident.
pub(super) fn fold(state: &mut State, recorded: &Recorded) {
    let done = Done { at: recorded.at, by: recorded.actor.clone() };
    if let Event::IncidentOpened { incident, severity, title, deployment } = &recorded.event {
        let policy = policy(state, deployment.as_ref());
        state.incidents.push(Incident {
            id: incident.clone(),
            severity: *severity,
            title: title.clone(),
            deployment: deployment.clone(),
            policy,
            called_at: done.at,
            opened: done,
            acknowledged: None,
            rung: 0,
            roles: BTreeMap::new(),
            notes: Vec::new(),
            late: BTreeSet::new(),
            verified: false,
            resolved: None,
            postmortem: None,
        });
        trim(&mut state.incidents);
        return;
    }
    let Some(incident) = recorded.event.incident() else { return };
    if let Some(known) = state.incidents.iter_mut().find(|known| known.id == *incident) {
        change(known, &recorded.event, done);
    }
}

fn change(incident: &mut Incident, event: &Event, done: Done) {
    match event {
        Event::IncidentAcknowledged { .. } => incident.acknowledged = Some(done),
        Event::IncidentCalled { rung, .. } => {
            incident.rung = *rung;
            incident.called_at = done.at;
        }
        Event::IncidentAssigned { role, who, .. } => {
            incident.roles.insert(role.clone(), who.clone());
        }
        Event::IncidentNoted { text, settles, .. } => {
            let Done { at, by } = done;
            incident.notes.push(Note { at, by, text: text.clone(), settles: *settles });
            keep_newest(&mut incident.notes, NOTES_MAX);
        }
        Event::IncidentWeighed { severity, .. } => incident.severity = *severity,
        Event::IncidentOverdue { owed, .. } => {
            incident.late.insert(*owed);
        }
        Event::IncidentResolved { why, verified, .. } => {
            incident.resolved = Some(Resolution { done, why: why.clone(), verified: *verified });
        }
        Event::IncidentLearnt { text, items, .. } => {
            incident.postmortem =
                Some(Postmortem { done, text: text.clone(), items: items.clone() });
        }
        _ => {}
    }
}

/// The check after the rollback passed: whoever looks after the incident may say that it is over.
pub(super) fn verified(state: &mut State, deployment: &DeploymentId, ending: Ending) {
    let of = |incident: &&mut Incident| incident.deployment.as_ref() == Some(deployment);
    for incident in state.incidents.iter_mut().filter(of) {
        incident.verified = ending == Ending::RolledBack;
    }
}

/// What the plan of the deployment says, else that of the newest.
fn policy(state: &State, deployment: Option<&DeploymentId>) -> Policy {
    let plan = deployment.and_then(|id| state.plan_of(id)).or_else(|| state.newest_plan());
    plan.and_then(|plan| plan.incident.clone()).unwrap_or_default()
}

/// Forgets the oldest that is over, and only past the limit one that is not.
fn trim(incidents: &mut Vec<Incident>) {
    while incidents.len() > INCIDENTS_MAX {
        let over = incidents.iter().position(|incident| !incident.is_open());
        incidents.remove(over.unwrap_or(0));
    }
}
