//! The first page: every service with what happens to it, and the newest deployments.
//! Must never leave out a service that is in trouble.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::show::{self, Light};
use crate::api::body::Query;
use crate::api::{Api, deployments, services};
use crate::client::encode;
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::{Row, service::Service};

/// Deployments on the page.
const ROWS: u32 = 25;

#[derive(Template)]
#[template(path = "now.html")]
struct NowPage {
    shell: Shell,
    body: String,
}

#[derive(Template)]
#[template(path = "parts/now.html")]
struct NowPart {
    sentence: String,
    services: Vec<Known>,
    rows: Vec<Run>,
    now: Timestamp,
}

/// A service with its light.
struct Known {
    view: Service,
    light: Light,
    link: String,
    /// Since when the live version is.
    since: Option<Timestamp>,
}

/// A deployment with its light.
pub(super) struct Run {
    pub(super) row: Row,
    pub(super) light: Light,
    pub(super) took: String,
}

/// Rows with their lights.
pub(super) fn runs(rows: Vec<Row>, now: Timestamp) -> Vec<Run> {
    let run = |row: Row| Run {
        light: show::state(&row.state),
        took: show::between(&row.started_at, row.ended_at.as_ref().unwrap_or(&now)),
        row,
    };
    rows.into_iter().map(run).collect()
}

/// The page.
pub(crate) async fn show(State(api): State<Api>, viewer: Viewer) -> Result<Response, Refusal> {
    let body = body(&api).await?;
    Ok(page(StatusCode::OK, &NowPage { shell: super::shell(&api, &viewer, "Now"), body }))
}

/// What changes on the page.
pub(super) async fn body(api: &Api) -> Result<String, Problem> {
    let now = api.now();
    let asked = deployments::Narrowed::newest(ROWS);
    let rows =
        show::plain(deployments::list(State(api.clone()), Query(asked)).await?.0).deployments;
    let found = show::plain(services::list(State(api.clone())).await?.0).services;
    let services: Vec<Known> = found.into_iter().map(|view| known(view, &rows)).collect();
    let moving = services.iter().filter(|known| known.view.current.is_some()).count();
    let sentence = sentence(services.len(), moving);
    Ok(super::fragment(&NowPart { sentence, services, rows: runs(rows, now), now }))
}

fn sentence(services: usize, moving: usize) -> String {
    let of = |count: usize| match count {
        1 => "1 service".to_owned(),
        count => format!("{count} services"),
    };
    match (services, moving) {
        (0, _) => "No service is known here yet.".to_owned(),
        (all, 0) => format!("{}, nothing is moving.", of(all)),
        (all, 1) => format!("{}, one deployment in flight.", of(all)),
        (all, moving) => format!("{}, {moving} deployments in flight.", of(all)),
    }
}

fn known(view: Service, rows: &[Row]) -> Known {
    let mine = |row: &&Row| row.service == view.service && row.environment == view.environment;
    let current = view.current.as_ref().and_then(|id| rows.iter().find(|row| row.id == *id));
    let light = match (&view.fault, current) {
        (Some(_), _) => show::state("faulted"),
        (None, Some(row)) => show::state(&row.state),
        (None, None) if view.live.is_some() => {
            Light { icon: "check", word: "at rest".to_owned(), tone: "good" }
        }
        (None, None) => Light { icon: "dot", word: "nothing live".to_owned(), tone: "faint" },
    };
    let brought = |row: &&Row| {
        mine(row) && Some(&row.version) == view.live.as_ref() && row.state.contains("succeeded")
    };
    let link = match current {
        Some(row) => format!("/d/{}", encode(&row.id)),
        None => format!("/s/{}/{}", encode(&view.service), encode(&view.environment)),
    };
    Known { since: rows.iter().find(brought).and_then(|row| row.ended_at), light, link, view }
}
