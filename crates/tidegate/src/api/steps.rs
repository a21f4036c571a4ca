//! Custom steps: what a person says of one whose end nobody saw.
//! Must never take a word without the reason for it.

use axum::extract::{Path, State};
use tidegate_core::ids::StepName;
use tidegate_core::input::Command;

use super::Api;
use super::body::Body;
use super::decisions::give;
use super::principal::Principal;
use super::reply::Reply;
use crate::problem::Problem;
use crate::view::request::{Accepted, Settle};

/// Say what became of a step that was lost.
#[utoipa::path(
    post,
    path = "/v1/deployments/{id}/steps/{step}/settle",
    tag = "decisions",
    params(
        ("id" = String, Path, description = "The deployment"),
        ("step" = String, Path, description = "The step"),
    ),
    request_body = Settle,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn settle(
    State(api): State<Api>,
    principal: Principal,
    Path((id, step)): Path<(String, String)>,
    Body(asked): Body<Settle>,
) -> Reply<Accepted> {
    principal.proven_lately(api.now())?;
    let step = StepName::new(step).map_err(|error| Problem::bad_request(error.to_string()))?;
    let Settle { done, reason, key } = asked;
    give(&api, &principal, &id, key, |deployment| Command::Settle {
        deployment,
        step,
        done,
        reason,
    })
    .await
}
