//! Incidents: what opens one, whose turn it is, what is overdue, and what people do about them.
//! Must never close one without a verified way back or a person's reason.

use jiff::Timestamp;

use super::Draft;
use crate::event::{Ending, Event, Recorded};
use crate::ids::{DeploymentId, IncidentId};
use crate::incident::{ActionItem, Handling, ITEMS_MAX, Incident, Owed, Severity, TEXT_CHARS_MAX};
use crate::rejection::Rejection;
use crate::state::{Phase, Reason, State};

/// What follows from events and from the time.
pub(super) fn following(draft: &mut Draft) {
    for recorded in draft.events.clone() {
        for event in of(&draft.state, &recorded) {
            draft.emit(event);
        }
    }
    let now = draft.now;
    for event in clocks(&draft.state, now) {
        draft.emit(event);
    }
}

fn of(state: &State, recorded: &Recorded) -> Vec<Event> {
    match &recorded.event {
        Event::RollbackBegan { deployment, reason, why } => match reason {
            Reason::Abort | Reason::Rejected | Reason::Superseded => Vec::new(),
            _ => went_wrong(state, deployment, severity(state, deployment), "rolled back", why),
        },
        Event::PersonCalled { deployment, why, .. } => {
            went_wrong(state, deployment, Severity::P1, "needs a person", why)
        }
        Event::PhaseEntered { deployment, phase: Phase::NeedsPerson { .. }, .. } => {
            let why = "the way back is stuck";
            went_wrong(state, deployment, Severity::P0, "needs a person", why)
        }
        Event::Faulted { code, what } => match &state.current {
            Some(current) => {
                let why = format!("{code}: {what}");
                went_wrong(state, &current.id, Severity::P0, "frozen", &why)
            }
            None => Vec::new(),
        },
        Event::DeploymentEnded { deployment, ending: Ending::RolledBackUnverified, why } => {
            went_wrong(state, deployment, Severity::P0, "rolled back, unverified", why)
        }
        _ => Vec::new(),
    }
}

/// Users had it, or nobody did.
fn severity(state: &State, id: &DeploymentId) -> Severity {
    let current = state.current.as_ref().filter(|current| current.id == *id);
    let back = current.and_then(|current| current.going_back.as_ref());
    if back.is_none_or(|back| back.had_traffic) { Severity::P1 } else { Severity::P3 }
}

/// Opens an incident, or says that the open one is worse.
fn went_wrong(
    state: &State,
    id: &DeploymentId,
    severity: Severity,
    what: &str,
    why: &str,
) -> Vec<Event> {
    let Some(plan) = state.plan_of(id).filter(|plan| plan.incident.is_some()) else {
        return Vec::new();
    };
    let known = state.incidents.iter().rev().find(|it| it.deployment.as_ref() == Some(id));
    if let Some(open) = known.filter(|incident| incident.is_open()) {
        if severity >= open.severity {
            return Vec::new();
        }
        let (incident, why) = (open.id.clone(), format!("{what}: {why}"));
        return vec![Event::IncidentWeighed { incident, severity, why }];
    }
    // What went wrong with a deployment whose incident is over is told by the deployment itself.
    let Some(incident) = id_for(id).filter(|_| known.is_none()) else { return Vec::new() };
    let (service, place) = (&plan.scope.service, &plan.scope.environment);
    let title = format!("{service} {} in {place} {what}: {why}", plan.release.version);
    vec![Event::IncidentOpened { incident, severity, title, deployment: Some(id.clone()) }]
}

/// The id of a deployment's incident: `i-7k3` of `d-7k3`.
fn id_for(id: &DeploymentId) -> Option<IncidentId> {
    let rest = id.as_str().strip_prefix("d-").unwrap_or(id.as_str());
    IncidentId::new(format!("i-{rest}")).ok()
}

/// What is due by the time alone.
fn clocks(state: &State, now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    for incident in &state.incidents {
        if incident.answer_due().is_some_and(|due| due <= now) {
            let rung = incident.rung + 1;
            // The first rung was called when it was opened.
            if rung < incident.policy.rungs() {
                let who = incident.policy.called(rung).map(str::to_owned);
                let incident = incident.id.clone();
                events.push(Event::IncidentCalled { incident, rung, who });
            }
        }
        for (owed, _) in incident.owed().into_iter().filter(|(_, at)| *at <= now) {
            if !incident.late.contains(&owed) {
                let incident = incident.id.clone();
                events.push(Event::IncidentOverdue { incident, owed });
            }
        }
    }
    events
}

