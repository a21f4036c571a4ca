//! What changed against the live release: commits, files by owner, configuration, dependencies.
//! Must never leave out silently what it could not read: that is named.

use std::collections::BTreeMap;

use tidegate_core::fact::{Fact, Format};
use tidegate_core::gate::Found;
use tidegate_core::plan::{Plan, Release};
use tidegate_core::state::State;
use tidegate_engine::ports::Changed;
use tidegate_evidence::{Licences, lockfile};
use tidegate_spec::Shown;
use tokio::io::AsyncReadExt;

use crate::api::{Api, deployments};
use crate::leaves;
use crate::problem::Problem;
use crate::view::approval::{Difference, Owned};
use crate::view::plan::{Commit, Delta, Dependency, Infrastructure};
use crate::view::request;

/// Most values, dependencies or paths of one list.
const LISTED_MAX: usize = 500;
/// Longest value shown of one side, in characters.
const VALUE_CHARS_MAX: usize = 200;
/// Most lock files that are compared.
const LOCKS_MAX: usize = 16;
/// Longest bill of materials that is compared, bytes.
const BILL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The change with everything that was found out about it.
pub(super) struct Compared {
    /// As it is shown.
    pub(super) delta: Delta,
    /// Touched paths; `None` when they could not be read.
    pub(super) paths: Option<Vec<String>>,
    /// Dependencies that go to another major version.
    pub(super) upgrades: Vec<String>,
}

impl Compared {
    /// Nothing could be read.
    pub(super) fn unread(base: &str, problem: Problem) -> Self {
        let delta =
            Delta { base: base.to_owned(), unread: vec![problem.detail], ..Delta::default() };
        Self { delta, paths: None, upgrades: Vec::new() }
    }

    /// As it is shown, with what plans for the infrastructure among the evidence would do.
    pub(super) fn with_infrastructure(self, found: &[Found]) -> Delta {
        Delta { infrastructure: infrastructure(found), ..self.delta }
    }
}

/// Compares a release with the live commit. `declared` is what differs in its configuration, or
/// why that is not known.
pub(super) async fn compare(
    api: &Api,
    release: &Release,
    state: &State,
    base: &str,
    declared: Result<Vec<Difference>, String>,
) -> Result<Compared, Problem> {
    let changed = api.ports().releases.change(&release.repository, Some(base), release).await?;
    let Changed { change, paths, commits, commit_count } = changed;
    let mut delta = Delta {
        base: base.to_owned(),
        commits: commits
            .into_iter()
            .map(|c| Commit { name: c.name, author: c.author, subject: c.subject })
            .collect(),
        commit_count,
        paths: change.paths,
        owned: change
            .owned
            .into_iter()
            .map(|owned| Owned { path: owned.path, paths: owned.paths, owners: owned.owners })
            .collect(),
        migrations: paths
            .iter()
            .filter(|path| tidegate_core::risk::is_migration(path))
            .take(LISTED_MAX)
            .cloned()
            .collect(),
        ..Delta::default()
    };
    match declared {
        Ok(found) => delta.configuration = found,
        Err(what) => delta.unread.push(what),
    }
    let mut upgrades = Vec::new();
    let locks = paths.iter().filter(|path| lockfile::is_read(path));
    for path in locks.take(LOCKS_MAX) {
        match locked(api, release, base, path).await {
            Ok(found) => add(path, found, &mut delta, &mut upgrades),
            Err(what) => delta.unread.push(format!("{path}: {what}")),
        }
    }
    match bills(api, state, release, base).await {
        Ok(found) => {
            for (name, changes) in found {
                add(&name, changes, &mut delta, &mut upgrades);
            }
        }
        Err(what) => delta.unread.push(what),
    }
    Ok(Compared { delta, paths: Some(paths), upgrades })
}

/// Dependencies that go to another major version, by the lock files among the touched paths. A file
/// that cannot be read has none: the plan names it.
pub(in crate::api) async fn upgrades(
    api: &Api,
    release: &Release,
    base: &str,
    paths: &[String],
) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| lockfile::is_read(path)).take(LOCKS_MAX) {
        let changes = locked(api, release, base, path).await.unwrap_or_default();
        found.extend(changes.iter().filter(|changed| changed.is_major()).map(upgrade));
    }
    found
}

fn upgrade(changed: &lockfile::Changed) -> String {
    let list = |versions: &std::collections::BTreeSet<String>| {
        versions.iter().cloned().collect::<Vec<_>>().join(", ")
    };
    format!("{} {} -> {}", changed.name, list(&changed.before), list(&changed.after))
}

/// What plans for the infrastructure among the evidence would do.
fn infrastructure(found: &[Found]) -> Vec<Infrastructure> {
    let of_gate = |found: &Found| {
        let facts = found.facts.as_ref().map(Vec::as_slice).unwrap_or_default();
        let plans: Vec<Infrastructure> = facts
            .iter()
            .filter_map(|fact| match fact {
                Fact::Infrastructure(plan) => Some(Infrastructure {
                    gate: found.gate.clone(),
                    create: plan.create,
                    update: plan.update,
                    replace: plan.replace.clone(),
                    delete: plan.delete.clone(),
                }),
                _ => None,
            })
            .collect();
        plans
    };
    found.iter().flat_map(of_gate).collect()
}

fn add(file: &str, changes: Vec<lockfile::Changed>, delta: &mut Delta, upgrades: &mut Vec<String>) {
    for changed in changes {
        let list = |versions: &std::collections::BTreeSet<String>| -> Vec<String> {
            versions.iter().cloned().collect()
        };
        if changed.is_major() {
            upgrades.push(upgrade(&changed));
        }
        let (before, after) = (list(&changed.before), list(&changed.after));
        if delta.dependencies.len() < LISTED_MAX {
            let file = file.to_owned();
            delta.dependencies.push(Dependency { name: changed.name, before, after, file });
        }
    }
}

