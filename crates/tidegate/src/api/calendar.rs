//! The calendar of a service: when deployments may begin, and freezes that people call out.
//! Must never stop anything that is under way, and never a rollback.

use axum::extract::{Path, State};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tidegate_core::ids::Scope;
use tidegate_core::input::Command;
use tidegate_core::state::State as ServiceState;
use tidegate_core::window::{Door as CoreDoor, GATE, Load, Window, door};
use tidegate_engine::recording::{self, Entry};
use utoipa::IntoParams;

use super::body::{Body, Query};
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, deployments, locate};
use crate::problem::Problem;
use crate::view::calendar::{Calendar, Door, Freeze, Opening, Proposal};
use crate::view::request;

/// Days that are shown when nobody says how many.
const DAYS_DEFAULT: u16 = 14;
/// Most days that are shown.
const DAYS_MAX: u16 = 366;
/// Recordings that a proposal is made from.
const RECORDINGS_MAX: usize = 50;
/// Most openings of one answer: one for each half hour of a month.
const OPENINGS_SHOWN: usize = 1_500;

/// Of which environment, and for how long.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The environment; needed when the service has several.
    environment: Option<String>,
    /// For how many days, 1 to 366; 14 by default.
    days: Option<u16>,
}

/// When deployments of a service may begin: the window of the newest one, and freezes.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/calendar",
    tag = "services",
    params(("service" = String, Path, description = "The service"), Asked),
    responses(
        (status = 200, body = Calendar),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Asked>,
) -> Reply<Calendar> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let days = asked.days.unwrap_or(DAYS_DEFAULT).clamp(1, DAYS_MAX);
    let mut calendar = calendar(&api, &scope, &state, days);
    if let Some(window) = state.newest_plan().and_then(|plan| plan.window.as_ref()) {
        calendar.proposal = proposal(&api, &scope, window).await;
    }
    Ok(axum::Json(calendar))
}

/// The hour that a window which prefers low traffic proposes.
async fn proposal(api: &Api, scope: &Scope, window: &Window) -> Option<Proposal> {
    if !window.low_traffic {
        return None;
    }
    let load = recorded(api, scope, window).await;
    Some(match window.quietest(&load, api.now()) {
        Some(quiet) => Proposal {
            hour: Some(Opening { from: quiet.from, to: quiet.to }),
            sentence: format!(
                "fewest requests: {:.1}/s of {:.1}/s in the busiest of {} hours of the day that \
                 were recorded",
                quiet.rate, quiet.busiest, quiet.known
            ),
        },
        None => Proposal {
            hour: None,
            sentence: "no requests were recorded in an hour in which one may begin".to_owned(),
        },
    })
}

/// Requests by the hour of the day, from what was recorded while deployments were judged.
async fn recorded(api: &Api, scope: &Scope, window: &Window) -> Load {
    let mut load = Load::default();
    let Ok(names) = api.ports().recordings.list().await else { return load };
    // The newest say most of the service as it is.
    let names = names.into_iter().rev().filter(|name| name.scope == *scope);
    for name in names.take(RECORDINGS_MAX) {
        let Ok(Some(bytes)) = api.ports().recordings.read(&name).await else { continue };
        let Ok(recording) = recording::read(&bytes) else { continue };
        for (entry, _) in &recording.entries {
            let Entry::Tick(tick) = entry else { continue };
            let sides = [&tick.candidate, &tick.live].into_iter().flatten();
            let at =
                i64::try_from(tick.at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
            let hour = at.and_then(|at| window.hour_of_day(at));
            let requests: u64 = sides.clone().map(|side| side.requests).sum();
            if let Some(hour) = hour.filter(|_| sides.count() > 0) {
                load.add(hour, tick.length_ms as f64 / 1_000.0, requests as f64);
            }
        }
    }
    load
}

/// The calendar of one service.
pub(crate) fn calendar(api: &Api, scope: &Scope, state: &ServiceState, days: u16) -> Calendar {
    let now = api.now();
    let until = now.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(now);
    let plan = state.newest_plan();
    let window = plan.and_then(|plan| plan.window.as_ref());
    let openings = window.map(|window| window.intervals(now, until)).unwrap_or_default();
    let freezes = state.freezes.iter().filter(|freeze| freeze.until > now);
    Calendar {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        zone: window.map(|window| window.zone.clone()),
        overrun: window.map(|window| window.overrun.word().to_owned()),
        door: Door::of(plan.map_or(CoreDoor::Open { closes: None }, |plan| door(state, plan, now))),
        openings: openings
            .into_iter()
            .take(OPENINGS_SHOWN)
            .map(|open| Opening { from: open.from, to: open.to })
            .collect(),
        freezes: freezes
            .map(|freeze| Freeze {
                name: freeze.name.clone(),
                reason: freeze.reason.clone(),
                from: freeze.from,
                until: freeze.until,
                by: freeze.by.clone(),
            })
            .collect(),
        proposal: None,
        duties: super::duties::of(state, now),
    }
}

/// Let no deployment begin for a time.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/freezes",
    tag = "services",
    params(("service" = String, Path, description = "The service")),
    request_body = request::Freeze,
    responses(
        (status = 200, body = Calendar),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn freeze(
    State(api): State<Api>,
    principal: Principal,
    Path(service): Path<String>,
    Body(asked): Body<request::Freeze>,
) -> Reply<Calendar> {
    let request::Freeze { environment, name, reason, from, until, key } = asked;
    let command = Command::Freeze { name, reason, from, until };
    change(&api, &principal, &service, environment.as_deref(), key, command).await
}

/// End a freeze before its end.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/thaw",
    tag = "services",
    params(("service" = String, Path, description = "The service")),
    request_body = request::Thaw,
    responses(
        (status = 200, body = Calendar),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn thaw(
    State(api): State<Api>,
    principal: Principal,
    Path(service): Path<String>,
    Body(asked): Body<request::Thaw>,
) -> Reply<Calendar> {
    let request::Thaw { environment, name, reason, key } = asked;
    let command = Command::Thaw { name, reason };
    change(&api, &principal, &service, environment.as_deref(), key, command).await
}

async fn change(
    api: &Api,
    principal: &Principal,
    service: &str,
    environment: Option<&str>,
    key: Option<String>,
    command: Command,
) -> Reply<Calendar> {
    deployments::check_key(key.as_deref())?;
    let (scope, _) = locate::service(api, service, environment)?;
    api.engine().command(&scope, principal.actor(), key, command).await?;
    let (scope, state) = locate::service(api, service, Some(scope.environment.as_str()))?;
    tracing::info!(%scope, by = %principal.name, "freezes changed");
    Ok(axum::Json(calendar(api, &scope, &state, DAYS_DEFAULT)))
}

/// Whether a waiver of this name opens something that every plan has.
pub(super) fn is_waivable(gate: &str) -> bool {
    gate == GATE
}
