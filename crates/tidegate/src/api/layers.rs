//! The layers above a service's file: the organisation's policy, and what the live release demands.
//! Must never deploy past a policy that it cannot read.

use std::path::Path;

use tidegate_core::event::DeploymentKind;
use tidegate_core::layer::{self, Guard, Layer};
use tidegate_core::plan::Plan;
use tidegate_core::state::State;

use super::Api;
use crate::problem::Problem;

/// The organisation's policy, in the state directory.
const FILE: &str = "policy.yaml";

/// Adds to a plan what the layers beside its file demand: the live release and the organisation
/// above it, the flags of the run below. All of them tighten.
pub(super) async fn apply(api: &Api, plan: &mut Plan, flags: &[String]) -> Result<(), Problem> {
    let run = tidegate_spec::run_flags(flags)
        .map_err(|found| Problem::of_diagnostics("--tighten", found))?;
    let state = api.engine().state(&plan.scope);
    let live = state.as_ref().and_then(|state| live(state));
    let organisation = organisation(api.parts().dir.path()).await?;
    for guard in live.into_iter().chain(organisation).chain(run) {
        if let Some(what) = loosened(plan, &guard) {
            return Err(Problem::new(422, "TG3014", format!("a flag would loosen: {what}"))
                .safe("no deployment was started, traffic is as it was")
                .help(
                    "leave the flag away; what is demanded is changed in the file, by a release",
                ));
        }
        layer::tighten(plan, &guard).map_err(|what| {
            Problem::new(422, "TG7123", what)
                .safe("no deployment was started, traffic is as it was")
                .help("make one gate of several, or leave those away that the layer has")
        })?;
    }
    Ok(())
}

/// What flags of a run ask for that is less than what is demanded already.
fn loosened(plan: &Plan, guard: &Guard) -> Option<String> {
    (guard.layer == Layer::Run).then(|| layer::loosens(plan, guard)).flatten()
}

/// What the newest release that became live demands itself.
fn live(state: &State) -> Option<Guard> {
    let release = |kind: &DeploymentKind| matches!(kind, DeploymentKind::Release { .. });
    let newest = state.history.iter().rev().find(|e| e.ending.is_live() && release(&e.kind))?;
    Some(layer::of_live(&newest.plan))
}

/// What the organisation demands; `None` when it has no policy.
async fn organisation(state_dir: &Path) -> Result<Option<Guard>, Problem> {
    let path = state_dir.join(FILE);
    let unreadable = |what: String| {
        Problem::new(503, "TG7122", format!("the organisation's policy cannot be read: {what}"))
            .safe("no deployment was started, traffic is as it was; a rollback needs no policy")
            .help(format!("mend {}", path.display()))
    };
    let bytes = match tokio::fs::read(&path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let read = tidegate_spec::decode(&bytes, FILE);
    let read = read.and_then(|source| tidegate_spec::policy(source, FILE));
    read.map(Some).map_err(|found| unreadable(found.to_string()))
}