/// The values of the configuration that differ from those of the live commit.
pub(super) async fn configuration(
    api: &Api,
    asked: &request::Deploy,
    release: &Release,
    base: &str,
) -> Result<Vec<Difference>, String> {
    let unread = |what: String| format!("{}: {what}", asked.config);
    let before = shown(api, asked, release, base).await.map_err(unread)?;
    let after = shown(api, asked, release, &release.commit).await.map_err(unread)?;
    let changes = match (before, after) {
        (Some(before), Some(after)) => tidegate_spec::changes(&before, &after),
        _ => return Err(unread(format!("it does not stand in {base}"))),
    };
    let differences = changes.into_iter().take(LISTED_MAX).map(|change| Difference {
        place: change.path,
        before: change.before,
        after: change.after,
    });
    Ok(differences.collect())
}

/// Every value that differs between two plans.
pub(crate) fn declared(before: &Plan, after: &Plan) -> Vec<Difference> {
    let tree = |plan: &Plan| {
        // What the release changes is shown by itself, and found out, not declared.
        let plan = Plan { change: None, ..plan.clone() };
        serde_json::to_value(plan).unwrap_or_default()
    };
    let differing = leaves::between(&tree(before), &tree(after)).into_iter();
    let differing = differing.take(LISTED_MAX).map(|differs| Difference {
        place: differs.path,
        before: differs.before.as_deref().map(cut),
        after: differs.after.as_deref().map(cut),
    });
    differing.collect()
}

fn cut(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

async fn shown(
    api: &Api,
    asked: &request::Deploy,
    release: &Release,
    commit: &str,
) -> Result<Option<Shown>, String> {
    let said = |problem: Problem| problem.detail;
    let bytes = deployments::committed(api, &asked.repository, commit, &asked.config).await;
    let Some(bytes) = bytes.map_err(said)? else { return Ok(None) };
    let found = |found: tidegate_spec::Diagnostics| {
        let first = found.0.first().map(|first| first.message.clone());
        first.unwrap_or_else(|| "it cannot be read".to_owned())
    };
    let source = tidegate_spec::decode(&bytes, &asked.config).map_err(found)?;
    let files = deployments::used(api, asked, commit, source).await.map_err(said)?;
    let context = tidegate_spec::Context {
        release: Release { commit: commit.to_owned(), ..release.clone() },
        environment: asked.environment.as_deref(),
        files: &files,
        variables: &asked.variables,
        today: None,
        purpose: tidegate_spec::Purpose::Check,
    };
    tidegate_spec::show(source, &asked.config, &context).map(Some).map_err(found)
}

/// What differs in a lock file; one that is not there depends on nothing.
async fn locked(
    api: &Api,
    release: &Release,
    base: &str,
    path: &str,
) -> Result<Vec<lockfile::Changed>, String> {
    let mut sides = Vec::with_capacity(2);
    for commit in [base, &release.commit] {
        let bytes =
            api.ports().releases.file(&release.repository, commit, path, lockfile::BYTES_MAX);
        let packages = match bytes.await.map_err(|failure| failure.to_string())? {
            Some(bytes) => lockfile::read(path, &bytes).map_err(|error| error.to_string())?,
            None => lockfile::Packages::new(),
        };
        sides.push(packages);
    }
    let (before, after) = (sides.first(), sides.last());
    Ok(before.zip(after).map(|(b, a)| lockfile::changes(b, a)).unwrap_or_default())
}

/// What differs between the bills of materials of both releases, by the name of the report.
async fn bills(
    api: &Api,
    state: &State,
    release: &Release,
    base: &str,
) -> Result<BTreeMap<String, Vec<lockfile::Changed>>, String> {
    let newest = |commit: &str| {
        let of = state.evidence.iter().filter(|kept| kept.evidence.commit == commit);
        let bills =
            of.filter(|kept| matches!(kept.evidence.format, Format::Cyclonedx | Format::Spdx));
        let by_name = bills.map(|kept| (kept.evidence.name.clone(), kept.evidence.clone()));
        by_name.collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (newest(base), newest(&release.commit));
    let mut found = BTreeMap::new();
    for (name, now) in &after {
        let Some(then) = before.get(name) else { continue };
        let before = components(api, then).await?;
        let after = components(api, now).await?;
        found.insert(name.clone(), lockfile::changes(&before, &after));
    }
    Ok(found)
}

async fn components(
    api: &Api,
    evidence: &tidegate_core::gate::Evidence,
) -> Result<lockfile::Packages, String> {
    let name = &evidence.name;
    let unread = |what: String| format!("{name}: {what}");
    let bytes = api.ports().evidence.open(&evidence.digest).await;
    let mut bytes = bytes.map_err(|failure| unread(failure.to_string()))?.take(BILL_BYTES_MAX);
    let mut whole = Vec::new();
    bytes.read_to_end(&mut whole).await.map_err(|error| unread(error.to_string()))?;
    let fact = tidegate_evidence::read(evidence.format, whole.as_slice(), &Licences::default());
    let Ok(Fact::Components(components)) = fact else {
        return Err(unread("it cannot be read as a bill of materials".to_owned()));
    };
    let mut packages = lockfile::Packages::new();
    for listed in components.listed.keys() {
        let (name, version) = listed.rsplit_once(' ').unwrap_or((listed, ""));
        packages.entry(name.to_owned()).or_default().insert(version.to_owned());
    }
    Ok(packages)
}
