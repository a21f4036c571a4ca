//! Deployments by words, newest first, page by page.
//! Must never say that there is none without saying how far it looked.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::now::{Run, runs};
use super::show;
use crate::api::body::Query;
use crate::api::{Api, search};
use crate::ui::{Refusal, Shell, Viewer, page};

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
