//! Deployments: begin one, list them, look at one.
//! Must never read the configuration from anywhere but the commit that the tag names.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use jiff::{Timestamp, Zoned};
use serde::Deserialize;
use tidegate_core::event::Ending;
use tidegate_core::ids::{Actor, DeploymentId, Scope};
use tidegate_core::input::Command;
use tidegate_core::plan::{Plan, Release};
use tidegate_engine::ports::DeploymentRow;
use tidegate_spec::{Context, Parsed, Purpose};
use utoipa::IntoParams;

use super::body::{Body, Query};
use super::locate::Located;
use super::principal::Principal;
use super::reply::Reply;
use super::{Api, changes, course, depict, layers, locate, verdicts};
use crate::problem::Problem;
use crate::view::{self, request};

/// Rows in one list.
const ROWS_MAX: u32 = 1_000;
/// Rows in a list that does not say how many.
const ROWS_DEFAULT: u32 = 20;
/// Deployments that are looked at for a key that was used before.
const KEY_ROWS: u32 = 50;
/// New ids tried when one is taken.
const ID_ATTEMPTS: u32 = 8;
/// Longest key, bytes: it stands in every event of its command.
const KEY_BYTES_MAX: usize = 128;

/// Begin a deployment of a tag.
#[utoipa::path(
    post,
    path = "/v1/deployments",
    tag = "deployments",
    request_body = request::Deploy,
    responses(
        (status = 200, body = request::Accepted),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    principal: Principal,
    Body(asked): Body<request::Deploy>,
) -> Reply<request::Accepted> {
    begin(&api, asked, principal.actor()).await.map(axum::Json)
}

/// The service that a release is for, as the file in its commit says.
pub(crate) async fn scope_of_release(api: &Api, asked: &request::Deploy) -> Result<Scope, Problem> {
    read_plan(api, asked, Purpose::Deploy).await.map(|parsed| parsed.plan.scope)
}

/// Begins a deployment, or finds the one that was begun with the same key.
pub(crate) async fn begin(
    api: &Api,
    asked: request::Deploy,
    actor: Actor,
) -> Result<request::Accepted, Problem> {
    check_key(asked.key.as_deref())?;
    check_repository(&asked.repository)?;
    let Parsed { mut plan, notes, .. } = read_plan(api, &asked, Purpose::Deploy).await?;
    changes::read(api, &mut plan).await?;
    let scope = plan.scope.clone();
    let notes = notes.iter().map(ToString::to_string).collect();
    let accepted =
        |id: DeploymentId, version: String, seq: u64, repeated: bool| request::Accepted {
            id: id.to_string(),
            service: scope.service.to_string(),
            environment: scope.environment.to_string(),
            version,
            seq,
            repeated,
            notes,
        };
    if let Some(key) = &asked.key
        && let Some(row) = begun_with(api, &scope, key).await?
    {
        return Ok(accepted(row.deployment, row.version, row.first_seq, true));
    }
    let id = new_id(api).await?;
    let version = plan.release.version.clone();
    let command = Command::Deploy {
        deployment: id.clone(),
        plan: Box::new(plan),
        supersede: asked.supersede,
        despite_quarantine: asked.despite_quarantine,
    };
    let key = asked.key.clone();
    let by = actor.to_string();
    let receipt = api.engine().command(&scope, actor, asked.key, command).await?;
    // Two requests with one key at the same moment: the one that came second changed nothing.
    if let Some(key) = key
        && api.ports().journal.find(&id).await?.is_none()
        && let Some(row) = begun_with(api, &scope, &key).await?
    {
        return Ok(accepted(row.deployment, row.version, row.first_seq, true));
    }
    tracing::info!(%scope, deployment = %id, %version, by, "deployment accepted");
    Ok(accepted(id, version, receipt.seq, false))
}

/// The server works elsewhere than the one who asks: a relative path would mean another place.
pub(super) fn check_repository(repository: &str) -> Result<(), Problem> {
    let url = repository.contains("://") || (repository.contains('@') && repository.contains(':'));
    if url || repository.starts_with('/') {
        return Ok(());
    }
    Err(Problem::bad_request("repository is neither an absolute path nor a URL"))
}

pub(crate) fn check_key(key: Option<&str>) -> Result<(), Problem> {
    match key {
        Some(key) if key.is_empty() || key.len() > KEY_BYTES_MAX => {
            Err(Problem::bad_request(format!("a key has 1 to {KEY_BYTES_MAX} bytes")))
        }
        _ => Ok(()),
    }
}

/// The plan of a release that nobody deploys yet.
pub(crate) async fn plan_of(api: &Api, release: &request::Release) -> Result<Plan, Problem> {
    check_repository(&release.repository)?;
    let request::Release { repository, version, config, environment, variables, tighten } =
        release.clone();
    let asked = request::Deploy {
        repository,
        version,
        config,
        environment,
        supersede: false,
        despite_quarantine: false,
        key: None,
        variables,
        tighten,
    };
    read_plan(api, &asked, Purpose::Check).await.map(|parsed| parsed.plan)
}

