//! The page of a deployment: what is happening, why it waits, whether it is safe, the one right
//! button. Must never show what the API does not say.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use tidegate_engine::ports::DeploymentRow;

use super::board::{self, Board};
use super::series::{self, Series, Still};
use super::show::{self, Light};
use crate::api::body::Query;
use crate::api::narrate::Narrator;
use crate::api::{Api, course, deployments, locate};
use crate::problem::Problem;
use crate::text;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::{Deployment, Line};

/// Events on the page; the command line has all of them.
const LINES_MAX: usize = 200;
/// Bytes of the log on the page: its last screens.
const LOG_BYTES: u64 = 8 * 1024;

#[derive(Template)]
#[template(path = "deployment.html")]
struct DeploymentPage<'a> {
    shell: Shell,
    d: &'a Deployment,
    light: Light,
    live: bool,
    said: Option<&'static str>,
    board: String,
    charts: String,
    course: String,
}

#[derive(Template)]
#[template(path = "parts/board.html")]
struct BoardPart<'a> {
    d: &'a Deployment,
    b: Board<'a>,
    light: Light,
}

#[derive(Template)]
#[template(path = "parts/why.html")]
struct WhyPart<'a> {
    d: &'a Deployment,
    b: Board<'a>,
    light: Light,
}

#[derive(Template)]
#[template(path = "parts/charts.html")]
struct ChartsPart {
    series: Vec<Drawn>,
}

/// The charts of a part.
struct Drawn {
    part: String,
    stills: Vec<Still>,
}

#[derive(Template)]
#[template(path = "parts/course.html")]
struct CoursePart<'a> {
    d: &'a Deployment,
    b: Board<'a>,
    log: String,
    lines: Vec<Told>,
    more: usize,
}

/// An event with its icon.
pub(super) struct Told {
    pub(super) at: jiff::Timestamp,
    pub(super) actor: String,
    pub(super) text: String,
    pub(super) icon: &'static str,
    pub(super) tone: &'static str,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(asked): Query<super::act::Done>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let series = series_of(&api, &id).await?;
    let shown = DeploymentPage {
        shell: super::shell(&api, &viewer, "Deployment"),
        light: show::headline(&d),
        live: !d.ended(),
        said: asked.words(),
        board: board_of(&d),
        charts: charts_of(&series),
        course: course_of(&api, &d).await?,
        d: &d,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// The deployment, made safe for eyes.
pub(super) async fn read(api: &Api, id: &str) -> Result<Deployment, Problem> {
    let shown = deployments::show(State(api.clone()), Path(id.to_owned())).await?;
    Ok(show::plain(shown.0))
}

/// Everything above the fold.
pub(super) fn board_of(d: &Deployment) -> String {
    super::fragment(&BoardPart { d, b: board::of(d), light: show::headline(d) })
}

/// Why it stands where it stands.
pub(super) fn why_of(d: &Deployment) -> String {
    super::fragment(&WhyPart { d, b: board::of(d), light: show::headline(d) })
}

/// The charts, drawn without a script.
pub(super) fn charts_of(series: &[Series]) -> String {
    let drawn = series
        .iter()
        .map(|one| Drawn { part: text::plain(&one.part), stills: series::stills(one) })
        .collect();
    super::fragment(&ChartsPart { series: drawn })
}

/// What it was made from and what happened.
pub(super) async fn course_of(api: &Api, d: &Deployment) -> Result<String, Problem> {
    let (lines, log) = match locate::deployment(api, &d.id).await? {
        locate::Located::Queued(..) => (Vec::new(), String::new()),
        locate::Located::Begun(row) => (lines(api, &row).await?, log(api, &row).await),
    };
    let more = lines.len().saturating_sub(LINES_MAX);
    let newest = lines.iter().rev().take(LINES_MAX).map(told).collect();
    Ok(super::fragment(&CoursePart { d, b: board::of(d), log, lines: newest, more }))
}

/// Everything that happened to it, in words.
pub(super) async fn lines(api: &Api, row: &DeploymentRow) -> Result<Vec<Line>, Problem> {
    let mut narrator = Narrator::default();
    let events = course::events(api, row, 0).await?;
    Ok(events.iter().map(|recorded| narrator.line(recorded)).collect())
}

/// The last lines; a log that is gone is shown as none.
async fn log(api: &Api, row: &DeploymentRow) -> String {
    let bytes = api.ports().releases.logs(&row.deployment, LOG_BYTES).await;
    let bytes = bytes.unwrap_or_default();
    text::plain_lines(&String::from_utf8_lossy(&bytes)).trim().to_owned()
}

/// One line with its icon.
pub(super) fn told(line: &Line) -> Told {
    let (icon, tone) = match line.kind.as_str() {
        "deployment_started" => ("play", "strong"),
        "rollback_started" | "step_braked" | "override_adopted" => ("back", "bad"),
        "held" | "hold_started" => ("pause", "doubtful"),
        "approval_given" | "attested" => ("people", "strong"),
        "deployment_ended" => ("stop", "strong"),
        "verdict_changed" => ("wave", "faint"),
        "step_passed" | "step_converged" => ("check", "good"),
        _ => ("dot", "faint"),
    };
    Told { at: line.at, actor: text::plain(&line.actor), text: text::plain(&line.text), icon, tone }
}

/// The time series behind the charts.
pub(super) async fn series_of(api: &Api, id: &str) -> Result<Vec<Series>, Problem> {
    let locate::Located::Begun(row) = locate::deployment(api, id).await? else {
        return Ok(Vec::new());
    };
    let course = course::read(api, &row).await?;
    let Some(current) = &course.state.current else { return Ok(Vec::new()) };
    series::of(api, &row, &current.plan).await
}

/// In which form the series is wanted.
#[derive(Debug, Deserialize)]
pub(crate) struct Form {
    /// As the drawings of the page.
    drawn: Option<u8>,
}

/// The same alone: as data for the script that draws it with a crosshair, or as the drawings.
pub(crate) async fn series(
    State(api): State<Api>,
    _viewer: Viewer,
    Path(id): Path<String>,
    Query(form): Query<Form>,
) -> Result<Response, Refusal> {
    let series = series_of(&api, &id).await?;
    Ok(match form.drawn {
        Some(_) => Html(charts_of(&series)).into_response(),
        None => axum::Json(series).into_response(),
    })
}
