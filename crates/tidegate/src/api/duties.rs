//! Duties of a service: what falls due again and again, and who said that it was done.
//! Must never do one by itself: somebody vouches for it, or a drill shows it.

use axum::extract::{Path, State};
use jiff::Timestamp;
use tidegate_core::duty::{Standing, standings};
use tidegate_core::ids::Scope;
use tidegate_core::input::Command;
use tidegate_core::state::State as ServiceState;

use super::body::{Body, Query};
use super::principal::Principal;
use super::reply::Reply;
use super::services::Where;
use super::{Api, locate, services};
use crate::problem::Problem;
use crate::view::duty::{Done, Duties, Duty};
use crate::view::request::DutyDone;

/// The duties of a service: those of its newest deployment.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/duties",
    tag = "services",
    params(("service" = String, Path, description = "The service"), Where),
    responses(
        (status = 200, body = Duties),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Where>,
) -> Reply<Duties> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    Ok(axum::Json(shown(&scope, &state, api.now())))
}

fn shown(scope: &Scope, state: &ServiceState, now: Timestamp) -> Duties {
    Duties {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        duties: of(state, now),
    }
}

/// The duties of a state, each with how it stands.
pub(super) fn of(state: &ServiceState, now: Timestamp) -> Vec<Duty> {
    let Some(plan) = state.newest_plan() else { return Vec::new() };
    standings(state, plan, now).iter().map(|standing| view(standing, now)).collect()
}

fn view(standing: &Standing<'_>, now: Timestamp) -> Duty {
    let duty = standing.duty;
    Duty {
        name: duty.name.clone(),
        every: duty.every.to_string(),
        owner: duty.owner.clone(),
        run: duty.run.clone(),
        evidence: duty.evidence.clone(),
        expect: duty.expect.clone(),
        blocks: duty.blocks,
        due: standing.due,
        overdue: standing.is_overdue(now),
        last: standing.last.map(|done| Done {
            at: done.at,
            by: done.by.to_string(),
            evidence: done.evidence.clone(),
        }),
    }
}

/// Vouch that one was done.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/duties/{duty}/done",
    tag = "services",
    params(
        ("service" = String, Path, description = "The service"),
        ("duty" = String, Path, description = "The duty"),
    ),
    request_body = DutyDone,
    responses(
        (status = 200, body = Duties),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn done(
    State(api): State<Api>,
    principal: Principal,
    Path((service, duty)): Path<(String, String)>,
    Body(asked): Body<DutyDone>,
) -> Reply<Duties> {
    let (scope, _) = locate::service(&api, &service, asked.environment.as_deref())?;
    let command = Command::DoneDuty { duty, evidence: asked.evidence };
    let state = services::change(&api, &principal, &scope, asked.key, command).await?;
    tracing::info!(%scope, by = %principal.name, "a duty was done");
    Ok(axum::Json(shown(&scope, &state, api.now())))
}