/// Resolves the tag and reads the configuration from its commit.
pub(super) async fn read_plan(
    api: &Api,
    asked: &request::Deploy,
    purpose: Purpose,
) -> Result<Parsed, Problem> {
    let releases = &api.ports().releases;
    let commit = releases.resolve(&asked.repository, &asked.version).await?;
    let bytes = committed(api, &asked.repository, &commit, &asked.config).await?;
    let Some(bytes) = bytes else {
        return Err(Problem::not_found(
            "TG7005",
            format!("{} has no {} in it", asked.version, asked.config),
        )
        .safe("no deployment was started, traffic is as it was")
        .help("`tidegate init` writes one; commit it, then tag that commit"));
    };
    let source = tidegate_spec::decode(&bytes, &asked.config)
        .map_err(|found| Problem::of_diagnostics(&asked.config, found))?;
    let files = used(api, asked, &commit, source).await?;
    let release =
        Release { version: asked.version.clone(), repository: asked.repository.clone(), commit };
    let context = Context {
        release,
        environment: asked.environment.as_deref(),
        files: &files,
        variables: &asked.variables,
        today: Some(Zoned::now().date()),
        purpose,
    };
    let mut parsed = tidegate_spec::read_with(source, &asked.config, &context)
        .map_err(|found| Problem::of_diagnostics(&asked.config, found))?;
    layers::apply(api, &mut parsed.plan, &asked.tighten).await?;
    Ok(parsed)
}

/// A file of the commit, at most as large as a configuration.
pub(super) async fn committed(
    api: &Api,
    repository: &str,
    commit: &str,
    path: &str,
) -> Result<Option<Vec<u8>>, Problem> {
    let limit = u64::try_from(tidegate_spec::SOURCE_BYTES_MAX).unwrap_or(u64::MAX);
    Ok(api.ports().releases.file(repository, commit, path, limit).await?)
}

/// The files that a configuration uses, from the same commit and the directory it lies in.
pub(super) async fn used(
    api: &Api,
    asked: &request::Deploy,
    commit: &str,
    source: &str,
) -> Result<BTreeMap<String, Vec<u8>>, Problem> {
    let directory = asked.config.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut files = BTreeMap::new();
    let mut tried = BTreeSet::new();
    loop {
        let wanted = tidegate_spec::wanted(source, &files);
        let mut found = false;
        for path in wanted.into_iter().filter(|path| tried.insert(path.clone())) {
            let whole =
                if directory.is_empty() { path.clone() } else { format!("{directory}/{path}") };
            if let Some(bytes) = committed(api, &asked.repository, commit, &whole).await? {
                files.insert(path, bytes);
                found = true;
            }
        }
        if !found {
            return Ok(files);
        }
    }
}

/// The deployment that a command with this key began.
async fn begun_with(api: &Api, scope: &Scope, key: &str) -> Result<Option<DeploymentRow>, Problem> {
    let journal = &api.ports().journal;
    for row in journal.deployments(Some(scope), None, KEY_ROWS).await? {
        let first = journal.read(scope, row.first_seq.saturating_sub(1), 1).await?;
        if first.first().is_some_and(|recorded| recorded.key.as_deref() == Some(key)) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Stands for the id that a command would be given.
pub(super) fn foreseen_id() -> Option<DeploymentId> {
    DeploymentId::new("d-new").ok()
}

/// A short id that no deployment has: `d-` and four letters, five once those fill up.
pub(crate) async fn new_id(api: &Api) -> Result<DeploymentId, Problem> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    for attempt in 0..ID_ATTEMPTS {
        // The last bytes of a version 7 id are random; the first ones are the time.
        let random = uuid::Uuid::now_v7().into_bytes();
        let count = if attempt < ID_ATTEMPTS / 2 { 4 } else { 5 };
        let letters =
            random.iter().rev().take(count).map(|byte| {
                char::from(LETTERS.get(usize::from(byte & 31)).copied().unwrap_or(b'a'))
            });
        let text: String = "d-".chars().chain(letters).collect();
        let Ok(id) = DeploymentId::new(text) else { continue };
        if matches!(locate::deployment(api, id.as_str()).await, Err(problem) if problem.status == 404)
        {
            return Ok(id);
        }
    }
    Err(Problem::new(503, "TG7023", "no free deployment id was found").safe("nothing was changed"))
}

/// How the list is narrowed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Narrowed {
    /// Only this service.
    service: Option<String>,
    /// Only this environment.
    environment: Option<String>,
    /// At most so many, 20 by default.
    limit: Option<u32>,
    /// Only those that began before this one did: `next` of the page before.
    before: Option<String>,
}

impl Narrowed {
    /// The newest of all.
    pub(crate) fn newest(limit: u32) -> Self {
        Self { service: None, environment: None, limit: Some(limit), before: None }
    }

