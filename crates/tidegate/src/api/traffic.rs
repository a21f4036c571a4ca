//! How requests are divided: set, read back, observed, and every split that was wanted.
//! Must never change a split: only deployments do.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use tidegate_core::event::{Event, OverrideKind};
use tidegate_core::ids::{PartName, Scope};
use tidegate_core::input::SplitRead;

use super::body::Query;
use super::reply::Reply;
use super::services::Where;
use super::{Api, depict, locate};
use crate::problem::Problem;
use crate::view::service::{PartTraffic, SplitChange, Traffic};

/// Splits shown of each part.
const CHANGES_MAX: usize = 100;
/// Newest events that are looked through for splits.
const EVENTS_BACK: u64 = 5_000;
/// Events in one read of the journal.
const BATCH: u32 = 500;

/// Splits of a service: set, read back at this moment, observed; and their history.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/traffic",
    tag = "services",
    params(("service" = String, Path, description = "The service"), Where),
    responses(
        (status = 200, body = Traffic),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Where>,
) -> Reply<Traffic> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let mut history = changes(&api, &scope, state.seq).await?;
    let read = api.ports().traffic.read(&scope).await;
    let live = api.engine().live(&scope);
    let parts = depict::parts(&state, state.current.as_ref(), live.as_ref())
        .into_iter()
        .filter(|part| part.split.is_some())
        .map(|part| {
            let (in_force, overridden, unknown) = match &read {
                Ok(read) => {
                    let read = read.iter().find(|(name, _)| name.as_str() == part.name);
                    let read = read.map(|(_, read)| read);
                    (read.and_then(|read| read.generation), read.and_then(overridden), None)
                }
                Err(failure) => (None, None, Some(format!("{} {}", failure.code, failure.what))),
            };
            let history = history.remove(part.name.as_str()).unwrap_or_default();
            PartTraffic {
                part: part.name,
                url: part.url,
                split: part.split,
                in_force,
                overridden,
                unknown,
                history,
            }
        })
        .collect();
    Ok(axum::Json(Traffic {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        parts,
    }))
}

fn overridden(read: &SplitRead) -> Option<String> {
    let acted = read.overridden.as_ref()?;
    let kind = match acted.kind {
        OverrideKind::Lease => "lease",
        OverrideKind::Brake => "brake",
        OverrideKind::Emergency => "emergency",
    };
    let split = acted.split.as_ref().map_or_else(|| "503".to_owned(), ToString::to_string);
    Some(format!("{kind} by {}: {} ({split})", acted.actor, acted.why))
}

/// The splits that were wanted, by part, newest first.
async fn changes(
    api: &Api,
    scope: &Scope,
    seq: u64,
) -> Result<BTreeMap<String, Vec<SplitChange>>, Problem> {
    let mut found: BTreeMap<PartName, Vec<SplitChange>> = BTreeMap::new();
    let mut after = seq.saturating_sub(EVENTS_BACK);
    loop {
        let batch = api.ports().journal.read(scope, after, BATCH).await?;
        let Some(newest) = batch.last().map(|recorded| recorded.seq) else { break };
        for recorded in batch {
            match recorded.event {
                Event::SplitWanted { part, split, .. } => {
                    found.entry(part).or_default().push(SplitChange {
                        generation: recorded.seq,
                        at: recorded.at,
                        actor: recorded.actor.to_string(),
                        set: split.as_ref().map(depict::percents),
                        confirmed_at: None,
                    });
                }
                Event::SplitConfirmed { part, generation } => {
                    let changes = found.entry(part).or_default();
                    if let Some(change) =
                        changes.iter_mut().rfind(|change| change.generation == generation)
                    {
                        change.confirmed_at.get_or_insert(recorded.at);
                    }
                }
                _ => {}
            }
        }
        after = newest;
    }
    let newest_first = |(part, mut changes): (PartName, Vec<SplitChange>)| {
        changes.reverse();
        changes.truncate(CHANGES_MAX);
        (part.to_string(), changes)
    };
    Ok(found.into_iter().map(newest_first).collect())
}
