//! What people decide about a deployment in flight: hold, resume, advance, abort.
//! Must never act on another deployment than the one that was named.

use axum::extract::{Path, State};
use jiff::SignedDuration;
use tidegate_core::ids::DeploymentId;
use tidegate_core::input::Command;

use super::body::Body;
use super::deployments::check_key;
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, locate};
use crate::problem::Problem;
use crate::view::request::{self, Accepted};

/// Longest reason, bytes: it is read by people.
pub(crate) const REASON_BYTES_MAX: usize = 2_000;

/// Go no further until it is resumed, or the hold ends by itself.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/hold",
    tag = "decisions",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Hold,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn hold(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Hold>,
) -> Reply<Accepted> {
    let reason = reason(asked.reason, "held by hand")?;
    let lasts = match asked.lasts_ms.map(i64::try_from) {
        None => None,
        Some(Ok(ms)) if ms > 0 => Some(SignedDuration::from_millis(ms)),
        Some(_) => return Err(Problem::bad_request("lasts_ms is not a length of time")),
    };
    give(&api, &principal, &id, asked.key, |deployment| Command::Hold { deployment, reason, lasts })
        .await
}

/// End a person's hold.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/resume",
    tag = "decisions",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Reason,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn resume(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Reason>,
) -> Reply<Accepted> {
    give(&api, &principal, &id, asked.key, |deployment| Command::Resume { deployment }).await
}

/// Go to the next step without waiting out this one.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/advance",
    tag = "decisions",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Advance,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn advance(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Advance>,
) -> Reply<Accepted> {
    principal.proven_lately(api.now())?;
    let Some(step) = asked.step.checked_sub(1) else {
        return Err(Problem::bad_request("steps are counted from 1"));
    };
    give(&api, &principal, &id, asked.key, |deployment| Command::Advance { deployment, step }).await
}

/// Stop and return to the safe state.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/abort",
    tag = "decisions",
    params(("id" = String, Path, description = "The deployment")),
    request_body = request::Reason,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn abort(
    State(api): State<Api>,
    principal: Principal,
    Path(id): Path<String>,
    Body(asked): Body<request::Reason>,
) -> Reply<Accepted> {
    let reason = reason(asked.reason, "aborted by hand")?;
    give(&api, &principal, &id, asked.key, |deployment| Command::Abort { deployment, reason }).await
}

/// A reason fit for the journal.
pub(crate) fn reason(given: Option<String>, default: &str) -> Result<String, Problem> {
    let reason = given.filter(|reason| !reason.trim().is_empty());
    let reason = reason.unwrap_or_else(|| default.to_owned());
    if reason.len() > REASON_BYTES_MAX {
        return Err(Problem::bad_request(format!("a reason has at most {REASON_BYTES_MAX} bytes")));
    }
    Ok(reason)
}

pub(super) async fn give(
    api: &Api,
    principal: &Principal,
    id: &str,
    key: Option<String>,
    command: impl FnOnce(DeploymentId) -> Command,
) -> Reply<Accepted> {
    check_key(key.as_deref())?;
    let (scope, deployment) = locate::scope_of(api, id).await?;
    let version = match locate::deployment(api, id).await? {
        locate::Located::Begun(row) => row.version,
        locate::Located::Queued(_, state) => state
            .queued
            .as_ref()
            .map(|queued| queued.plan.release.version.clone())
            .unwrap_or_default(),
    };
    let command = command(deployment.clone());
    let receipt = api.engine().command(&scope, principal.actor(), key, command).await?;
    Ok(axum::Json(Accepted {
        id: deployment.to_string(),
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        version,
        seq: receipt.seq,
        repeated: false,
        notes: Vec::new(),
    }))
}
