//! What went wrong: all of it, and one with everything that people do about it. Plain forms that
//! need no script.
//! Must never offer to close one without saying what shows that it is over.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tidegate_core::rights::Act;

use super::act::Done;
use super::show::{self, Light};
use crate::api::body::{Body, Query};
use crate::api::{Api, incidents, insights, messages};
use crate::client::encode;
use crate::text::{count, number};
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::history::Back;
use crate::view::incident::{Handle, Impact, Incident, Whole};
use crate::view::message;

/// Days of ways back.
const DAYS: u16 = 90;

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    shell: Shell,
    known: Vec<(Light, Incident)>,
    backs: Vec<Back>,
    days: u16,
}

/// What is open, what was, and what went back in the last months.
pub(crate) async fn list(State(api): State<Api>, viewer: Viewer) -> Result<Response, Refusal> {
    let asked = insights::Asked { days: Some(DAYS), ..insights::Asked::default() };
    let found = show::plain(insights::show(State(api.clone()), Query(asked)).await?.0);
    let known = show::plain(incidents::all(&api)).into_iter();
    let shown = IncidentsPage {
        shell: super::shell(&api, &viewer, "Incidents"),
        known: known.map(|incident| (light(&incident), incident)).collect(),
        backs: found.rollbacks,
        days: DAYS,
    };
    Ok(page(StatusCode::OK, &shown))
}

fn light(incident: &Incident) -> Light {
    let (icon, tone) = match incident.state.as_str() {
        "resolved" => ("check", "good"),
        "acknowledged" => ("wave", "doubtful"),
        _ => ("cross", "bad"),
    };
    let word = format!("{} {}", incident.severity.to_uppercase(), incident.state);
    Light { icon, word, tone }
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    shell: Shell,
    w: Whole,
    light: Light,
    impact: Vec<(&'static str, String)>,
    /// Whether who looks may do something about it.
    may_respond: bool,
    said: Option<&'static str>,
}

/// One of them.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(asked): Query<Done>,
) -> Result<Response, Refusal> {
    let w = show::plain(incidents::whole(&api, &id).await?);
    let shown = IncidentPage {
        shell: super::shell(&api, &viewer, "Incident"),
        light: light(&w.incident),
        impact: w.impact.as_ref().map(figures).unwrap_or_default(),
        may_respond: viewer.may(&api, Act::Respond),
        said: asked.words(),
        w,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// What was counted; what was not says so.
fn figures(impact: &Impact) -> Vec<(&'static str, String)> {
    let unknown = || "not recorded".to_owned();
    let share = |bp: u16| format!("{} %", number(f64::from(bp) / 100.0));
    vec![
        ("requests met it", impact.requests.map_or_else(unknown, count)),
        ("of them failed", impact.failed.map_or_else(unknown, count)),
        ("until users were safe", impact.users_ms.map_or_else(unknown, show::span_ms)),
        ("of the traffic at most", impact.share_bp.map_or_else(unknown, share)),
    ]
}

/// One of the forms, as it comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    what: String,
    text: Option<String>,
    role: Option<String>,
    who: Option<String>,
    severity: Option<String>,
    number: Option<u64>,
    service: Option<String>,
    environment: Option<String>,
}

/// Does what a form asks.
pub(crate) async fn give(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Response, Refusal> {
    let written = asked.text.filter(|text| !text.trim().is_empty());
    if let ("release", Some(number), Some(service)) =
        (asked.what.as_str(), asked.number, asked.service)
    {
        let release = message::Handle {
            act: "release".to_owned(),
            environment: asked.environment,
            text: written,
            reason: None,
            key: None,
        };
        let path = Path((service, number));
        let said = messages::handle(State(api), viewer.principal, path, Body(release)).await?;
        tracing::debug!(said = said.0.sentence, "on a page");
        return Ok(back(&id, "release"));
    }
    let reason = written.clone();
    let handle = Handle {
        act: asked.what.clone(),
        text: written,
        reason,
        severity: asked.severity,
        role: asked.role,
        who: asked.who,
        ..Handle::default()
    };
    let path = Path(id.clone());
    let changed = incidents::handle(State(api), viewer.principal, path, Body(handle)).await?;
    Ok(back(&changed.0.incident.id, &asked.what))
}

fn back(id: &str, done: &str) -> Response {
    Redirect::to(&format!("/i/{}?done={}", encode(id), encode(done))).into_response()
}
