//! Whom to tell of what happened, and what follows from how that went.
//! Must never make a deployment wait, nor send what only a person may let out.

use jiff::{SignedDuration, Timestamp};

use super::Draft;
use crate::event::{Ending, Event, Recorded};
use crate::ids::{DeploymentId, IncidentId};
use crate::message::{
    ATTEMPTS_MAX, Delivery, Family, Handling, Message, OUTBOX_MAX, Occasion, RETRY_ASKED_MOST,
    RETRY_FIRST, RETRY_MOST, Receiver, Signal, Stands, TEXT_CHARS_MAX,
};
use crate::plan::{HoldEnd, Plan};
use crate::rejection::Rejection;
use crate::state::{Phase, State};

/// Something that people hear of.
struct News {
    on: Occasion,
    signal: Signal,
    deployment: Option<DeploymentId>,
    incident: Option<IncidentId>,
    /// The page, where it is not the one of the incident or the deployment.
    page: Option<String>,
    title: String,
    text: String,
    next: Option<String>,
}

/// Queues a message for everybody who hears of what was decided.
pub(super) fn news(draft: &mut Draft, before: &State) {
    for recorded in draft.events.clone() {
        let Some(news) = of(&draft.state, before, &recorded) else { continue };
        let plan = news.deployment.as_ref().and_then(|id| draft.state.plan_of(id));
        let Some(plan) = plan.or_else(|| draft.state.newest_plan()) else { continue };
        let messages = messages(&draft.state, plan, &news);
        for (message, held) in messages {
            queue(draft, message, held);
        }
    }
}

fn queue(draft: &mut Draft, message: Message, held: bool) {
    let pager = message.to.family == Family::Pagerduty;
    let open = draft.state.outbox.pages.contains_key(&message.page);
    // One page for one thing, however many reasons there are to call.
    let superfluous = match message.signal {
        Signal::Trigger => open,
        Signal::Acknowledge | Signal::Resolve => !open,
        Signal::Note => false,
    };
    if pager && superfluous {
        return;
    }
    if draft.state.outbox.letters.len() >= OUTBOX_MAX {
        let letters = &draft.state.outbox.letters;
        let dead = letters.iter().find(|letter| matches!(letter.stands, Stands::Dead { .. }));
        if let Some(oldest) = dead.or_else(|| letters.first()).map(|letter| letter.number) {
            let why = format!("more than {OUTBOX_MAX} messages are not done with");
            draft.emit(Event::MessageDropped { message: oldest, why });
        }
    }
    draft.emit(Event::MessageQueued { message, draft: held });
}

/// The messages of some news, and whether each is a draft.
fn messages(state: &State, plan: &Plan, news: &News) -> Vec<(Message, bool)> {
    let heard = |on: Occasion| {
        // Whoever heard of the beginning hears of the end.
        on == news.on || (news.on == Occasion::Resolved && on == Occasion::Incident)
    };
    let mut seen: Vec<&Receiver> = Vec::new();
    let mut messages = Vec::new();
    for route in plan.tell.iter().filter(|route| heard(route.on)) {
        for to in &route.to {
            if seen.contains(&to) {
                continue;
            }
            seen.push(to);
            messages.extend(one(state, plan, news, to, &route.says));
        }
    }
    messages
}

fn one(
    state: &State,
    plan: &Plan,
    news: &News,
    to: &Receiver,
    says: &[String],
) -> Option<(Message, bool)> {
    let incident = news.incident.as_ref().map(IncidentId::as_str);
    let deployment = news.deployment.as_ref().map(DeploymentId::as_str);
    let about = deployment.or(incident)?.to_owned();
    let page = news.page.clone().or_else(|| incident.or(deployment).map(str::to_owned))?;
    let public = to.family == Family::StatusPage;
    let held = public && to.address != "publish";
    if public && news.signal == Signal::Note {
        return None;
    }
    let mut message = Message {
        on: news.on,
        to: to.clone(),
        signal: news.signal,
        about,
        page: if news.signal == Signal::Note { String::new() } else { page },
        deployment: news.deployment.clone(),
        incident: news.incident.clone(),
        version: plan.release.version.clone(),
        title: news.title.clone(),
        text: news.text.clone(),
        next: news.next.clone(),
    };
    if public {
        (message.title, message.text) = in_public(state, plan, news);
        message.next = None;
    }
    for line in says {
        message.text.push('\n');
        message.text.push_str(&filled(line, plan, news));
    }
    Some((message, held))
}

