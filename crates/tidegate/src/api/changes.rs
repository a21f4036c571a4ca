//! Reads what a release changes, where a policy asks for it, and which rules that concerns.
//! Must never take any of it from the request.

use globset::{GlobBuilder, GlobSetBuilder};
use tidegate_core::approval::{Approve, gate};
use tidegate_core::plan::Plan;

use super::Api;
use crate::problem::Problem;

/// Fills in the change of a plan that people have to agree to.
pub(super) async fn read(api: &Api, plan: &mut Plan) -> Result<(), Problem> {
    let state = api.engine().state(&plan.scope);
    let in_force = state.as_ref().and_then(|state| gate::adopted(state));
    if plan.approve.is_none() && in_force.is_none() {
        return Ok(());
    }
    let base = state.as_ref().and_then(|state| gate::live_commit(state));
    let release = &plan.release;
    let changed = api.ports().releases.change(&release.repository, base, release).await?;
    if let Some(approve) = &mut plan.approve {
        narrow(approve, &changed.paths)?;
    }
    plan.change = Some(changed.change);
    Ok(())
}

/// Says of each rule whether the change touches what it is about.
fn narrow(approve: &mut Approve, paths: &[String]) -> Result<(), Problem> {
    for rule in approve.rules.iter_mut().filter(|rule| !rule.touches.is_empty()) {
        let mut set = GlobSetBuilder::new();
        for pattern in &rule.touches {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            set.add(glob.map_err(|error| unreadable(pattern, &error))?);
        }
        let set = set.build().map_err(|error| unreadable(&rule.name, &error))?;
        rule.applies = paths.iter().any(|path| set.is_match(path));
    }
    Ok(())
}

fn unreadable(pattern: &str, error: &globset::Error) -> Problem {
    Problem::new(
        422,
        "TG7060",
        format!("`touches: {}` is no pattern: {}", crate::text::plain(pattern), error.kind()),
    )
    .safe("no deployment was started, traffic is as it was")
    .help("write paths with `*` within a directory and `**` across them: `safety/**`")
}
