//! Recorded deployments of a service under a changed policy.
//! It must never change anything: it reads recordings and the journal.

use axum::Json;
use axum::extract::{Path, State};
use tidegate_core::event::{Ending, Event};
use tidegate_core::ids::Scope;
use tidegate_core::plan::{Release, Traffic};
use tidegate_core::state::Reason;
use tidegate_engine::backtest::{self, Truth, sham};
use tidegate_engine::ports::{DeploymentRow, RecordingName};
use tidegate_engine::recording::{self, Recording};

use super::body::{Body, Query};
use super::reply::Reply;
use super::services::Where;
use super::{Api, course, locate};
use crate::problem::Problem;
use crate::view::judged::Backtested;
use crate::view::request;

/// Most recordings of one backtest: some minutes of work.
const RECORDINGS_MAX: usize = 500;

/// Replay recorded deployments through a changed policy.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/backtest",
    tag = "services",
    params(("service" = String, Path, description = "The service"), Where),
    request_body = request::Backtest,
    responses(
        (status = 200, body = Backtested),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn run(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(place): Query<Where>,
    Body(asked): Body<request::Backtest>,
) -> Reply<Backtested> {
    let (scope, _) = locate::service(&api, &service, place.environment.as_deref())?;
    let traffic = policy(&asked.source, &asked.name, Some(scope.environment.as_str()))?;
    over(&api, &scope, traffic, asked.trials()).await.map(Json)
}

/// The recordings of a service under a policy.
///
/// # Errors
/// TG6402 when there is no reading them.
pub(crate) async fn over(
    api: &Api,
    scope: &Scope,
    traffic: Traffic,
    trials: sham::Trials,
) -> Result<Backtested, Problem> {
    let unreadable = |what: String| Problem::new(500, "TG6402", what);
    let names = api.ports().recordings.list().await;
    let names = names.map_err(|failure| unreadable(failure.to_string()))?;
    let mut names: Vec<RecordingName> =
        names.into_iter().filter(|name| name.scope == *scope).collect();
    // The newest say most of the service as it is.
    let surplus = names.len().saturating_sub(RECORDINGS_MAX);
    names.drain(..surplus);
    let (mut recordings, mut left_out) = (Vec::new(), Vec::new());
    for name in names {
        match known(api, &name).await {
            Ok(Some(found)) => recordings.push(found),
            Ok(None) => {}
            Err(why) => left_out.push(format!("{name}: {why}")),
        }
    }
    let done = tokio::task::spawn_blocking(move || test(&recordings, &traffic, trials)).await;
    let mut tested = done
        .map_err(|error| unreadable(error.to_string()))?
        .map_err(|error| unreadable(error.to_string()))?;
    tested.left_out = left_out;
    Ok(tested)
}

/// The policy of a file, without a release.
///
/// # Errors
/// TG7031 with the first finding when the file has errors.
pub(crate) fn policy(
    source: &str,
    name: &str,
    environment: Option<&str>,
) -> Result<Traffic, Problem> {
    let release =
        Release { version: "v0".to_owned(), repository: ".".to_owned(), commit: "0".repeat(40) };
    let parsed = tidegate_spec::parse(source, name, release, environment);
    parsed.map(|parsed| parsed.plan.traffic).map_err(|found| {
        let first = found.iter().next().map(|finding| finding.message.clone());
        let what = format!("{name} has errors: {}", first.unwrap_or_default());
        Problem::new(400, "TG7031", what)
            .safe("nothing was replayed and nothing was changed")
            .help("`tidegate check` says everything that is wrong with it")
    })
}

/// The comparison and the shams of these recordings.
///
/// # Errors
/// [`recording::Unreadable`] when one cannot be replayed.
pub(crate) fn test(
    recordings: &[(Recording, Truth)],
    traffic: &Traffic,
    trials: sham::Trials,
) -> Result<Backtested, recording::Unreadable> {
    let report = backtest::compare(recordings, traffic)?;
    let plain: Vec<Recording> = recordings.iter().map(|(one, _)| one.clone()).collect();
    let shams = sham::shams(&plain, traffic, trials)?;
    Ok(Backtested { report, shams, left_out: Vec::new() })
}

/// A recording with how its deployment turned out; `None` for one that is in flight.
async fn known(api: &Api, name: &RecordingName) -> Result<Option<(Recording, Truth)>, String> {
    let stored = api.ports().recordings.read(name).await.map_err(|failure| failure.to_string())?;
    let Some(bytes) = stored else { return Ok(None) };
    let found = api.ports().journal.find(&name.deployment).await;
    let row = found.map_err(|error| error.to_string())?.ok_or("the journal does not know it")?;
    let Some(ending) = row.ending else { return Ok(None) };
    let recording = recording::read(&bytes).map_err(|error| error.to_string())?;
    Ok(Some((recording, truth(api, &row, ending).await)))
}

async fn truth(api: &Api, row: &DeploymentRow, ending: Ending) -> Truth {
    match ending {
        Ending::Succeeded => Truth::Good,
        Ending::RolledBack | Ending::RolledBackUnverified => {
            let events = course::events(api, row, row.first_seq.saturating_sub(1)).await;
            let mut reasons =
                events.iter().flatten().filter_map(|recorded| match &recorded.event {
                    Event::RollbackBegan { reason, .. } => Some(*reason),
                    _ => None,
                });
            match reasons.next() {
                Some(Reason::Verdict | Reason::CandidateLost | Reason::Person) => Truth::Bad,
                _ => Truth::Unknown,
            }
        }
        _ => Truth::Unknown,
    }
}
