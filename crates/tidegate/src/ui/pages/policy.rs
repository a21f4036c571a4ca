//! The policy of a service: what its newest deployment declared, and what another one would have
//! done to the deployments on record. Must never change a policy: that is a commit.

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::SignedDuration;
use serde::Deserialize;
use tidegate_core::plan::{Plan, Rule, Traffic};
use tidegate_engine::backtest::sham::Trials;

use super::plan::{Group, groups};
use crate::api::body::Query;
use crate::api::services::Where;
use crate::api::{Api, backtest, locate};
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::judged::Backtested;

/// Sham rollouts of one what-if: some seconds of work.
const TRIALS: Trials = Trials { shams: 100, faults: 10, seed: 1 };
/// Keys of a plan that are its policy; the others are the release and how it is run.
const POLICY: [&str; 7] = ["approve", "bake", "gates", "limits", "required", "traffic", "window"];

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage {
    shell: Shell,
    service: String,
    environment: String,
    version: String,
    sentence: String,
    groups: Vec<Group>,
    rules: Vec<Asked>,
    tested: Option<Backtested>,
    only_backtest: bool,
}

/// A rollback rule in the form.
struct Asked {
    words: String,
    limit: String,
    sustained_s: i64,
    unit: String,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(service): Path<String>,
    Query(place): Query<Where>,
) -> Result<Response, Refusal> {
    std::future::ready(form(&api, &viewer, &service, &place, false)).await
}

/// The form of a what-if alone.
pub(crate) async fn show_backtest(
    State(api): State<Api>,
    viewer: Viewer,
    Path(service): Path<String>,
    Query(place): Query<Where>,
) -> Result<Response, Refusal> {
    std::future::ready(form(&api, &viewer, &service, &place, true)).await
}

fn form(
    api: &Api,
    viewer: &Viewer,
    service: &str,
    place: &Where,
    only_backtest: bool,
) -> Result<Response, Refusal> {
    let known = known(api, service, place)?;
    Ok(page(StatusCode::OK, &shown(api, viewer, known, None, only_backtest)))
}

/// The recorded deployments under the rules of the form.
pub(crate) async fn run(
    State(api): State<Api>,
    viewer: Viewer,
    Path(service): Path<String>,
    Query(place): Query<Where>,
    Form(fields): Form<Fields>,
) -> Result<Response, Refusal> {
    let mut known = known(&api, &service, &place)?;
    change(&mut known.plan.traffic, &fields.0)?;
    let traffic = known.plan.traffic.clone();
    let tested = backtest::over(&api, &known.plan.scope, traffic, TRIALS).await?;
    Ok(page(StatusCode::OK, &shown(&api, &viewer, known, Some(tested), true)))
}

/// `limit.0`, `for.0`, ...: one pair a rule.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fields(BTreeMap<String, String>);

/// The rules of the form in the place of those of the plan.
fn change(traffic: &mut Traffic, fields: &BTreeMap<String, String>) -> Result<(), Problem> {
    let number = |name: String| -> Result<Option<f64>, Problem> {
        let Some(text) = fields.get(&name).map(|text| text.trim()).filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        let unclear = || Problem::bad_request("a limit is a number that is not negative");
        value.map(Some).ok_or_else(unclear)
    };
    for (index, rule) in traffic.rollback_if.iter_mut().enumerate() {
        if let Some(limit) = number(format!("limit.{index}"))? {
            rule.limit = limit;
        }
        if let Some(seconds) = number(format!("for.{index}"))? {
            // Two days are longer than any recording.
            rule.sustained = SignedDuration::from_secs_f64(seconds.min(172_800.0));
        }
    }
    Ok(())
}

struct Known {
    plan: Plan,
}

fn known(api: &Api, service: &str, place: &Where) -> Result<Known, Problem> {
    let (scope, state) = locate::service(api, service, place.environment.as_deref())?;
    let plan = state.newest_plan().cloned().ok_or_else(|| {
        Problem::not_found("TG7010", format!("nothing that was deployed to {scope} is remembered"))
    })?;
    Ok(Known { plan })
}

fn shown(
    api: &Api,
    viewer: &Viewer,
    known: Known,
    tested: Option<Backtested>,
    only_backtest: bool,
) -> PolicyPage {
    let plan = known.plan;
    let asks = |rule: &Rule| Asked {
        words: format!("{} {}", rule.metric.name(), rule.comparison.sign()),
        limit: rule.limit.to_string(),
        sustained_s: rule.sustained.as_secs(),
        unit: rule.metric.unit().to_owned(),
    };
    PolicyPage {
        shell: super::shell(api, viewer, "Policy"),
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        version: crate::text::plain(&plan.release.version),
        sentence: sentence(&plan),
        rules: plan.traffic.rollback_if.iter().map(asks).collect(),
        groups: groups(&plan).into_iter().filter(|group| POLICY.contains(&&*group.name)).collect(),
        tested,
        only_backtest,
    }
}

/// What the policy comes to.
fn sentence(plan: &Plan) -> String {
    let steps: Vec<String> =
        plan.traffic.steps.iter().map(|weight| super::show::share(&weight.bp())).collect();
    let people = match &plan.approve {
        Some(approve) => approve.rules.iter().map(|rule| rule.need).sum::<u32>(),
        None if plan.required.approvals => 1,
        None => 0,
    };
    format!(
        "{}, {}, users move {}, each step at least {}, watched for {} at the end",
        crate::text::several(plan.gates.len(), "gate"),
        crate::text::several(people, "approval"),
        steps.join(" → "),
        crate::text::span(plan.traffic.dwell),
        crate::text::span(plan.bake.watch),
    )
}
