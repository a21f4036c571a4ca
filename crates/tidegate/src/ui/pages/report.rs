//! The report on a deployment as a page, as Markdown and as JSON; the page is made to be printed.
//! Must never say more than the report of the API.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::{IntoResponse, Response};

use super::board::{self, Board};
use super::deployment::{charts_of, read, series_of};
use super::show::{self, Light};
use crate::api::{Api, report};
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::Deployment;
use crate::view::report::Report;

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    shell: Shell,
    d: &'a Deployment,
    b: Board<'a>,
    r: Report,
    light: Light,
    charts: String,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let r = show::plain(report::of(&api, &id).await?);
    let series = series_of(&api, &id).await?;
    let shown = ReportPage {
        shell: super::shell(&api, &viewer, "Report"),
        b: board::of(&d),
        light: show::headline(&d),
        charts: charts_of(&series),
        r,
        d: &d,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// The same as a file of Markdown.
pub(crate) async fn markdown(
    State(api): State<Api>,
    _viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let report = report::of(&api, &id).await?;
    let name = format!("attachment; filename=\"{}.md\"", report.deployment);
    Ok(([(CONTENT_DISPOSITION, name)], report::as_markdown(&report)).into_response())
}

/// The same as a file of JSON.
pub(crate) async fn json(
    State(api): State<Api>,
    _viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let report = report::of(&api, &id).await?;
    let name = format!("attachment; filename=\"{}.json\"", report.deployment);
    Ok(([(CONTENT_DISPOSITION, name)], axum::Json(report)).into_response())
}
