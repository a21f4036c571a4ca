//! Services: what is live, in which slots, and the way back for a whole service.
//! Must never start anything but by a command of the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::Deserialize;
use tidegate_core::ids::Scope;
use tidegate_core::input::Command;
use tidegate_core::state::State as ServiceState;
use tidegate_engine::ports::Place;
use utoipa::IntoParams;

use super::body::{Body, Query};
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, decisions, depict, deployments, locate};
use crate::problem::Problem;
use crate::view::request::{self, Accepted};
use crate::view::service::{Service, Services, Slots, Target, Targets, Usage};

/// Which environment of a service.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Where {
    /// Needed when the service runs in several.
    pub(crate) environment: Option<String>,
}

/// All services.
#[utoipa::path(
    get,
    path = "/v1/services",
    tag = "services",
    responses((status = 200, body = Services))
)]
pub(crate) async fn list(State(api): State<Api>) -> Reply<Services> {
    let now = api.now();
    let services = api
        .engine()
        .scopes()
        .into_iter()
        .filter_map(|scope| {
            let state = api.engine().state(&scope)?;
            Some(service_view(&scope, &state, now))
        })
        .collect();
    Ok(axum::Json(Services { services }))
}

fn service_view(scope: &Scope, state: &ServiceState, now: Timestamp) -> Service {
    Service {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        live: live_version(state),
        current: state.current.as_ref().map(|current| current.id.to_string()),
        queued: state.queued.as_ref().map(|queued| queued.deployment.to_string()),
        sentence: tidegate_core::waiting::sentence(state, now),
        fault: state.fault.as_ref().map(|fault| format!("{} {}", fault.code, fault.what)),
    }
}

/// The version that users meet.
pub(crate) fn live_version(state: &ServiceState) -> Option<String> {
    state.parts.values().find_map(|part| {
        let slot = part.slots.get(part.live.as_ref()?)?;
        Some(slot.want.as_ref()?.revision.version.clone())
    })
}

/// The slots of a service, with how busy they are.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/slots",
    tag = "services",
    params(("service" = String, Path, description = "The service"), Where),
    responses(
        (status = 200, body = Slots),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn slots(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Where>,
) -> Reply<Slots> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let mut usage = BTreeMap::new();
    for (part, seen) in &state.parts {
        for (slot, _) in seen.slots.iter().filter(|(_, slot)| slot.want.is_some()) {
            let place = Place { scope: scope.clone(), part: part.clone(), slot: slot.clone() };
            // A slot whose use cannot be read is shown without: absence is not zero.
            if let Ok(read) = api.ports().runtime.usage(&place).await {
                let read =
                    Usage { cpu_percent: read.cpu_percent, memory_percent: read.memory_percent };
                usage.insert(format!("{part}/{slot}"), read);
            }
        }
    }
    let live = api.engine().live(&scope);
    Ok(axum::Json(Slots {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        parts: depict::parts(&state, state.current.as_ref(), live.as_ref()),
        usage,
    }))
}

/// What a rollback can bring back, newest first.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/targets",
    tag = "services",
    params(("service" = String, Path, description = "The service"), Where),
    responses(
        (status = 200, body = Targets),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn targets(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Where>,
) -> Reply<Targets> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let live = live_version(&state);
    let mut targets: Vec<Target> = Vec::new();
    let good = state.history.iter().rev().filter(|ended| ended.ending.is_live());
    for ended in good {
        let version = &ended.plan.release.version;
        let Some(artifact) = &ended.artifact else { continue };
        if targets.iter().any(|target| target.version == *version) {
            continue;
        }
        let is_live = live.as_deref() == Some(version) && state.current.is_none();
        let readiness = if is_live { "live" } else { readiness(&state, artifact.as_str()) };
        targets.push(Target {
            version: version.clone(),
            artifact: artifact.to_string(),
            readiness: readiness.to_owned(),
            deployment: ended.deployment.to_string(),
            live_since: ended.ended_at,
            quarantined: state.quarantine.contains(artifact),
        });
    }
    let fallback =
        targets.iter_mut().find(|target| target.readiness != "live" && !target.quarantined);
    let default = fallback.map(|target| target.version.clone());
    Ok(axum::Json(Targets {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        live,
        current: state.current.as_ref().map(|current| current.id.to_string()),
        default,
        targets,
    }))
}

/// How quickly an artifact could take over: `hot` runs, `warm` is in a slot, `cold` is started.
fn readiness(state: &ServiceState, artifact: &str) -> &'static str {
    let mut all_hot = !state.parts.is_empty();
    let mut any = false;
    for part in state.parts.values() {
        let found = part.slots.values().find(|slot| {
            slot.want.as_ref().is_some_and(|tenant| tenant.revision.artifact == artifact)
        });
        any |= found.is_some_and(|slot| slot.observed.ready > 0);
        all_hot &= found.is_some_and(|slot| {
            slot.ready() && slot.want.as_ref().is_some_and(|tenant| tenant.instances > 0)
        });
    }
    match (all_hot, any) {
        (true, _) => "hot",
        (false, true) => "warm",
        (false, false) => "cold",
    }
}

/// Return the traffic to what was live before, or to a version.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/rollback",
    tag = "services",
    params(("service" = String, Path, description = "The service")),
    request_body = request::Rollback,
    responses(
        (status = 200, body = Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn rollback(
    State(api): State<Api>,
    principal: Principal,
    Path(service): Path<String>,
    Body(asked): Body<request::Rollback>,
) -> Reply<Accepted> {
    deployments::check_key(asked.key.as_deref())?;
    let (scope, before) = locate::service(&api, &service, asked.environment.as_deref())?;
    let reason = decisions::reason(asked.reason, "rolled back by hand")?;
    let id = deployments::new_id(&api).await?;
    let command = Command::Rollback { deployment: id.clone(), to: asked.to.clone(), reason };
    let receipt = api.engine().command(&scope, principal.actor(), asked.key, command).await?;
    // In flight, that deployment goes back; at rest, a deployment of the earlier release begins.
    let id = match &before.current {
        Some(current) if api.ports().journal.find(&id).await?.is_none() => current.id.clone(),
        _ => id,
    };
    let version = api.ports().journal.find(&id).await?.map(|row| row.version).unwrap_or_default();
    tracing::info!(%scope, deployment = %id, by = %principal.name, "rollback asked for");
    Ok(axum::Json(Accepted {
        id: id.to_string(),
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        version,
        seq: receipt.seq,
        repeated: false,
        notes: Vec::new(),
    }))
}

/// Gives a command of a person to a service, and says how it stands afterwards.
///
/// # Errors
/// The rejection, or what is wrong with the key.
pub(super) async fn change(
    api: &Api,
    principal: &Principal,
    scope: &Scope,
    key: Option<String>,
    command: Command,
) -> Result<Arc<ServiceState>, Problem> {
    deployments::check_key(key.as_deref())?;
    api.engine().command(scope, principal.actor(), key, command).await?;
    let environment = Some(scope.environment.as_str());
    let (_, state) = locate::service(api, scope.service.as_str(), environment)?;
    Ok(state)
}
