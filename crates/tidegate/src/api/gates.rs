//! Gates: how a release would stand at this moment, and gates that a person sets aside.
//! Must never let a deployment go on by itself: what is weighed here has no consequence.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use tidegate_core::effect;
use tidegate_core::gate::{self, GateResult};
use tidegate_core::input::Command;
use tidegate_core::plan::Plan;
use tidegate_core::state::State as ServiceState;

use super::body::Body;
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, calendar, changes, deployments};
use crate::problem::Problem;
use crate::view::evidence::{Gate, Gates, Waived};
use crate::view::request;

/// Weigh the gates of a release as they stand now.
#[utoipa::path(
    post,
    path = "/v1/gates",
    tag = "gates",
    request_body = request::Release,
    responses(
        (status = 200, body = Gates),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn weigh(
    State(api): State<Api>,
    Body(asked): Body<request::Release>,
) -> Reply<Gates> {
    let mut plan = deployments::plan_of(&api, &asked).await?;
    changes::decide(&api, &mut plan).await?;
    let plan = Arc::new(plan);
    let state = api.engine().state(&plan.scope);
    let state = state.unwrap_or_else(|| Arc::new(ServiceState::default()));
    let question = effect::question(&state, &plan);
    let found = tidegate_engine::look_up(api.ports(), &question).await;
    let results = gate::weigh_all(&question, &found, &state.waivers, api.now());
    let (result, sentence) = if results.is_empty() {
        ("not-required".to_owned(), "the file declares no gates".to_owned())
    } else {
        let (outcome, sentence) = gate::combine(&results);
        (outcome.word().to_owned(), sentence)
    };
    Ok(axum::Json(Gates {
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        version: plan.release.version.clone(),
        commit: plan.release.commit.clone(),
        result,
        sentence,
        gates: results.iter().map(shown).collect(),
    }))
}

/// A gate as it is shown.
pub(super) fn shown(result: &GateResult) -> Gate {
    Gate {
        name: result.gate.clone(),
        result: if result.needed { result.outcome.word() } else { "not-needed" }.to_owned(),
        sentence: result.sentence.clone(),
        help: result.help.clone(),
        evidence: result.evidence.iter().map(ToString::to_string).collect(),
    }
}

/// Set a gate aside for one version: named, with a reason, and not for ever.
#[utoipa::path(
    post,
    path = "/v1/waivers",
    tag = "gates",
    request_body = request::Waive,
    responses(
        (status = 200, body = Waived),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn waive(
    State(api): State<Api>,
    principal: Principal,
    Body(asked): Body<request::Waive>,
) -> Reply<Waived> {
    deployments::check_key(asked.key.as_deref())?;
    let request::Waive { release, gate, reason, lasts_ms, key } = asked;
    let plan = deployments::plan_of(&api, &release).await?;
    let lasts = i64::try_from(lasts_ms).map(jiff::SignedDuration::from_millis);
    let until = lasts.ok().and_then(|lasts| api.now().checked_add(lasts).ok());
    let Some(until) = until else {
        return Err(Problem::bad_request("a waiver lasts at most 30 days"));
    };
    set_aside(&api, &principal, &plan, &gate, reason, until, key).await.map(axum::Json)
}

/// Sets a gate of a plan aside.
///
/// # Errors
/// TG7046 when the plan has no such gate, or what the core says against it.
pub(crate) async fn set_aside(
    api: &Api,
    principal: &Principal,
    plan: &Plan,
    gate: &str,
    reason: String,
    until: Timestamp,
    key: Option<String>,
) -> Result<Waived, Problem> {
    let known = plan.gates.iter().any(|known| known.name == gate);
    if !known && !calendar::is_waivable(gate) {
        let known: Vec<&str> = plan.gates.iter().map(|gate| gate.name.as_str()).collect();
        let name = crate::text::plain(gate);
        let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Problem::not_found(
            "TG7046",
            format!("{} has no gate `{name}`; there is {there}", plan.release.version),
        )
        .safe("nothing was changed"));
    }
    let (version, commit) = (plan.release.version.clone(), plan.release.commit.clone());
    let command = Command::Waive {
        gate: gate.to_owned(),
        version: version.clone(),
        commit: commit.clone(),
        reason,
        until,
    };
    api.engine().command(&plan.scope, principal.actor(), key, command).await?;
    tracing::info!(scope = %plan.scope, %gate, %version, by = %principal.name, "gate waived");
    Ok(Waived {
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        gate: gate.to_owned(),
        version,
        commit,
        until,
    })
}
