//! A service: what is live in which slot, what could come back and how quickly, and its history.
//! Must never offer a way back that the API does not know.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::act::back;
use super::now::{Run, runs};
use super::show::{self, Light};
use crate::api::body::{Body, Query};
use crate::api::{Api, deployments, services};
use crate::terminal::Style;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::request;
use crate::view::service::{Slots, Target, Targets};

/// Deployments on the page.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage {
    shell: Shell,
    targets: Targets,
    ways: Vec<WayBack>,
    slots: Slots,
    rows: Vec<Run>,
}

#[derive(Template)]
#[template(path = "return.html")]
struct ReturnPage {
    shell: Shell,
    targets: Targets,
    way: WayBack,
}

/// A version that can come back.
struct WayBack {
    view: Target,
    light: Light,
    words: &'static str,
    default: bool,
}

impl WayBack {
    fn of(view: &Target, default: Option<&str>) -> Self {
        let (icon, style, words) = match view.readiness.as_str() {
            "live" => ("check", Style::Good, "it is live"),
            "hot" => ("check", Style::Good, "runs: about a second"),
            "warm" => ("wave", Style::Doubtful, "some instances run: the others are started first"),
            _ => ("clock", Style::Doubtful, "is started first"),
        };
        let light = Light { icon, word: view.readiness.clone(), tone: show::tone(style) };
        Self { default: default == Some(view.version.as_str()), view: view.clone(), light, words }
    }
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path((service, environment)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let targets = targets(&api, &service, &environment).await?;
    let named = Query(services::Where { environment: Some(environment.clone()) });
    let slots = services::slots(State(api.clone()), Path(service.clone()), named).await?;
    let asked = deployments::Narrowed::of(&service, &environment, ROWS);
    let rows = deployments::list(State(api.clone()), Query(asked)).await?;
    let now = api.now();
    let ways = targets.targets.iter().map(|one| WayBack::of(one, targets.default.as_deref()));
    let shown = ServicePage {
        shell: super::shell(&api, &viewer, "Service"),
        ways: ways.collect(),
        slots: show::plain(slots.0),
        rows: runs(show::plain(rows.0).deployments, now),
        targets,
    };
    Ok(page(StatusCode::OK, &shown))
}

async fn targets(api: &Api, service: &str, environment: &str) -> Result<Targets, Refusal> {
    let named = Query(services::Where { environment: Some(environment.to_owned()) });
    let found = services::targets(State(api.clone()), Path(service.to_owned()), named).await?;
    Ok(show::plain(found.0))
}

/// Which version is to come back.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    to: Option<String>,
}

/// The one confirmation of a return.
pub(crate) async fn show_return(
    State(api): State<Api>,
    viewer: Viewer,
    Path((service, environment)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Response, Refusal> {
    let targets = targets(&api, &service, &environment).await?;
    let wanted = which.to.or_else(|| targets.default.clone());
    let found = targets.targets.iter().find(|target| Some(&target.version) == wanted.as_ref());
    let Some(found) = found else {
        let what = format!("{} has no release of that version that was live", targets.service);
        return Err(Refusal(
            crate::problem::Problem::not_found("TG7502", what).safe("nothing was changed"),
        ));
    };
    let way = WayBack::of(found, targets.default.as_deref());
    let shell = super::shell(&api, &viewer, "Roll back");
    Ok(page(StatusCode::OK, &ReturnPage { shell, way, targets }))
}

/// The confirmation, as it comes back.
#[derive(Debug, Deserialize)]
pub(crate) struct Confirmed {
    to: String,
    reason: Option<String>,
}

/// Brings a release back.
pub(crate) async fn bring_back(
    State(api): State<Api>,
    viewer: Viewer,
    Path((service, environment)): Path<(String, String)>,
    Form(asked): Form<Confirmed>,
) -> Result<Response, Refusal> {
    let (to, reason) = (Some(asked.to), asked.reason);
    let rollback = request::Rollback { environment: Some(environment), to, reason, key: None };
    let accepted =
        services::rollback(State(api), viewer.principal, Path(service), Body(rollback)).await?;
    Ok(back(&accepted.0.id, "rollback"))
}
