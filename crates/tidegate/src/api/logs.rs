//! The last lines of what a release said: its build and suites, or the instances of a slot.
//! Must never send more than the limit, nor a log of another service.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tidegate_core::ids::{DeploymentId, PartName, SlotName};
use tidegate_engine::ports::Place;
use utoipa::IntoParams;

use super::body::Query;
use super::{Api, locate};
use crate::problem::Problem;

/// Most bytes of a log in one answer.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a log in an answer that does not say how many.
const BYTES_DEFAULT: u64 = 64 * 1024;

/// Which log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The instances of this part; without it the build and the suites.
    part: Option<String>,
    /// The slot; the one that this deployment uses by default.
    slot: Option<String>,
    /// The last so many bytes, 65,536 by default.
    tail: Option<u64>,
}

/// The last bytes of a log, oldest first.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/logs",
    tag = "deployments",
    params(("id" = String, Path, description = "The deployment"), Which),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(asked): Query<Which>,
) -> Result<Response, Problem> {
    let row = locate::begun(&api, &id).await?;
    let bytes_max = asked.tail.unwrap_or(BYTES_DEFAULT).clamp(1, BYTES_MAX);
    let bytes = match (&asked.part, &asked.slot) {
        (None, None) => api.ports().releases.logs(&row.deployment, bytes_max).await?,
        (part, slot) => {
            let place = place(&api, &row.scope, &row.deployment, part.as_deref(), slot.as_deref())?;
            api.ports().runtime.logs(&place, bytes_max).await?
        }
    };
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response())
}

fn place(
    api: &Api,
    scope: &tidegate_core::ids::Scope,
    deployment: &DeploymentId,
    part: Option<&str>,
    slot: Option<&str>,
) -> Result<Place, Problem> {
    let state = api
        .engine()
        .state(scope)
        .ok_or_else(|| Problem::not_found("TG7010", format!("{scope} is not known here")))?;
    let unknown = |what: String| {
        Problem::not_found("TG7013", what).help("see what there is: `tidegate slot list`")
    };
    let part: PartName = match part {
        Some(name) => state
            .parts
            .keys()
            .find(|known| known.as_str() == name)
            .cloned()
            .ok_or_else(|| unknown(format!("{scope} has no part of that name")))?,
        None => match (state.parts.keys().next(), state.parts.len()) {
            (Some(only), 1) => only.clone(),
            _ => return Err(Problem::bad_request("name the part: there are several")),
        },
    };
    let slots = state.parts.get(&part).map(|part| &part.slots);
    let named = |name: &str| {
        slots.and_then(|slots| slots.keys().find(|known| known.as_str() == name).cloned())
    };
    let current = state.current.as_ref().filter(|current| current.id == *deployment);
    let slot: Option<SlotName> = match slot {
        Some(name) => named(name),
        None => current
            .and_then(|current| current.candidates.get(&part).cloned())
            .or_else(|| state.parts.get(&part).and_then(|part| part.live.clone())),
    };
    let slot = slot.ok_or_else(|| unknown(format!("{part} has no slot of that name")))?;
    Ok(Place { scope: scope.clone(), part, slot })
}
