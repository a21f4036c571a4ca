//! One gate of a deployment: what it said, on which reports, how it stood before, and how it is set
//! aside. Must never set a gate aside without a reason and an end.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use tidegate_core::rights::Act;

use super::act::Done;
use super::deployment::read;
use super::show::{self, Light};
use crate::api::body::Query;
use crate::api::{Api, evidence, gates, insights};
use crate::client::encode;
use crate::leaves::{self, Leaf};
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::Deployment;
use crate::view::evidence::{Gate, Report};
use crate::view::history::GateUse;

/// Days of a gate's history.
const DAYS: u16 = 90;
/// Longest waiver that the form offers, in hours; the core allows 30 days.
const HOURS_MAX: i64 = 7 * 24;

#[derive(Template)]
#[template(path = "gate.html")]
struct GatePage {
    shell: Shell,
    d: Deployment,
    gate: Gate,
    light: Light,
    demand: Vec<Leaf>,
    reports: Vec<Report>,
    history: Option<GateUse>,
    days: u16,
    /// Whether who looks may set it aside.
    may_waive: bool,
    said: Option<&'static str>,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path((id, name)): Path<(String, String)>,
    Query(asked): Query<Done>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let gate = d.gates.iter().find(|gate| gate.name == name).cloned();
    let (plan, row) = super::plan::pinned(&api, &id).await?;
    let declared = plan.gates.iter().find(|gate| gate.name == name);
    let gate = match (gate, declared) {
        (Some(gate), _) => gate,
        (None, Some(declared)) => Gate {
            name: declared.name.clone(),
            result: "not-weighed".to_owned(),
            sentence: "it is weighed when the deployment comes to its gates".to_owned(),
            help: None,
            evidence: Vec::new(),
        },
        (None, None) => {
            let what = format!("{id} has no gate {}", crate::text::plain(&name));
            return Err(Refusal(Problem::not_found("TG7046", what)));
        }
    };
    let state = row.as_ref().and_then(|row| api.engine().state(&row.scope));
    let kept = state.iter().flat_map(|state| &state.evidence);
    let reports = kept
        .filter(|kept| gate.evidence.iter().any(|one| one == kept.evidence.digest.as_str()))
        .map(evidence::report)
        .collect();
    let asked_for = insights::Asked {
        days: Some(DAYS),
        service: Some(d.service.clone()),
        environment: Some(d.environment.clone()),
    };
    let counted = insights::show(State(api.clone()), Query(asked_for)).await?;
    let history = counted.0.gates.get(&format!("{}/{name}", d.service)).cloned();
    let demand = serde_json::to_value(declared.map(|gate| &gate.demand)).unwrap_or(Value::Null);
    let shown = GatePage {
        shell: super::shell(&api, &viewer, "Gate"),
        light: show::gate(&gate.result),
        demand: show::plain_leaves(leaves::of(&demand)),
        reports: show::plain(reports),
        history: show::plain(history),
        days: DAYS,
        may_waive: !gate.open() && viewer.may(&api, Act::Waive),
        said: asked.words(),
        gate,
        d,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// The form of a waiver, as it comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Waive {
    reason: String,
    hours: i64,
}

/// Sets the gate aside for this version.
pub(crate) async fn waive(
    State(api): State<Api>,
    viewer: Viewer,
    Path((id, name)): Path<(String, String)>,
    Form(asked): Form<Waive>,
) -> Result<Response, Refusal> {
    let (plan, _) = super::plan::pinned(&api, &id).await?;
    let lasts = SignedDuration::from_hours(asked.hours.clamp(1, HOURS_MAX));
    let until: Timestamp = api
        .now()
        .checked_add(lasts)
        .map_err(|_far| Problem::bad_request("the waiver has no end"))?;
    gates::set_aside(&api, &viewer.principal, &plan, &name, asked.reason, until, None).await?;
    let back = format!("/d/{}/gates/{}?done=waive", encode(&id), encode(&name));
    Ok(Redirect::to(&back).into_response())
}
