//! Reads what a release changes, where a policy asks for it, and which rules that concerns.
//! Must never take any of it from the request.

use globset::{GlobBuilder, GlobSetBuilder};
use tidegate_core::approval::{Approve, gate};
use tidegate_core::plan::Plan;
use tidegate_core::risk;
use tidegate_engine::ports::Changed;

use super::Api;
use crate::conditions;
use crate::problem::Problem;

/// Fills in the change of a plan that people have to agree to, and decides its conditions.
pub(super) async fn read(api: &Api, plan: &mut Plan) -> Result<(), Problem> {
    let state = api.engine().state(&plan.scope);
    let in_force = state.as_ref().and_then(|state| gate::adopted(state));
    let by_layer = plan.layers.iter().any(|added| added.approve.is_some());
    let people = plan.approve.is_some() || in_force.is_some() || by_layer;
    let conditions = conditions::are_there(plan);
    if !people && !conditions {
        return Ok(());
    }
    let base = state.as_ref().and_then(|state| gate::live_commit(state));
    let release = &plan.release;
    let changed = api.ports().releases.change(&release.repository, base, release).await?;
    if conditions {
        decide_on(api, plan, &changed).await?;
    }
    if people {
        let layers = plan.layers.iter_mut().filter_map(|added| added.approve.as_mut());
        for approve in plan.approve.iter_mut().chain(layers) {
            narrow(approve, &changed.paths)?;
        }
        plan.change = Some(changed.change);
    }
    Ok(())
}

/// Decides the conditions of a plan that nobody deploys yet.
pub(super) async fn decide(api: &Api, plan: &mut Plan) -> Result<(), Problem> {
    if !conditions::are_there(plan) {
        return Ok(());
    }
    let state = api.engine().state(&plan.scope);
    let base = state.as_ref().and_then(|state| gate::live_commit(state));
    let release = &plan.release;
    let changed = api.ports().releases.change(&release.repository, base, release).await?;
    decide_on(api, plan, &changed).await
}

async fn decide_on(api: &Api, plan: &mut Plan, changed: &Changed) -> Result<(), Problem> {
    let state = api.engine().state(&plan.scope).unwrap_or_default();
    let versions = tidegate_core::effect::versions(&state, plan);
    let base = gate::live_commit(&state);
    let upgrades = match base {
        Some(base) => super::plans::upgrades(api, &plan.release, base, &changed.paths).await,
        None => Vec::new(),
    };
    let risk = risk::assess(&risk::Known {
        plan,
        state: &state,
        versions: &versions,
        now: api.now(),
        paths: Some(&changed.paths),
        upgrades: &upgrades,
    });
    let live = versions.live.as_deref();
    let known = conditions::known(plan, live, risk.level, &changed.paths, changed.commit_count);
    conditions::decide(plan, &known).await.map_err(|failure| {
        Problem::new(422, "TG7124", failure.what)
            .safe("no deployment was started, traffic is as it was")
            .help("`tidegate explain TG7124` says what a condition may be")
    })
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
        rule.applies &= paths.iter().any(|path| set.is_match(path));
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
