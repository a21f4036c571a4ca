//! Incidents: how each stands, what it cost, and what people do about it.
//! Must never count what was not recorded.

use axum::extract::{Path, State};
use jiff::Timestamp;
use tidegate_core::ids::{DeploymentId, IncidentId, Scope};
use tidegate_core::incident::{self, Handling, Severity};
use tidegate_core::input::Command;
use tidegate_core::state::State as ServiceState;

use super::body::Body;
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, Narrator, deployments, locate, messages, report};
use crate::problem::Problem;
use crate::text::span;
use crate::view::incident::{
    Handle, Impact, Incident, Incidents, Item, Learnt, Open, Owed, Part, Whole,
};
use crate::view::people::Changed;
use crate::view::report::Did;

/// Newest entries of a service that are looked through for what happened to an incident.
const ENTRIES_LOOKED_AT: u32 = 5_000;

/// Everything that went wrong and is remembered, open ones first.
#[utoipa::path(
    get,
    path = "/v1/incidents",
    tag = "incidents",
    responses((status = 200, body = Incidents))
)]
pub(crate) async fn list(State(api): State<Api>) -> Reply<Incidents> {
    std::future::ready(Ok(axum::Json(Incidents { incidents: all(&api) }))).await
}

/// All of them, open ones first, the newest of each first.
pub(crate) fn all(api: &Api) -> Vec<Incident> {
    let mut found = Vec::new();
    for scope in api.engine().scopes() {
        let Some(state) = api.engine().state(&scope) else { continue };
        found.extend(state.incidents.iter().map(|it| shown(&scope, it, api.now())));
    }
    found.sort_by_key(|it: &Incident| {
        (it.resolved_at.is_some(), std::cmp::Reverse(it.opened_at), it.id.clone())
    });
    found
}

fn shown(scope: &Scope, incident: &incident::Incident, now: Timestamp) -> Incident {
    let state = match (&incident.resolved, &incident.acknowledged) {
        (Some(_), _) => "resolved",
        (None, Some(_)) => "acknowledged",
        (None, None) => "open",
    };
    let owed = incident.owed().into_iter().map(|(owed, until)| Owed {
        what: owed.words().to_owned(),
        until,
        late: until <= now,
    });
    Incident {
        id: incident.id.to_string(),
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        severity: incident.severity.word().to_owned(),
        title: incident.title.clone(),
        state: state.to_owned(),
        sentence: sentence(incident, now),
        deployment: incident.deployment.as_ref().map(ToString::to_string),
        opened_at: incident.opened.at,
        opened_by: incident.opened.by.to_string(),
        answer_due: incident.answer_due(),
        owed: owed.collect(),
        resolved_at: incident.resolved.as_ref().map(|resolved| resolved.done.at),
    }
}

fn sentence(incident: &incident::Incident, now: Timestamp) -> String {
    if let Some(resolved) = &incident.resolved {
        return match &incident.postmortem {
            Some(_) => format!("over: {}; what was learnt is written", resolved.why),
            None => format!("over: {}; the post-mortem is owed", resolved.why),
        };
    }
    if let Some(done) = &incident.acknowledged {
        let verified = if incident.verified {
            "; the check after the rollback passed: it can be resolved"
        } else {
            ""
        };
        return format!("{} is on it{verified}", done.by);
    }
    let called = incident.policy.called(incident.rung).unwrap_or("somebody");
    match incident.answer_due() {
        Some(due) => {
            let left = span(due.duration_since(now));
            format!("{called} has to answer within {left}, then the next are called")
        }
        None => format!("{called} was called last and has not answered"),
    }
}

