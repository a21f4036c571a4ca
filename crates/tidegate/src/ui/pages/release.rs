//! A version of a service: where it ran, how that went, what is known of it.
//! Must never say that it is live where it is not.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::now::{Run, runs};
use super::show;
use crate::api::{Api, evidence, services};
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::evidence::Report;

/// Deployments of a service that are looked through in each environment.
const ROWS_MAX: u32 = 1_000;

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    shell: Shell,
    service: String,
    version: String,
    commit: Option<String>,
    live_in: Vec<String>,
    rows: Vec<Run>,
    reports: Vec<Report>,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path((service, version)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let now = api.now();
    let scopes = api.engine().scopes();
    let mine = scopes.iter().filter(|scope| scope.service.as_str() == service);
    let (mut rows, mut reports, mut live_in, mut commit) =
        (Vec::new(), Vec::new(), Vec::new(), None);
    for scope in mine {
        let found = api.ports().journal.deployments(Some(scope), None, ROWS_MAX).await;
        let found = found.map_err(Problem::from)?;
        let of_it = found.into_iter().filter(|row| row.version == version);
        rows.extend(of_it.map(|row| crate::api::deployments::line(&api, row, now)));
        let Some(state) = api.engine().state(scope) else { continue };
        if services::live_version(&state).as_deref() == Some(version.as_str()) {
            live_in.push(scope.environment.to_string());
        }
        commit = commit.or_else(|| state.tags.get(&version).cloned());
        let kept = state.evidence.iter().filter(|kept| kept.evidence.version == version);
        reports.extend(kept.map(evidence::report));
    }
    if rows.is_empty() && reports.is_empty() {
        let (service, version) = (crate::text::plain(&service), crate::text::plain(&version));
        let what = format!("nothing is known of {service} {version}");
        return Err(Refusal(Problem::not_found("TG7002", what)));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.started_at));
    let shown = ReleasePage {
        shell: super::shell(&api, &viewer, "Release"),
        service: crate::text::plain(&service),
        version: crate::text::plain(&version),
        commit,
        live_in,
        rows: runs(show::plain(rows), now),
        reports: show::plain(reports),
    };
    Ok(page(StatusCode::OK, &shown))
}
