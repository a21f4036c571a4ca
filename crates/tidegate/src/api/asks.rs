//! Ask a slot's probes, or run its smoke suite, once and at once. Nothing follows from the
//! answer: it is for the person who asks. Must never report a pass when nothing was asked.

use axum::extract::{Path, State};
use jiff::SignedDuration;
use tidegate_core::effect::ProbeTarget;
use tidegate_core::ids::DeploymentId;
use tidegate_core::state::{SlotState, State as ServiceState};
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::CheckReport;

use super::body::Body;
use super::reply::Reply;
use super::{Api, deployments, locate};
use crate::problem::Problem;
use crate::view::request::Ask;
use crate::view::service::{Answer, Answers};

/// All probes of a slot answer within this, or count as silent.
const PROBES_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// A suite ends within this, whatever its own limit says.
const SUITE_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// One slot that runs something.
struct Occupied {
    target: ProbeTarget,
    version: String,
}

/// Ask every probe of the named slots.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/probes",
    tag = "services",
    params(("service" = String, Path, description = "The service")),
    request_body = Ask,
    responses(
        (status = 200, body = Answers),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn probes(
    State(api): State<Api>,
    Path(service): Path<String>,
    Body(asked): Body<Ask>,
) -> Reply<Answers> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let mut answers = Vec::new();
    for slot in occupied(&state, &asked)? {
        let within = PROBES_WITHIN;
        let report = api.ports().checks.probe(std::slice::from_ref(&slot.target), within).await;
        answers.push(answer(&slot, report));
    }
    Ok(axum::Json(answers_of(&scope, answers)))
}

/// Run the smoke suite against one instance of each named slot.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/suites",
    tag = "services",
    params(("service" = String, Path, description = "The service")),
    request_body = Ask,
    responses(
        (status = 200, body = Answers),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn suites(
    State(api): State<Api>,
    Path(service): Path<String>,
    Body(asked): Body<Ask>,
) -> Reply<Answers> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let log: DeploymentId = deployments::new_id(&api).await?;
    let mut answers = Vec::new();
    for slot in occupied(&state, &asked)? {
        let target = &slot.target;
        let Some(smoke) = &target.part.smoke else { continue };
        let Some(endpoint) = target.endpoints.first() else {
            answers.push(answer(&slot, no_data("no instance of it listens")));
            continue;
        };
        let within = smoke.timeout.min(SUITE_WITHIN);
        let checks = &api.ports().checks;
        let report = checks.smoke(&log, &target.part, &target.artifact, endpoint, within).await;
        answers.push(answer(&slot, report));
    }
    if answers.is_empty() {
        return Err(Problem::not_found("TG7019", format!("{scope} declares no smoke suite"))
            .help("declare one under `deploy: smoke:` in tidegate.yaml"));
    }
    Ok(axum::Json(answers_of(&scope, answers)))
}

fn no_data(what: &str) -> CheckReport {
    CheckReport { outcome: Outcome::NoData, summary: what.to_owned(), retryable: true }
}

fn answer(slot: &Occupied, report: CheckReport) -> Answer {
    Answer {
        part: slot.target.part.name.to_string(),
        slot: slot.target.slot.to_string(),
        version: slot.version.clone(),
        outcome: report.outcome.word().to_owned(),
        summary: report.summary,
    }
}

fn answers_of(scope: &tidegate_core::ids::Scope, answers: Vec<Answer>) -> Answers {
    let worst = Outcome::combine(answers.iter().map(|answer| match answer.outcome.as_str() {
        "pass" => Outcome::Pass,
        "waived" => Outcome::Waived,
        "fail" => Outcome::Fail,
        _ => Outcome::NoData,
    }));
    Answers {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        outcome: worst.word().to_owned(),
        answers,
    }
}

/// The named slots that are meant to run something; all of them when none is named.
fn occupied(state: &ServiceState, asked: &Ask) -> Result<Vec<Occupied>, Problem> {
    let mut found = Vec::new();
    for (part, seen) in &state.parts {
        if asked.part.as_deref().is_some_and(|name| name != part.as_str()) {
            continue;
        }
        for (slot, slot_state) in &seen.slots {
            if asked.slot.as_deref().is_some_and(|name| name != slot.as_str()) {
                continue;
            }
            if let Some(target) = target(slot, slot_state) {
                found.push(target);
            }
        }
    }
    if found.is_empty() {
        return Err(Problem::not_found("TG7013", "no slot of that name runs anything")
            .help("see what there is: `tidegate slot list`"));
    }
    Ok(found)
}

fn target(slot: &tidegate_core::ids::SlotName, state: &SlotState) -> Option<Occupied> {
    let tenant = state.want.as_ref().filter(|tenant| tenant.instances > 0)?;
    Some(Occupied {
        target: ProbeTarget {
            part: tenant.part.clone(),
            slot: slot.clone(),
            artifact: tenant.revision.artifact.clone(),
            endpoints: state.observed.endpoints.clone(),
            instances: tenant.instances,
        },
        version: tenant.revision.version.clone(),
    })
}