    /// The newest of a service.
    pub(crate) fn of(service: &str, environment: &str, limit: u32) -> Self {
        Self {
            service: Some(service.to_owned()),
            environment: Some(environment.to_owned()),
            limit: Some(limit),
            before: None,
        }
    }
}

/// Deployments, newest first.
#[utoipa::path(
    get,
    path = "/v1/deployments",
    tag = "deployments",
    params(Narrowed),
    responses(
        (status = 200, body = view::Rows),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Query(asked): Query<Narrowed>,
) -> Reply<view::Rows> {
    let limit = asked.limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX);
    let (service, environment) = (asked.service.as_deref(), asked.environment.as_deref());
    let fits = |scope: &Scope| locate::fits(scope, service, environment);
    let before = match asked.before.as_deref() {
        Some(id) => Some(locate::begun(&api, id).await?.deployment),
        None => None,
    };
    let before = before.as_ref();
    let narrowed = asked.service.is_some() || asked.environment.is_some();
    let mut rows = Vec::new();
    if narrowed {
        for scope in api.engine().scopes().iter().filter(|scope| fits(scope)) {
            rows.extend(api.ports().journal.deployments(Some(scope), before, limit).await?);
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.started_at));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    } else {
        rows = api.ports().journal.deployments(None, before, limit).await?;
    }
    let now = api.now();
    let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| full).map(|row| row.deployment.to_string());
    // What waits for its turn has not begun: it stands before all that did, once.
    let mut lines = if before.is_none() { queued_rows(&api, fits, now) } else { Vec::new() };
    lines.extend(rows.into_iter().map(|row| line(&api, row, now)));
    Ok(axum::Json(view::Rows { deployments: lines, next }))
}

pub(super) fn queued_rows(
    api: &Api,
    fits: impl Fn(&Scope) -> bool,
    now: Timestamp,
) -> Vec<view::Row> {
    let scopes = api.engine().scopes();
    let queued = scopes.iter().filter(|scope| fits(scope)).filter_map(|scope| {
        let shown = depict::queued(api.engine().state(scope)?.as_ref(), now)?;
        Some(view::Row {
            id: shown.id,
            service: shown.service,
            environment: shown.environment,
            version: shown.version,
            state: shown.state,
            started_at: shown.started_at,
            started_by: shown.started_by,
            ended_at: None,
            sentence: shown.sentence,
        })
    });
    queued.collect()
}

/// A deployment as one line of a list.
pub(crate) fn line(api: &Api, row: DeploymentRow, now: Timestamp) -> view::Row {
    let state = api.engine().state(&row.scope);
    let in_flight = state
        .as_ref()
        .filter(|_| row.ending.is_none())
        .and_then(|state| Some((state, state.current.as_ref()?)))
        .filter(|(_, current)| current.id == row.deployment);
    let (word, sentence) = match (row.ending, in_flight) {
        (Some(ending), _) => {
            let why = row.why.clone().unwrap_or_default();
            (depict::ending_word(ending), format!("{}: {why}", Ending::words(ending)))
        }
        (None, Some((state, current))) => {
            (depict::state_word(state, current), tidegate_core::waiting::sentence(state, now))
        }
        (None, None) => {
            ("unknown", "its service could not be loaded: see the server's log".to_owned())
        }
    };
    view::Row {
        id: row.deployment.to_string(),
        service: row.scope.service.to_string(),
        environment: row.scope.environment.to_string(),
        version: row.version,
        state: word.to_owned(),
        started_at: row.started_at,
        started_by: row.started_by.to_string(),
        ended_at: row.ended_at,
        sentence,
    }
}

/// One deployment, whole.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}",
    tag = "deployments",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, body = view::Deployment),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Reply<view::Deployment> {
    let shown = match locate::deployment(&api, &id).await? {
        Located::Queued(_, state) => {
            depict::queued(&state, api.now()).ok_or_else(|| no_beginning(&id))?
        }
        Located::Begun(row) => of_course(&api, &row, &course::read(&api, &row).await?).await?,
    };
    Ok(axum::Json(shown))
}

/// A deployment as its events and its service's state have it.
///
/// # Errors
/// TG9101 when its events do not begin with its start, TG6402 when its recording is unreadable.
pub(crate) async fn of_course(
    api: &Api,
    row: &DeploymentRow,
    course: &course::Course,
) -> Result<view::Deployment, Problem> {
    let state = api.engine().state(&row.scope);
    let live = api.engine().live(&row.scope);
    let shown = depict::deployment(course, state.as_deref(), live.as_ref(), api.now())
        .ok_or_else(|| no_beginning(row.deployment.as_str()))?;
    if shown.exposed.is_some() {
        return Ok(shown);
    }
    // The judge of a deployment that ended is gone; what it heard is on record.
    let exposed = verdicts::exposed(api, row, course).await?;
    Ok(view::Deployment { exposed, ..shown })
}

fn no_beginning(id: &str) -> Problem {
    Problem::new(500, "TG9101", format!("the events of {id} do not begin with its start"))
        .safe("traffic is as it was")
        .help("`tidegate doctor` verifies the journal")
}