/// Everything about one.
#[utoipa::path(
    get,
    path = "/v1/incidents/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The incident")),
    responses(
        (status = 200, body = Whole),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Reply<Whole> {
    Ok(axum::Json(whole(&api, &id).await?))
}

/// One with its impact, drafts and timeline.
///
/// # Errors
/// TG7150 when there is none of that id; those of the journal.
pub(crate) async fn whole(api: &Api, id: &str) -> Result<Whole, Problem> {
    let (scope, state, id) = find(api, id)?;
    let known = state.incidents.iter().find(|incident| incident.id == id);
    let incident = known.ok_or_else(|| unknown(id.as_str()))?;
    let (impact, mut timeline) = match &incident.deployment {
        Some(deployment) => of_deployment(api, deployment).await?,
        None => (None, Vec::new()),
    };
    let last = timeline.last().map(|did| did.at);
    let own = own_events(api, &scope, &id).await?;
    // The deployment's course has those that came before its end.
    timeline.extend(own.into_iter().filter(|did| last.is_none_or(|last| did.at > last)));
    let drafts = state.outbox.letters.iter();
    let drafts = drafts.filter(|letter| letter.message.incident.as_ref() == Some(&id));
    let drafts = drafts.map(|letter| messages::of_letter(&scope, letter));
    let resolved = incident.resolved.as_ref();
    let acknowledged = incident.acknowledged.as_ref();
    let roles = incident.roles.iter();
    Ok(Whole {
        incident: shown(&scope, incident, api.now()),
        called: incident.policy.called(incident.rung).map(str::to_owned),
        acknowledged_by: acknowledged.map(|done| done.by.to_string()),
        acknowledged_at: acknowledged.map(|done| done.at),
        roles: roles.map(|(role, who)| Part { role: role.clone(), who: who.clone() }).collect(),
        impact,
        steps: incident.policy.steps.clone(),
        contact: incident.policy.contact.clone(),
        verified: incident.verified,
        resolved_why: resolved.map(|resolved| resolved.why.clone()),
        resolved_by: resolved.map(|resolved| resolved.done.by.to_string()),
        postmortem: incident.postmortem.as_ref().map(learnt),
        contains: incident.policy.contains.clone(),
        drafts: drafts.filter(|draft| draft.needs_somebody()).collect(),
        timeline,
    })
}

fn learnt(postmortem: &incident::Postmortem) -> Learnt {
    let items = postmortem.items.iter().map(|item| Item {
        what: item.what.clone(),
        owner: item.owner.clone(),
        until: item.until.clone(),
    });
    Learnt {
        at: postmortem.done.at,
        by: postmortem.done.by.to_string(),
        text: postmortem.text.clone(),
        items: items.collect(),
    }
}

/// What a deployment cost users, and its course.
async fn of_deployment(
    api: &Api,
    deployment: &DeploymentId,
) -> Result<(Option<Impact>, Vec<Did>), Problem> {
    let (report, share_bp) = report::with_share(api, deployment.as_str()).await?;
    let back = report.back.as_ref();
    let outlook = report.verdict.as_ref().and_then(|verdict| verdict.outlook.as_ref());
    let impact = Impact {
        requests: report.exposed,
        failed: outlook.map(|outlook| outlook.failed),
        users_ms: back.and_then(|back| Some(back.decided_ms? + back.safe_ms?)),
        share_bp,
    };
    Ok((Some(impact), report.timeline))
}

/// What happened to an incident, oldest first.
async fn own_events(api: &Api, scope: &Scope, id: &IncidentId) -> Result<Vec<Did>, Problem> {
    let entries = api.ports().journal.recent(Some(scope), None, ENTRIES_LOOKED_AT).await?;
    let mut narrator = Narrator::default();
    let recorded = entries.iter().rev().filter_map(|entry| entry.recorded.as_ref().ok());
    let own = recorded.filter(|recorded| recorded.event.incident() == Some(id));
    let did = own.map(|recorded| {
        let line = narrator.line(recorded);
        Did { at: line.at, by: line.actor, text: line.text }
    });
    Ok(did.collect())
}

fn find(api: &Api, id: &str) -> Result<(Scope, std::sync::Arc<ServiceState>, IncidentId), Problem> {
    let id = IncidentId::new(id).map_err(|_odd| unknown(&crate::text::plain(id)))?;
    let found = api.engine().scopes().into_iter().find_map(|scope| {
        let state = api.engine().state(&scope)?;
        let known = state.incidents.iter().any(|incident| incident.id == id);
        known.then_some((scope, state))
    });
    let (scope, state) = found.ok_or_else(|| unknown(id.as_str()))?;
    Ok((scope, state, id))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found("TG7150", format!("there is no incident {id}"))
        .help("see what there is: `tidegate incident list`")
}

fn severity(word: &str) -> Result<Severity, Problem> {
    let known = Severity::ALL.into_iter().find(|severity| severity.word() == word);
    known.ok_or_else(|| {
        let word = crate::text::plain(word);
        Problem::bad_request(format!("`{word}` is no class: p0, p1, p2 or p3, the worst first"))
    })
}

/// Open one by hand.
#[utoipa::path(
    post,
    path = "/v1/incidents",
    tag = "incidents",
    request_body = Open,
    responses(
        (status = 200, body = Changed),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn open(
    State(api): State<Api>,
    principal: Principal,
    Body(asked): Body<Open>,
) -> Reply<Changed> {
    deployments::check_key(asked.key.as_deref())?;
    let (scope, _) = locate::service(&api, &asked.service, asked.environment.as_deref())?;
    let deployment = asked.deployment.as_deref().map(DeploymentId::new).transpose();
    let deployment = deployment.map_err(|odd| Problem::bad_request(odd.to_string()))?;
    // A free id of a deployment has letters that no incident has either.
    let fresh = deployments::new_id(&api).await?;
    let letters = fresh.as_str().trim_start_matches("d-");
    let id = IncidentId::new(format!("i-{letters}"));
    let id = id.map_err(|odd| Problem::bad_request(odd.to_string()))?;
    let severity = severity(&asked.severity)?;
    let handling = Handling::Open { severity, title: asked.title, deployment };
    let command = Command::Incident { incident: id.clone(), handling };
    api.engine().command(&scope, principal.actor(), asked.key, command).await?;
    tracing::info!(%scope, %id, by = %principal.name, "incident opened");
    Ok(axum::Json(Changed { sentence: format!("{id} is open in {scope}") }))
}

/// Do something about one.
#[utoipa::path(
    post,
    path = "/v1/incidents/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The incident")),
    request_body = Handle,
    responses(
        (status = 200, body = Whole),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn handle(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<Handle>,
) -> Reply<Whole> {
    deployments::check_key(asked.key.as_deref())?;
    let (scope, _, id) = find(&api, &id)?;
    let key = asked.key.clone();
    let act = asked.act.clone();
    let command = Command::Incident { incident: id.clone(), handling: handling(asked)? };
    api.engine().command(&scope, principal.actor(), key, command).await?;
    tracing::info!(%scope, %id, act, by = %principal.name, "incident");
    Ok(axum::Json(whole(&api, id.as_str()).await?))
}

fn handling(asked: Handle) -> Result<Handling, Problem> {
    let Handle { act, text, reason, severity: class, role, who, items, key: _ } = asked;
    let text = text.unwrap_or_default();
    let settles = |owed| Handling::Note { text: text.clone(), settles: Some(owed) };
    Ok(match act.as_str() {
        "ack" => Handling::Acknowledge,
        "assign" => {
            Handling::Assign { role: role.unwrap_or_default(), who: who.unwrap_or_default() }
        }
        "note" => Handling::Note { text, settles: None },
        "cause" => settles(incident::Owed::Cause),
        "regulator" => settles(incident::Owed::Regulator),
        "weigh" => Handling::Weigh {
            severity: severity(&class.unwrap_or_default())?,
            reason: reason.unwrap_or_default(),
        },
        "resolve" => Handling::Resolve { reason: reason.filter(|why| !why.trim().is_empty()) },
        "learn" => {
            let items = items.into_iter().map(|item| incident::ActionItem {
                what: item.what,
                owner: item.owner,
                until: item.until,
            });
            Handling::Learn { text, items: items.collect() }
        }
        other => {
            let other = crate::text::plain(other);
            return Err(Problem::bad_request(format!(
                "`act: {other}` is none of ack, assign, note, cause, regulator, weigh, resolve, \
                 learn"
            )));
        }
    })
}