/// A line of the file with what it stands for.
fn filled(line: &str, plan: &Plan, news: &News) -> String {
    let deployment = news.deployment.as_ref().map_or("", DeploymentId::as_str);
    let incident = news.incident.as_ref().map_or("", IncidentId::as_str);
    line.replace("{service}", plan.scope.service.as_str())
        .replace("{environment}", plan.scope.environment.as_str())
        .replace("{version}", &plan.release.version)
        .replace("{deployment}", deployment)
        .replace("{incident}", incident)
        .replace("{why}", &news.text)
}

/// What customers read: what they may have seen, and nothing of how it is made.
fn in_public(state: &State, plan: &Plan, news: &News) -> (String, String) {
    let service = &plan.scope.service;
    let title = format!("A problem with {service}");
    let opened = news.incident.as_ref().and_then(|id| {
        let incident = state.incidents.iter().find(|incident| incident.id == *id)?;
        Some(incident.opened.at)
    });
    let since = opened.map(|at| format!(" since {at:.0}")).unwrap_or_default();
    let text = match news.signal {
        Signal::Resolve => "It is over. Everything works as it did before.".to_owned(),
        Signal::Acknowledge => "We are working on it.".to_owned(),
        Signal::Trigger | Signal::Note => {
            format!("Some requests may have failed{since}. We are looking into it.")
        }
    };
    (title, text)
}

/// What people hear of an event; most of them are nobody's business.
fn of(state: &State, before: &State, recorded: &Recorded) -> Option<News> {
    match &recorded.event {
        Event::DeploymentStarted { deployment, .. } => {
            let text = format!("begun by {}", recorded.actor);
            let title = "deployment began";
            Some(deploying(state, deployment, Occasion::Start, Signal::Note, title, text))
        }
        Event::PhaseEntered { deployment, phase: Phase::Approvals, .. } => {
            state.plan_of(deployment).filter(|plan| plan.required.approvals)?;
            let title = "waits for approval";
            let text = "the gates have passed; people decide now".to_owned();
            let mut news =
                deploying(state, deployment, Occasion::Approval, Signal::Note, title, text);
            news.next = Some(format!("tidegate approve {deployment}"));
            Some(news)
        }
        Event::PhaseEntered { deployment, phase: Phase::NeedsPerson { .. }, .. } => {
            let text = "the way back is stuck and needs a person".to_owned();
            let title = "a person is needed";
            Some(deploying(state, deployment, Occasion::Person, Signal::Trigger, title, text))
        }
        Event::HoldBegan { deployment, hold } => {
            let end = match (hold.until, hold.then) {
                (Some(until), HoldEnd::Rollback) => format!("; rolls back at {until:.0}"),
                (Some(until), HoldEnd::Page) => format!("; calls a person at {until:.0}"),
                (None, _) => String::new(),
            };
            let text = format!("{}{end}", hold.why);
            Some(deploying(state, deployment, Occasion::Hold, Signal::Note, "it holds", text))
        }
        Event::PersonCalled { deployment, why, .. } => {
            let title = "a person is needed";
            let text = why.clone();
            Some(deploying(state, deployment, Occasion::Person, Signal::Trigger, title, text))
        }
        Event::Faulted { code, what } => {
            let deployment = state.current.as_ref().map(|current| current.id.clone())?;
            let text = format!("an invariant broke ({code}: {what}); its traffic is held");
            let title = "frozen: a person is needed";
            Some(deploying(state, &deployment, Occasion::Person, Signal::Trigger, title, text))
        }
        Event::RollbackBegan { deployment, why, .. } => {
            let known = before.current.as_ref().filter(|current| current.id == *deployment);
            // Begun anew, it has the same cause.
            if known.is_some_and(|current| current.going_back.is_some()) {
                return None;
            }
            let text = format!("{why} (by {})", recorded.actor);
            let on = Occasion::Rollback;
            Some(deploying(state, deployment, on, Signal::Trigger, "rolling back", text))
        }
        Event::DeploymentEnded { deployment, ending, why } => {
            ended(state, deployment, *ending, why)
        }
        _ => of_incident(state, recorded),
    }
}

