//! What people say about a plan: approve, take back, vouch, refuse; the sheet that they read before,
//! and the inbox of what waits. Must never let a request say who its sender is.

mod sheet;

use axum::extract::{Path, State};
use tidegate_core::approval::{Category, VOUCHED_MAX, gate};
use tidegate_core::digest::Digest;
use tidegate_core::input::{Approval, Command};
use tidegate_core::state::State as ServiceState;
use tidegate_core::weight::Weight;

use super::body::Body;
use super::decisions::{REASON_BYTES_MAX, give, reason};
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, locate, plans};
use crate::problem::Problem;
use crate::view::approval::{Inbox, Item, Sheet};
use crate::view::request::{self, Accepted};
use crate::view::trigger::Trigger;

/// Agree to exactly the binding that was seen.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/approve",
    tag = "approvals",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Approve,
    responses(
        (status = 200, body = Accepted),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn approve(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Approve>,
) -> Reply<Accepted> {
    principal.proven_lately(api.now())?;
    let binding: Digest = serde_json::from_value(serde_json::Value::String(asked.binding))
        .map_err(|_invalid| Problem::bad_request("binding is not a digest"))?;
    let condition = match asked.hold_at_bp {
        None => None,
        Some(bp) => Some(
            Weight::from_bp(bp)
                .map_err(|_outside| Problem::bad_request("hold_at_bp is 0 to 10,000"))?,
        ),
    };
    let approval = Box::new(Approval {
        facts: principal.facts.clone(),
        credential: principal.credential.clone(),
        condition,
        note: comment(asked.comment)?,
    });
    give(&api, &principal, &id, asked.key, |deployment| Command::Approve {
        deployment,
        binding,
        approval,
    })
    .await
}

/// Take one's approval back, until it is used.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/withdraw",
    tag = "approvals",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Reason,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn withdraw(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Reason>,
) -> Reply<Accepted> {
    let reason = reason(asked.reason, "taken back")?;
    give(&api, &principal, &id, asked.key, |deployment| Command::Withdraw { deployment, reason })
        .await
}

/// Vouch for something that no machine can see.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/attest",
    tag = "approvals",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Attest,
    responses(
        (status = 200, body = Accepted),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn attest(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Attest>,
) -> Reply<Accepted> {
    let (item, note, facts) = (asked.item, comment(asked.comment)?, principal.facts.clone());
    let expires = asked.lasts_ms.map(|lasts| until(api.now(), lasts)).transpose()?;
    give(&api, &principal, &id, asked.key, |deployment| Command::Attest {
        deployment,
        item,
        note,
        expires,
        facts,
    })
    .await
}

/// Refuse, with a category and a reason: a review that the next plan has to answer.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/reject",
    tag = "approvals",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Reject,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn reject(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Reject>,
) -> Reply<Accepted> {
    if asked.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Problem::bad_request("a refusal needs its reason")
            .help("`tidegate reject --category code --reason \"...\"`"));
    }
    let category = match asked.category.as_deref() {
        None => Category::Other,
        Some(word) => {
            Category::ALL.into_iter().find(|category| category.word() == word).ok_or_else(|| {
                let known: Vec<&str> = Category::ALL.iter().map(|known| known.word()).collect();
                Problem::bad_request(format!("category is one of {}", known.join(", ")))
            })?
        }
    };
    let reason = reason(asked.reason, "")?;
    give(&api, &principal, &id, asked.key, |deployment| Command::Reject {
        deployment,
        category,
        reason,
    })
    .await
}

/// Everything that somebody needs to judge a deployment in flight.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/approvals",
    tag = "approvals",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, body = Sheet),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn sheet(State(api): State<Api>, Path(id): Path<String>) -> Reply<Sheet> {
    let (scope, deployment) = locate::scope_of(&api, &id).await?;
    let state = api.engine().state(&scope);
    let state = state.filter(|state| state.current.as_ref().is_some_and(|d| d.id == deployment));
    let found = state.and_then(|state| Some((sheet::of(&state, api.now())?, state)));
    let Some((mut sheet, state)) = found else {
        return Err(Problem::not_found("TG8001", format!("{deployment} is not in flight"))
            .help("what was said about it: `tidegate timeline`"));
    };
    sheet.stakes = plans::stakes(&api, &state).await;
    Ok(axum::Json(sheet))
}

/// What waits for people, the nearest deadline first.
#[utoipa::path(
    get,
    path = "/v1/inbox",
    tag = "approvals",
    responses((status = 200, body = Inbox))
)]
pub(crate) async fn inbox(State(api): State<Api>, principal: Principal) -> Reply<Inbox> {
    let now = api.now();
    let scopes = api.engine().scopes();
    let states = scopes.iter().filter_map(|scope| api.engine().state(scope));
    let mut items: Vec<Item> =
        states.flat_map(|state: std::sync::Arc<ServiceState>| sheet::items(&state, now)).collect();
    items.extend(api.parts().triggers.shown().into_iter().filter_map(ready));
    items.sort_by_key(|item| (item.until.unwrap_or(jiff::Timestamp::MAX), item.since));
    std::future::ready(Ok(axum::Json(Inbox { who: principal.name.clone(), items }))).await
}

/// A release that a trigger found, and that somebody is to begin.
fn ready(trigger: Trigger) -> Option<Item> {
    let ready = trigger.ready?;
    Some(Item {
        kind: "release".to_owned(),
        deployment: String::new(),
        service: ready.service,
        environment: ready.environment,
        version: ready.version,
        sentence: trigger.sentence,
        since: ready.since,
        until: None,
        command: ready.command,
    })
}

/// How much waits for people.
pub(crate) fn waiting(api: &Api) -> usize {
    let now = api.now();
    let scopes = api.engine().scopes();
    let states = scopes.iter().filter_map(|scope| api.engine().state(scope));
    states.map(|state| sheet::items(&state, now).len()).sum()
}

/// When a word that lasts so long counts no more.
fn until(now: jiff::Timestamp, lasts_ms: u64) -> Result<jiff::Timestamp, Problem> {
    let lasts = i64::try_from(lasts_ms).map(jiff::SignedDuration::from_millis);
    let lasts = lasts.ok().filter(|lasts| lasts.is_positive() && *lasts <= VOUCHED_MAX);
    lasts.and_then(|lasts| now.checked_add(lasts).ok()).ok_or_else(|| {
        Problem::bad_request(format!("somebody can vouch for at most {VOUCHED_MAX:#}"))
    })
}

fn comment(given: Option<String>) -> Result<Option<String>, Problem> {
    let given = given.filter(|comment| !comment.trim().is_empty());
    match &given {
        Some(comment) if comment.len() > REASON_BYTES_MAX => {
            Err(Problem::bad_request(format!("a comment has at most {REASON_BYTES_MAX} bytes")))
        }
        _ => Ok(given),
    }
}

/// The policies of the deployment in flight, for the sheet.
fn items_to_vouch(state: &ServiceState) -> Vec<String> {
    let Some(current) = &state.current else { return Vec::new() };
    gate::policies(state, current).into_iter().flat_map(|policy| policy.attest).collect()
}