/// What a person does about an incident.
pub(super) fn handle(
    draft: &mut Draft,
    id: &IncidentId,
    handling: &Handling,
) -> Result<(), Rejection> {
    if let Handling::Open { severity, title, deployment } = handling {
        return open(draft, id, *severity, title, deployment.as_ref());
    }
    let known = draft.state.incidents.iter().find(|incident| incident.id == *id);
    let known = known.ok_or_else(|| Rejection::NoIncident { incident: id.clone() })?;
    if let Some(event) = answer(known, handling)? {
        draft.emit(event);
    }
    Ok(())
}

fn open(
    draft: &mut Draft,
    id: &IncidentId,
    severity: Severity,
    title: &str,
    deployment: Option<&DeploymentId>,
) -> Result<(), Rejection> {
    let refused = |what: &str| {
        Err(Rejection::IncidentInvalid { incident: id.clone(), what: what.to_owned() })
    };
    written(id, "its title", title)?;
    if draft.state.incidents.iter().any(|incident| incident.id == *id) {
        return refused("there is one of that id");
    }
    if draft.state.newest_plan().is_none() {
        return refused("nothing was ever deployed here");
    }
    if deployment.is_some_and(|id| draft.state.plan_of(id).is_none()) {
        return refused("its deployment is not known here");
    }
    let (incident, title, deployment) = (id.clone(), title.to_owned(), deployment.cloned());
    draft.emit(Event::IncidentOpened { incident, severity, title, deployment });
    Ok(())
}

fn written(id: &IncidentId, what: &str, text: &str) -> Result<(), Rejection> {
    if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        let what = format!("{what} has 1 to {TEXT_CHARS_MAX} characters");
        return Err(Rejection::IncidentInvalid { incident: id.clone(), what });
    }
    Ok(())
}

/// What follows from what a person does about a known incident; nothing when it is so already.
fn answer(known: &Incident, handling: &Handling) -> Result<Option<Event>, Rejection> {
    let incident = known.id.clone();
    let refused = |what: &str| {
        Err(Rejection::IncidentInvalid { incident: known.id.clone(), what: what.to_owned() })
    };
    let needs_open = matches!(
        handling,
        Handling::Acknowledge | Handling::Weigh { .. } | Handling::Resolve { .. }
    );
    if needs_open && !known.is_open() {
        return refused("it is over");
    }
    let event = match handling {
        Handling::Open { .. } => return Ok(None),
        Handling::Acknowledge if known.acknowledged.is_some() => return Ok(None),
        Handling::Acknowledge => Event::IncidentAcknowledged { incident },
        Handling::Assign { role, who } => {
            written(&incident, "a role", role)?;
            written(&incident, "a name", who)?;
            Event::IncidentAssigned { incident, role: role.clone(), who: who.clone() }
        }
        Handling::Note { text, settles } => {
            written(&incident, "a note", text)?;
            if *settles == Some(Owed::Postmortem) {
                return refused("a post-mortem is written with its action items");
            }
            Event::IncidentNoted { incident, text: text.clone(), settles: *settles }
        }
        Handling::Weigh { severity, reason } => {
            written(&incident, "a reason", reason)?;
            Event::IncidentWeighed { incident, severity: *severity, why: reason.clone() }
        }
        Handling::Resolve { reason } => return resolve(known, reason.as_deref()).map(Some),
        Handling::Learn { text, items } => {
            learnt(known, text, items)?;
            Event::IncidentLearnt { incident, text: text.clone(), items: items.clone() }
        }
    };
    Ok(Some(event))
}

/// Over is what was verified, or what a person answers for.
fn resolve(known: &Incident, reason: Option<&str>) -> Result<Event, Rejection> {
    let incident = known.id.clone();
    let verified = known.verified;
    let why = match reason {
        Some(reason) => {
            written(&incident, "a reason", reason)?;
            reason.to_owned()
        }
        None if verified => "the check after the rollback passed".to_owned(),
        None => return Err(Rejection::NotVerified { incident }),
    };
    Ok(Event::IncidentResolved { incident, why, verified })
}

fn learnt(known: &Incident, text: &str, items: &[ActionItem]) -> Result<(), Rejection> {
    let refused =
        |what: String| Err(Rejection::IncidentInvalid { incident: known.id.clone(), what });
    if known.is_open() {
        return refused("it is not over".to_owned());
    }
    if items.len() > ITEMS_MAX {
        return refused(format!("it has more than {ITEMS_MAX} action items"));
    }
    written(&known.id, "a post-mortem", text)?;
    for item in items {
        for text in [&item.what, &item.owner, &item.until] {
            written(&known.id, "an action item", text)?;
        }
    }
    Ok(())
}