fn ended(state: &State, id: &DeploymentId, ending: Ending, why: &str) -> Option<News> {
    let (on, signal) = match ending {
        Ending::Succeeded | Ending::LiveUnverified => (Occasion::Success, Signal::Note),
        // An incident has an end of its own.
        Ending::RolledBack if incident_of(state, id).is_none() => {
            (Occasion::Rollback, Signal::Resolve)
        }
        Ending::RolledBack => (Occasion::Rollback, Signal::Note),
        Ending::RolledBackUnverified => (Occasion::Rollback, Signal::Trigger),
        Ending::Stopped | Ending::Aborted | Ending::Rejected => (Occasion::Failure, Signal::Note),
        Ending::Superseded => return None,
    };
    let mut news = deploying(state, id, on, signal, ending.words(), why.to_owned());
    news.next = Some(format!("tidegate report {id}"));
    Some(news)
}

fn deploying(
    state: &State,
    id: &DeploymentId,
    on: Occasion,
    signal: Signal,
    what: &str,
    text: String,
) -> News {
    let plan = state.plan_of(id);
    let named = plan.map(|plan| {
        let (scope, version) = (&plan.scope, &plan.release.version);
        let (service, place) = (&scope.service, &scope.environment);
        format!("{service} {version} in {place}: {what}")
    });
    News {
        on,
        signal,
        deployment: Some(id.clone()),
        incident: incident_of(state, id).filter(|_| signal != Signal::Note),
        page: None,
        title: named.unwrap_or_else(|| what.to_owned()),
        text,
        next: Some(format!("tidegate why {id}")),
    }
}

/// The incident of a deployment that is not over.
fn incident_of(state: &State, id: &DeploymentId) -> Option<IncidentId> {
    let of = |incident: &&crate::incident::Incident| {
        incident.is_open() && incident.deployment.as_ref() == Some(id)
    };
    state.incidents.iter().find(of).map(|incident| incident.id.clone())
}

fn of_incident(state: &State, recorded: &Recorded) -> Option<News> {
    let (Event::IncidentOpened { incident: id, .. }
    | Event::IncidentAcknowledged { incident: id }
    | Event::IncidentCalled { incident: id, .. }
    | Event::IncidentWeighed { incident: id, .. }
    | Event::IncidentOverdue { incident: id, .. }
    | Event::IncidentResolved { incident: id, .. }) = &recorded.event
    else {
        return None;
    };
    let incident = state.incidents.iter().find(|incident| incident.id == *id)?;
    let class = incident.severity.word().to_uppercase();
    let within = incident.policy.within(incident.severity);
    let called = |rung: u32| match incident.policy.called(rung) {
        Some(who) => format!("{who} is called and"),
        None => "somebody".to_owned(),
    };
    let (on, signal, page, text) = match &recorded.event {
        Event::IncidentOpened { .. } => {
            let text = format!("{} has to answer within {within:#}", called(0));
            (Occasion::Incident, Signal::Trigger, None, text)
        }
        Event::IncidentAcknowledged { .. } => {
            let text = format!("{} is on it", recorded.actor);
            (Occasion::Incident, Signal::Acknowledge, None, text)
        }
        Event::IncidentCalled { rung, .. } => {
            let text =
                format!("nobody answered; {} has to answer within {within:#}", called(*rung));
            (Occasion::Incident, Signal::Trigger, Some(format!("{id}.{rung}")), text)
        }
        Event::IncidentWeighed { why, .. } => {
            (Occasion::Incident, Signal::Note, None, format!("now {class}: {why}"))
        }
        Event::IncidentOverdue { owed, .. } => {
            (Occasion::Incident, Signal::Note, None, format!("{} is overdue", owed.words()))
        }
        Event::IncidentResolved { why, .. } => {
            let text = format!("it is over: {why}");
            (Occasion::Resolved, Signal::Resolve, None, text)
        }
        _ => return None,
    };
    Some(News {
        on,
        signal,
        deployment: incident.deployment.clone(),
        incident: Some(id.clone()),
        page,
        title: format!("{class} {}", incident.title),
        text,
        next: Some(format!("tidegate incident show {id}")),
    })
}

