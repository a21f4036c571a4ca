//! Deployments by words, newest first, page by page; and those that went wrong.
//! Must never say that there is none without saying how far it looked.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::now::{Run, runs};
use super::show;
use crate::api::body::Query;
use crate::api::{Api, insights, search};
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::history::Back;

/// Days of incidents.
const DAYS: u16 = 90;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    shell: Shell,
    q: String,
    rows: Vec<Run>,
    searched: u64,
    next: Option<String>,
    first: bool,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Query(asked): Query<search::Asked>,
) -> Result<Response, Refusal> {
    let now = api.now();
    let (q, first) = (crate::text::plain(&asked.q), asked.before.is_none());
    let who = viewer.principal.clone();
    let found = show::plain(search::search(State(api.clone()), who, Query(asked)).await?.0);
    let shown = SearchPage {
        shell: super::shell(&api, &viewer, "Deployments"),
        q,
        rows: runs(found.deployments, now),
        searched: found.searched,
        next: found.next,
        first,
    };
    Ok(page(StatusCode::OK, &shown))
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    shell: Shell,
    backs: Vec<Back>,
    days: u16,
}

/// What went back in the last months.
pub(crate) async fn incidents(State(api): State<Api>, viewer: Viewer) -> Result<Response, Refusal> {
    let asked = insights::Asked { days: Some(DAYS), ..insights::Asked::default() };
    let found = show::plain(insights::show(State(api.clone()), Query(asked)).await?.0);
    let shell = super::shell(&api, &viewer, "Incidents");
    Ok(page(StatusCode::OK, &IncidentsPage { shell, backs: found.rollbacks, days: DAYS }))
}
