//! What a deployment does, in order: phases, steps of traffic with their earliest times, the way
//! back, and every value that its digest is made of. Must never show another plan than the pinned.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use tidegate_core::plan::Plan;
use tidegate_core::weight::Weight;
use tidegate_engine::ports::DeploymentRow;

use super::deployment::read;
use super::show::{self, Light};
use crate::api::{Api, course, locate, plans};
use crate::leaves::{self, Leaf};
use crate::problem::Problem;
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::Deployment;
use crate::view::plan::{Foreseeable, Step};

/// Deployments that are looked through for the one that brought what was live.
const BEFORE_MAX: u32 = 100;

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    shell: Shell,
    d: Deployment,
    light: Light,
    phases: Vec<Foreseeable>,
    steps: Vec<Step>,
    from: Timestamp,
    groups: Vec<Group>,
    /// The deployment that brought what was live.
    before: Option<String>,
}

/// The values under one key.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) leaves: Vec<Leaf>,
}

/// Every value of a plan, by its first key.
pub(super) fn groups(plan: &Plan) -> Vec<Group> {
    let Ok(Value::Object(tree)) = serde_json::to_value(plan) else { return Vec::new() };
    let group = |(name, value): (String, Value)| Group {
        leaves: show::plain_leaves(leaves::of(&value)),
        name,
    };
    tree.into_iter().map(group).collect()
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let d = read(&api, &id).await?;
    let (plan, row) = pinned(&api, &id).await?;
    let began = d.phases.iter().find(|phase| phase.name == "traffic").and_then(|phase| phase.since);
    let from = began.unwrap_or(d.now);
    let before = match &row {
        Some(row) => brought(&api, row, d.from.as_deref()).await?,
        None => None,
    };
    let shown = PlanPage {
        shell: super::shell(&api, &viewer, "Plan"),
        light: show::headline(&d),
        phases: show::plain(plans::phases(&plan)),
        steps: steps(&plan, from),
        groups: groups(&plan),
        from,
        before,
        d,
    };
    Ok(page(StatusCode::OK, &shown))
}

/// The steps with their earliest times.
fn steps(plan: &Plan, mut from: Timestamp) -> Vec<Step> {
    let step = |weight: &Weight| {
        // At 100 % the watch takes the place of the dwell.
        let lasts = if *weight == Weight::WHOLE { plan.bake.watch } else { plan.traffic.dwell };
        let to = from.checked_add(lasts).unwrap_or(from);
        let percent = f64::from(weight.bp()) / 100.0;
        Step { percent, from: std::mem::replace(&mut from, to), to, exposed: None }
    };
    plan.traffic.steps.iter().map(step).collect()
}

/// The plan that a deployment carries out.
///
/// # Errors
/// TG7002 when there is none of that id.
pub(super) async fn pinned(
    api: &Api,
    id: &str,
) -> Result<(std::sync::Arc<Plan>, Option<DeploymentRow>), Problem> {
    let nothing = || Problem::not_found("TG7002", format!("{id} has no plan on record"));
    match locate::deployment(api, id).await? {
        locate::Located::Queued(_, state) => {
            let queued = state.queued.as_ref().ok_or_else(nothing)?;
            Ok((std::sync::Arc::clone(&queued.plan), None))
        }
        locate::Located::Begun(row) => {
            let course = course::read(api, &row).await?;
            let current = course.state.current.as_ref().ok_or_else(nothing)?;
            Ok((std::sync::Arc::clone(&current.plan), Some(*row)))
        }
    }
}

/// The deployment that brought a version, before this one.
async fn brought(
    api: &Api,
    row: &DeploymentRow,
    version: Option<&str>,
) -> Result<Option<String>, Problem> {
    let journal = &api.ports().journal;
    let rows = journal.deployments(Some(&row.scope), Some(&row.deployment), BEFORE_MAX).await?;
    let mut good = rows.iter().filter(|row| {
        row.ending.is_some_and(tidegate_core::event::Ending::is_live)
            && Some(row.version.as_str()) == version
    });
    Ok(good.next().map(|row| row.deployment.to_string()))
}