/// Pages of an incident that were opened by later rungs are answered and closed with it.
pub(super) fn later_pages(draft: &mut Draft) {
    for recorded in draft.events.clone() {
        let Event::MessageQueued { message, .. } = &recorded.event else { continue };
        let ends = matches!(message.signal, Signal::Acknowledge | Signal::Resolve);
        if message.to.family != Family::Pagerduty || !ends {
            continue;
        }
        let prefix = format!("{}.", message.page);
        let pages = draft.state.outbox.pages.keys().filter(|page| page.starts_with(&prefix));
        for page in pages.cloned().collect::<Vec<_>>() {
            queue(draft, Message { page, ..message.clone() }, false);
        }
    }
}

/// What an attempt gave.
pub(super) fn delivered(draft: &mut Draft, number: u64, attempt: u32, delivery: &Delivery) {
    let letter = draft.state.outbox.letter(number);
    let asked = letter.is_some_and(|it| it.attempt == attempt && it.stands == Stands::Due);
    if !asked {
        return;
    }
    let event = match delivery {
        Delivery::Taken { receipt } => {
            Event::MessageSent { message: number, attempt, receipt: receipt.clone() }
        }
        Delivery::Refused { why, retryable, after } => {
            let again = *retryable && attempt < ATTEMPTS_MAX;
            let wait = after.unwrap_or_default().min(RETRY_ASKED_MOST).max(backoff(attempt));
            let retry_at = draft.now.checked_add(wait).ok().filter(|_| again);
            Event::MessageFailed { message: number, attempt, why: why.clone(), retry_at }
        }
    };
    draft.emit(event);
}

fn backoff(attempt: u32) -> SignedDuration {
    let doublings = attempt.saturating_sub(1).min(16);
    RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_MOST)
}

/// Those whose rest is over are sent again.
pub(super) fn retries(draft: &mut Draft) {
    let now = draft.now;
    let due = |until: Timestamp| until <= now;
    let letters = draft.state.outbox.letters.iter();
    let again: Vec<(u64, u32)> = letters
        .filter(|it| matches!(it.stands, Stands::Resting { until, .. } if due(until)))
        .map(|letter| (letter.number, letter.attempt + 1))
        .collect();
    for (message, attempt) in again {
        draft.emit(Event::MessageRetried { message, attempt, text: None });
    }
}

/// What a person does about a message.
pub(super) fn handle(draft: &mut Draft, number: u64, handling: &Handling) -> Result<(), Rejection> {
    let refused = |what: String| Rejection::MessageInvalid { number, what };
    let letter = draft.state.outbox.letter(number);
    let letter = letter.ok_or_else(|| refused("it is not waiting here".to_owned()))?;
    let event = match (handling, &letter.stands) {
        (Handling::Redeliver, Stands::Dead { .. } | Stands::Resting { .. }) => {
            Event::MessageRetried { message: number, attempt: 1, text: None }
        }
        (Handling::Redeliver, Stands::Due) => return Ok(()),
        (Handling::Redeliver, Stands::Draft) => {
            return Err(refused("it is a draft: release it".to_owned()));
        }
        (Handling::Release { text }, Stands::Draft) => {
            let text = text.clone();
            let fits =
                |text: &String| !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
            if text.as_ref().is_some_and(|text| !fits(text)) {
                let what = format!("its text has 1 to {TEXT_CHARS_MAX} characters");
                return Err(refused(what));
            }
            Event::MessageRetried { message: number, attempt: 1, text }
        }
        (Handling::Release { .. }, _) => return Err(refused("it is no draft".to_owned())),
        (Handling::Drop { reason }, _) => {
            if reason.trim().is_empty() {
                return Err(refused("dropping it needs a reason".to_owned()));
            }
            Event::MessageDropped { message: number, why: reason.clone() }
        }
    };
    draft.emit(event);
    Ok(())
}
