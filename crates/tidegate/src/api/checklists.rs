//! The checklists of a deployment: how each box stands, and by what it is closed.
//! Must never close one: gates, phases and people do.

use axum::extract::{Path, State};
use jiff::Timestamp;
use tidegate_core::checklist::{self, Stand, Standing};
use tidegate_core::state::Deployment;

use super::reply::Reply;
use super::{Api, course, locate};
use crate::problem::Problem;
use crate::view::checklist::{Checklists, List, Tick};

/// The checklists of a deployment: as they stand now, or as they stood at its end.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/checklist",
    tag = "deployments",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, body = Checklists),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Reply<Checklists> {
    let row = locate::begun(&api, &id).await?;
    let course = course::read(&api, &row).await?;
    let at = course.end.as_ref().map_or_else(|| api.now(), |(_, _, at)| *at);
    let deployment = course.state.current.as_ref().ok_or_else(|| {
        Problem::new(500, "TG9101", format!("the events of {id} do not begin with its start"))
            .safe("traffic is as it was")
            .help("`tidegate doctor` verifies the journal")
    })?;
    Ok(axum::Json(told(deployment, at, course.end.is_none())))
}

fn told(deployment: &Deployment, now: Timestamp, in_flight: bool) -> Checklists {
    let standing = checklist::standing(deployment, now);
    let closed = standing.iter().filter(|one| one.stand == Stand::Closed).count();
    let missing = checklist::missing(deployment, now).len();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let said = match (standing.len(), checklist::missing_sentence(deployment, now)) {
        (0, _) => "the file has no checklists".to_owned(),
        (all, None) => format!("{closed} of {all} boxes are closed, all mandatory ones among them"),
        (all, Some(missing)) => format!("{closed} of {all} boxes are closed; {missing}"),
    };
    let mut lists: Vec<List> = Vec::new();
    for one in &standing {
        if lists.last().is_none_or(|list| list.name != one.item.list) {
            lists.push(List { name: one.item.list.clone(), boxes: Vec::new() });
        }
        if let Some(list) = lists.last_mut() {
            list.boxes.push(tick(one, deployment, in_flight));
        }
    }
    let plan = &deployment.plan;
    Checklists {
        deployment: deployment.id.to_string(),
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        version: plan.release.version.clone(),
        sentence: said,
        closed: count(closed),
        all: count(standing.len()),
        missing: count(missing),
        lists,
    }
}

fn tick(one: &Standing<'_>, deployment: &Deployment, in_flight: bool) -> Tick {
    let item = one.item;
    let by_person = in_flight && item.is_vouched_for() && one.stand != Stand::Closed;
    let word = deployment.attested.get(&item.words).filter(|_| item.is_vouched_for());
    Tick {
        name: item.name(),
        words: item.words.clone(),
        line: item.line,
        mandatory: item.mandatory,
        state: one.stand.word().to_owned(),
        proof: item.proof.to_string(),
        sentence: one.sentence.clone(),
        help: by_person.then(|| format!("tidegate attest {} {}", item.name(), deployment.id)),
        expires: word.and_then(|word| word.expires),
    }
}
