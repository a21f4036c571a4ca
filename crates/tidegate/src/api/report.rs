//! The report on a deployment: from its own events, as JSON or as Markdown.
//! Must never say of a deployment that runs that it ended.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tidegate_core::event::{Event, Recorded};
use tidegate_core::ids::Actor;
use tidegate_core::state::{Phase, Stage};
use tidegate_core::verdict::reason;

use super::{Api, Narrator, course, deployments, evidence, locate};
use crate::problem::Problem;
use crate::report;
use crate::view::Deployment;
use crate::view::report::{Did, Place, REPORT_SCHEMA, Report, WayBack};

/// What `Accept` says for a report that people read.
pub(crate) const MARKDOWN: &str = "text/markdown";

/// The report on a deployment; as Markdown when `text/markdown` is accepted.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/report",
    tag = "deployments",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, body = Report),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let report = of(&api, &id).await?;
    let markdown = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.starts_with(MARKDOWN));
    if markdown {
        return Ok(as_markdown(&report));
    }
    Ok(axum::Json(report).into_response())
}

/// The answer in Markdown.
pub(crate) fn as_markdown(report: &Report) -> Response {
    let kind = format!("{MARKDOWN}; charset=utf-8");
    ([(CONTENT_TYPE, kind)], report::markdown(report)).into_response()
}

/// The report on a deployment that has begun.
///
/// # Errors
/// TG7002 when there is none of that id, or when it has not begun.
pub(crate) async fn of(api: &Api, id: &str) -> Result<Report, Problem> {
    with_share(api, id).await.map(|(report, _)| report)
}

/// The report, and the largest share in basis points that the data plane carried.
///
/// # Errors
/// Those of [`of`].
pub(super) async fn with_share(api: &Api, id: &str) -> Result<(Report, Option<u16>), Problem> {
    let row = locate::begun(api, id).await?;
    let shown = deployments::show(State(api.clone()), Path(id.to_owned())).await?.0;
    let events = course::events(api, &row, 0).await?;
    let mut narrator = Narrator::default();
    let lines: Vec<(bool, Did)> =
        events.iter().map(|recorded| did(&mut narrator, recorded)).collect();
    let (state, digests) = (api.engine().state(&row.scope), digests(&shown));
    let kept = state.iter().flat_map(|state| &state.evidence);
    let evidence = kept
        .filter(|kept| digests.contains(&kept.evidence.digest.as_str()))
        .map(evidence::report)
        .collect();
    let converged = |recorded: &&Recorded| matches!(recorded.event, Event::StepConverged { .. });
    let carried = events.iter().filter(converged).count();
    let share_bp = shown.steps.weights_bp.iter().take(carried).max().copied();
    let last_seq = events.last().map_or(row.first_seq, |recorded| recorded.seq);
    let report = Report {
        schema: REPORT_SCHEMA,
        back: way_back(&events),
        evidence,
        people: lines.iter().filter(|(person, _)| *person).map(|(_, did)| did.clone()).collect(),
        timeline: lines.into_iter().map(|(_, did)| did).collect(),
        journal: Place { stream: row.scope.to_string(), first_seq: row.first_seq, last_seq },
        deployment: shown.id,
        service: shown.service,
        environment: shown.environment,
        version: shown.version,
        from: shown.from,
        state: shown.state,
        sentence: shown.sentence,
        started_at: shown.started_at,
        started_by: shown.started_by,
        ended_at: shown.ended_at,
        written_at: shown.now,
        repository: shown.repository,
        commit: shown.commit,
        artifact: shown.artifact,
        binding: shown.binding,
        phases: shown.phases,
        gates: shown.gates,
        verdict: shown.verdict,
        exposed: shown.exposed,
    };
    Ok((report, share_bp))
}

fn digests(shown: &Deployment) -> Vec<&str> {
    shown.gates.iter().flat_map(|gate| &gate.evidence).map(String::as_str).collect()
}

fn did(narrator: &mut Narrator, recorded: &Recorded) -> (bool, Did) {
    let line = narrator.line(recorded);
    let person = matches!(recorded.actor, Actor::Person(_));
    (person, Did { at: line.at, by: line.actor, text: line.text })
}

/// The way back as its events have it.
fn way_back(events: &[Recorded]) -> Option<WayBack> {
    let (began, why) = events.iter().find_map(|recorded| match &recorded.event {
        Event::RollbackBegan { why, .. } => Some((recorded, why)),
        _ => None,
    })?;
    let first = events.iter().find_map(|recorded| {
        matches!(recorded.event, Event::StepConverged { .. }).then_some(recorded.at)
    });
    let safe = events.iter().find_map(|recorded| match recorded.event {
        Event::PhaseEntered { phase: Phase::Rollback { stage: Stage::Verify }, .. } => {
            Some(recorded.at)
        }
        _ => None,
    });
    let ms = |from: jiff::Timestamp, to: jiff::Timestamp| {
        i64::try_from(to.duration_since(from).as_millis()).ok()
    };
    Some(WayBack {
        at: began.at,
        by: began.actor.to_string(),
        why: reason(why).to_owned(),
        decided_ms: first.and_then(|first| ms(first, began.at)),
        safe_ms: safe.filter(|_| first.is_some()).and_then(|safe| ms(began.at, safe)),
    })
}
