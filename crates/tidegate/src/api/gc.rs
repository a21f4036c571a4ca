//! Removes sealed releases and logs that nobody needs any more.
//! Must never remove what is live, on its way, in a slot, or what a rollback would go back to.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use tidegate_core::ids::DeploymentId;
use tidegate_core::state::State as ServiceState;
use tidegate_drivers::retention::{Kind, Retention, Stored};

use super::Api;
use super::body::Body;
use super::principal::Principal;
use super::reply::Reply;
use crate::problem::Problem;
use crate::view::request;
use crate::view::service::{Collected, Gone};

/// Releases of each service that stay for a rollback when nobody says how many.
const KEEP_DEFAULT: u8 = 5;
/// As many as a service remembers to go back to.
const KEEP_MAX: u8 = 10;
/// Days that logs stay when nobody says how many.
const LOGS_DAYS_DEFAULT: u16 = 90;
/// Ten years.
const LOGS_DAYS_MAX: u16 = 3_650;
const DAY: Duration = Duration::from_hours(24);

/// Remove releases and logs that nobody needs any more.
#[utoipa::path(
    post,
    path = "/v1/server/gc",
    tag = "server",
    request_body = request::Collect,
    responses(
        (status = 200, body = Collected),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn collect(
    State(api): State<Api>,
    principal: Principal,
    Body(asked): Body<request::Collect>,
) -> Reply<Collected> {
    let keep = asked.keep.unwrap_or(KEEP_DEFAULT);
    let days = asked.logs_days.unwrap_or(LOGS_DAYS_DEFAULT);
    if !(1..=KEEP_MAX).contains(&keep) || !(1..=LOGS_DAYS_MAX).contains(&days) {
        return Err(Problem::bad_request(format!(
            "keep is 1 to {KEEP_MAX} and logs_days 1 to {LOGS_DAYS_MAX}"
        ))
        .safe("nothing was removed"));
    }
    let retention = Retention::new(api.parts().dir.path().to_owned());
    let logs = ended_logs(&api, &retention, DAY * u32::from(days)).await?;
    let dry_run = asked.dry_run;
    let collecting = tokio::task::spawn_blocking(move || {
        let turn = Turn { api, retention, keep, dry_run };
        turn.run(logs)
    });
    let collected = collecting.await.map_err(|error| refused(&io::Error::other(error)))?;
    let collected = collected.map_err(|error| refused(&error))?;
    tracing::info!(
        by = %principal.name,
        dry_run,
        artifacts = collected.artifacts.len(),
        logs = collected.logs.len(),
        bytes = collected.bytes,
        "collected what nobody needs"
    );
    Ok(axum::Json(collected))
}

fn refused(error: &io::Error) -> Problem {
    Problem::new(500, "TG9201", format!("what nobody needs cannot be removed: {error}"))
        .safe("what is live, on its way or gone back to was not touched")
        .help("tidegate doctor")
}

/// Logs of deployments that ended so long ago. What the journal does not know stays.
async fn ended_logs(
    api: &Api,
    retention: &Retention,
    age: Duration,
) -> Result<Vec<Stored>, Problem> {
    let lister = retention.clone();
    let listed = tokio::task::spawn_blocking(move || lister.list(Kind::Logs)).await;
    let listed = listed.map_err(io::Error::other).and_then(|listed| listed);
    let before = SystemTime::now().checked_sub(age);
    let mut ended = Vec::new();
    for stored in listed.map_err(|error| refused(&error))? {
        if before.is_none_or(|before| stored.changed >= before) {
            continue;
        }
        let Ok(id) = DeploymentId::new(&stored.name) else { continue };
        let row = api.ports().journal.find(&id).await?;
        let at = row.and_then(|row| row.ended_at);
        if at.is_some_and(|at| before.is_some_and(|before| SystemTime::from(at) < before)) {
            ended.push(stored);
        }
    }
    Ok(ended)
}

/// One collection.
struct Turn {
    api: Api,
    retention: Retention,
    keep: u8,
    dry_run: bool,
}

impl Turn {
    fn run(&self, logs: Vec<Stored>) -> io::Result<Collected> {
        let mut collected = Collected {
            dry_run: self.dry_run,
            artifacts: Vec::new(),
            logs: Vec::new(),
            bytes: 0,
            kept: BTreeMap::new(),
            waits_for: None,
        };
        if !self.dry_run {
            self.retention.sweep(Kind::Artifacts)?;
            self.retention.sweep(Kind::Logs)?;
        }
        match self.needed() {
            Needed::Unknown(why) => collected.waits_for = Some(why),
            Needed::These(needed) => {
                for stored in self.retention.list(Kind::Artifacts)? {
                    if let Some(why) = needed.get(&stored.name) {
                        collected.kept.insert(stored.name, why.clone());
                    } else if self.goes(Kind::Artifacts, &stored)? {
                        collected.bytes += stored.bytes;
                        collected.artifacts.push(Gone { name: stored.name, bytes: stored.bytes });
                    } else {
                        collected.kept.insert(stored.name, "needed since a moment ago".to_owned());
                    }
                }
            }
        }
        for stored in logs {
            if self.goes(Kind::Logs, &stored)? {
                collected.bytes += stored.bytes;
                collected.logs.push(Gone { name: stored.name, bytes: stored.bytes });
            }
        }
        Ok(collected)
    }

    fn goes(&self, kind: Kind, stored: &Stored) -> io::Result<bool> {
        if self.dry_run {
            return Ok(true);
        }
        self.retention.remove(kind, &stored.name, || match (kind, self.needed()) {
            (Kind::Logs, _) => false,
            (Kind::Artifacts, Needed::Unknown(_)) => true,
            (Kind::Artifacts, Needed::These(needed)) => needed.contains_key(&stored.name),
        })
    }

    /// What has to stay at this moment.
    fn needed(&self) -> Needed {
        let mut needed = BTreeMap::new();
        for scope in self.api.engine().scopes() {
            let Some(state) = self.api.engine().state(&scope) else {
                return Needed::Unknown(format!("{scope} is being read"));
            };
            if let Some(why) = is_building(&state) {
                return Needed::Unknown(format!("{scope}: {why}"));
            }
            needs_of(&state, usize::from(self.keep), |artifact, why| {
                needed.entry(artifact.to_owned()).or_insert_with(|| format!("{scope}: {why}"));
            });
        }
        Needed::These(needed)
    }
}

/// What has to stay, or why nobody can say.
enum Needed {
    These(BTreeMap<String, String>),
    Unknown(String),
}

/// A release that is on its way and whose artifact is not in the journal yet.
fn is_building(state: &ServiceState) -> Option<String> {
    let current = state.current.as_ref().filter(|current| current.artifact.is_none());
    let waiting = state.queued.as_ref().map(|queued| &queued.deployment);
    let id = current.map(|current| &current.id).or(waiting)?;
    Some(format!("{id} is being prepared"))
}

/// Names every artifact that a service needs, the most important reason first.
fn needs_of(state: &ServiceState, keep: usize, mut name: impl FnMut(&str, &str)) {
    for part in state.parts.values() {
        for (slot, seen) in &part.slots {
            if let Some(tenant) = &seen.want {
                let is_live = part.live.as_ref() == Some(slot);
                name(&tenant.revision.artifact, if is_live { "live" } else { "in a slot" });
            }
        }
    }
    if let Some(artifact) = state.current.as_ref().and_then(|current| current.artifact.as_ref()) {
        name(artifact.as_str(), "on its way");
    }
    let good = state.history.iter().rev().filter(|ended| ended.ending.is_live());
    let mut releases: Vec<&str> = Vec::new();
    for artifact in good.filter_map(|ended| ended.artifact.as_ref()) {
        if !releases.contains(&artifact.as_str()) {
            releases.push(artifact.as_str());
        }
    }
    for artifact in releases.into_iter().take(keep) {
        name(artifact, "what a rollback can go back to");
    }
}
