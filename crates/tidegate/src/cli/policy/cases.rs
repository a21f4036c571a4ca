//! One case of a table: its evidence is kept, weighed and played as a server would.
//! Must never read evidence another way than a deployment does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidegate_core::effect::Question;
use tidegate_core::fact::{
    Branches, Changelog, CheckRun, Ci, Commits, Fact, Files, Format, Owners, Reviews, Signed, Soak,
    Tag,
};
use tidegate_core::gate::{self, Evidence, Found, GateResult, Kept, Missing, Versions, Waiver};
use tidegate_core::ids::Actor;
use tidegate_core::plan::{Plan, Release};
use tidegate_core::risk::Level;
use tidegate_core::state::State;
use tidegate_core::window::{Door, door};
use tidegate_drivers::evidence::{self, LocalEvidence};
use tidegate_drivers::scm::{self, GitReleases};
use tidegate_engine::ports::Evidence as _;
use tidegate_engine::simulate::{self, Scenario, Setting, Users};
use tidegate_spec::{Context, Purpose};

use super::table::{Case, Expect, Given, GivenFact, Rollout};
use crate::cli::project;
use crate::conditions;
use crate::exit::Exit;
use crate::failure::Failure;

/// A commit that no repository has.
const COMMIT: char = '0';

/// A case that was tried.
#[derive(Debug, Serialize)]
pub(super) struct Tried {
    pub(super) name: String,
    /// The gates as they stood, by name.
    gates: BTreeMap<String, String>,
    /// How the rollout ended.
    ending: Option<String>,
    /// What came out other than expected; empty when nothing did.
    pub(super) problems: Vec<String>,
}

/// Tries a case.
///
/// # Errors
/// TG7031 when the configuration has errors, else what keeps the case from being tried at all.
pub(super) async fn run(
    config: &Path,
    directory: &Path,
    environment: Option<&str>,
    case: Case,
) -> Result<Tried, Failure> {
    let mut plan = plan(config, environment, &case)?;
    let risk = case.risk.unwrap_or(Level::Low);
    let known = conditions::known(&plan, case.live.as_deref(), risk, &case.paths, case.commits);
    conditions::decide(&mut plan, &known).await?;
    let plan = Arc::new(plan);
    let now = case.at.unwrap_or_else(Timestamp::now);
    let results = weigh(directory, &plan, &case, now).await?;
    let mut problems = gates(&case.expect, &results);
    problems.extend(window(&case.expect, &plan, now));
    problems.extend(asks(&case.expect, &plan));
    let mut sentences: Vec<String> = results.iter().map(|one| one.sentence.clone()).collect();
    let mut ending = None;
    if let Some(rollout) = &case.simulate {
        let (ended, sentence, wrong) = play(&plan, rollout, &case.expect).await?;
        ending = ended;
        sentences.push(sentence);
        problems.extend(wrong);
    }
    for words in &case.expect.says {
        if !sentences.iter().any(|sentence| sentence.contains(words.as_str())) {
            problems.push(format!("nothing says `{words}`: {}", sentences.join("; ")));
        }
    }
    let gates = results.iter().map(|one| (one.gate.clone(), word(one).to_owned())).collect();
    Ok(Tried { name: case.name, gates, ending, problems })
}

fn plan(config: &Path, environment: Option<&str>, case: &Case) -> Result<Plan, Failure> {
    let loaded = project::load(config)?;
    let findings = |found: tidegate_spec::Diagnostics| {
        Failure::new(Exit::ConfigInvalid, "TG7031", found.to_string())
            .help("`tidegate check` says everything that is wrong with it")
    };
    let source = tidegate_spec::decode(&loaded.bytes, &loaded.name).map_err(findings)?;
    let context = Context {
        release: Release {
            version: case.version.clone(),
            repository: ".".to_owned(),
            commit: std::iter::repeat_n(COMMIT, 40).collect(),
        },
        environment,
        files: &loaded.files,
        variables: &BTreeMap::new(),
        today: None,
        purpose: Purpose::Check,
    };
    let parsed = tidegate_spec::read_with(source, &loaded.name, &context).map_err(findings)?;
    Ok(parsed.plan)
}

/// The gates of a plan as a server would weigh them, on evidence that is kept for this case alone.
async fn weigh(
    directory: &Path,
    plan: &Arc<Plan>,
    case: &Case,
    now: Timestamp,
) -> Result<Vec<GateResult>, Failure> {
    let kept = tempfile::tempdir().map_err(Failure::local)?;
    let state_dir = kept.path().to_owned();
    let releases = Arc::new(GitReleases::new(scm::Config { state_dir: state_dir.clone() }));
    let driver = LocalEvidence::new(evidence::Config { state_dir, github_api: None }, releases);
    let mut reports = Vec::new();
    for given in &case.evidence {
        reports.push(keep(&driver, directory, plan, given, now).await?);
    }
    let versions = Versions {
        live: case.live.clone(),
        live_commit: None,
        version: plan.release.version.clone(),
        commit: plan.release.commit.clone(),
    };
    // Only reports are asked for by the driver: there is no repository here.
    let mut by_report = plan.as_ref().clone();
    by_report.gates.retain(|gate| gate.demand.report().is_some());
    let asked =
        Question { plan: Arc::new(by_report), evidence: reports, versions: versions.clone() };
    let mut found = driver.gather(&asked).await;
    for gate in plan.gates.iter().filter(|gate| gate.demand.report().is_none()) {
        let facts = match case.facts.get(&gate.name) {
            Some(given) => {
                let required = match &gate.demand {
                    gate::Demand::Ci { checks, .. } => checks.as_slice(),
                    _ => &[],
                };
                Ok(vec![fact(given, required, now)])
            }
            None if matches!(gate.demand, gate::Demand::Version { .. }) => Ok(Vec::new()),
            None => Err(Missing {
                what: "the case gives no fact for it".to_owned(),
                help: format!("write `facts: {{{}: ...}}`", gate.name),
            }),
        };
        let decided = gate.decided.as_ref().filter(|decided| !decided.needed);
        let not_needed = decided.map(|decided| decided.sentence.clone());
        let gate = gate.name.clone();
        found.push(Found { gate, not_needed, facts, evidence: Vec::new() });
    }
    let question = Question { plan: Arc::clone(plan), evidence: Vec::new(), versions };
    let until = now.checked_add(SignedDuration::from_hours(1)).unwrap_or(now);
    let waivers = case.waived.iter().map(|gate| Waiver {
        gate: gate.clone(),
        version: plan.release.version.clone(),
        commit: plan.release.commit.clone(),
        reason: "the case says so".to_owned(),
        until,
        by: "the case".to_owned(),
    });
    let waivers: Vec<Waiver> = waivers.collect();
    Ok(gate::weigh_all(&question, &found, &waivers, now))
}

async fn keep(
    driver: &LocalEvidence,
    directory: &Path,
    plan: &Plan,
    given: &Given,
    now: Timestamp,
) -> Result<Kept, Failure> {
    let path = directory.join(&given.file);
    let name = given.name.clone().unwrap_or_else(|| given.file.display().to_string());
    let refused = |what: String| {
        Failure::new(Exit::Usage, "TG7121", format!("{}: {what}", path.display()))
            .help("give the file as its tool wrote it, and `format:` when its name says nothing")
    };
    let format = match given.format.as_deref() {
        Some(word) => {
            let known = Format::of_word(word);
            Some(known.ok_or_else(|| refused(format!("`{word}` is no format")))?)
        }
        None => None,
    };
    let file = tokio::fs::File::open(&path).await;
    let mut file = file.map_err(|error| refused(error.to_string()))?;
    let report = driver.keep(&name, format, &mut file).await;
    let report = report.map_err(|failure| refused(format!("{failure} [{}]", failure.code)))?;
    let age = given.age.unwrap_or(SignedDuration::ZERO);
    Ok(Kept {
        evidence: Evidence {
            digest: report.digest,
            format: report.format,
            name,
            version: plan.release.version.clone(),
            commit: plan.release.commit.clone(),
            bytes: report.bytes,
            summary: report.summary,
        },
        at: now.checked_sub(age).unwrap_or(now),
        by: Actor::Person("the case".to_owned()),
    })
}

fn fact(given: &GivenFact, required: &[String], now: Timestamp) -> Fact {
    match given {
        GivenFact::Tag { annotated, signer } => Fact::Tag(Tag {
            annotated: *annotated,
            signer: signer.clone().map_or(Signed::No, Signed::By),
        }),
        GivenFact::Commits { count, unsigned, unconventional, breaking, feature } => {
            Fact::Commits(Commits {
                count: *count,
                since: Some(COMMIT.to_string()),
                unsigned: unsigned.clone(),
                unconventional: unconventional.clone(),
                descends: true,
                breaking: *breaking,
                feature: *feature,
            })
        }
        GivenFact::Branch { on, merged_from, problem } => Fact::Branches(Branches {
            on: on.clone(),
            merged_from: merged_from.clone(),
            problem: problem.clone(),
        }),
        GivenFact::Files { present, missing } => {
            Fact::Files(Files { present: present.clone(), missing: missing.clone() })
        }
        GivenFact::Changelog { found, date, yanked, entries } => Fact::Changelog(Changelog {
            found: *found,
            date: date.clone(),
            yanked: *yanked,
            entries: *entries,
        }),
        GivenFact::Reviews { approved, refused, owners_open } => Fact::Reviews(Reviews {
            pull: Some(1),
            approved: approved.clone(),
            refused: refused.clone(),
            stale: Vec::new(),
            owners: Some(Owners {
                owned: 1.max(u64::try_from(owners_open.len()).unwrap_or(u64::MAX)),
                open: owners_open.iter().map(|path| (path.clone(), Vec::new())).collect(),
            }),
        }),
        GivenFact::Ci { passed, failed } => {
            let passed = passed.iter().map(|name| (name.clone(), CheckRun::Passed));
            let failed =
                failed.iter().map(|name| (name.clone(), CheckRun::Failed("failure".to_owned())));
            let checks: BTreeMap<String, CheckRun> = passed.chain(failed).collect();
            Fact::Ci(Ci { required: required.to_vec(), checks })
        }
        GivenFact::Soak { lasts, broken } => Fact::Soak(Soak {
            since: lasts.and_then(|lasts| now.checked_sub(lasts).ok()),
            broken: broken.clone(),
        }),
    }
}

fn word(result: &GateResult) -> &'static str {
    if result.needed { result.outcome.word() } else { "not-needed" }
}

fn gates(expect: &Expect, results: &[GateResult]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, wanted) in &expect.gates {
        match results.iter().find(|one| one.gate == *name) {
            None => problems.push(format!("there is no gate `{name}`")),
            Some(one) if word(one) != wanted => problems.push(format!(
                "the gate {name} is {}, expected {wanted}: {}",
                word(one),
                one.sentence
            )),
            Some(_) => {}
        }
    }
    if let Some(wanted) = &expect.result {
        let (outcome, sentence) = gate::combine(results);
        let found = if results.is_empty() { "not-required" } else { outcome.word() };
        if found != wanted {
            problems.push(format!("all gates are {found}, expected {wanted}: {sentence}"));
        }
    }
    problems
}

/// The rules of approval that apply, by name.
fn asks(expect: &Expect, plan: &Plan) -> Option<String> {
    let wanted = expect.asks.as_ref()?;
    let rules = plan.approve.iter().flat_map(|approve| &approve.rules);
    let found: Vec<String> =
        rules.filter(|rule| rule.applies).map(|rule| rule.name.clone()).collect();
    (found != *wanted).then(|| {
        format!("the rules that apply are {}, expected {}", found.join(", "), wanted.join(", "))
    })
}

fn window(expect: &Expect, plan: &Plan, now: Timestamp) -> Option<String> {
    let wanted = expect.window.as_deref()?;
    let (found, why) = match door(&State::default(), plan, now) {
        Door::Open { .. } => ("open", String::new()),
        Door::Closed { why, .. } => ("closed", format!(": {why}")),
    };
    (found != wanted).then(|| format!("the window is {found}, expected {wanted}{why}"))
}

/// Plays the rollout: its end, the sentence of that, and what was expected otherwise.
async fn play(
    plan: &Arc<Plan>,
    rollout: &Rollout,
    expect: &Expect,
) -> Result<(Option<String>, String, Vec<String>), Failure> {
    let Some(scenario) = Scenario::named(&rollout.scenario) else {
        let what = format!("there is no scenario `{}`", rollout.scenario);
        return Err(Failure::new(Exit::Usage, "TG7033", what).help("`tidegate simulate --list`"));
    };
    let mut users = Users::default();
    users.rate = rollout.rate.unwrap_or(users.rate);
    let setting = Setting { scenario, users, seed: rollout.seed.unwrap_or(1) };
    let plan = Arc::clone(plan);
    let stuck = |what: String| {
        Failure::new(Exit::Unexpected, "TG7034", format!("the simulation ended early: {what}"))
    };
    let played = tokio::task::spawn_blocking(move || simulate::simulate(&plan, &setting)).await;
    let course = played.map_err(|error| stuck(error.to_string()))?;
    let course = course.map_err(|error| stuck(error.to_string()))?;
    let (ending, why) = match &course.ending {
        Some((ending, why, _)) => (ending.words(), why.clone()),
        None => ("without an end", "two days were not enough".to_owned()),
    };
    let mut problems = Vec::new();
    if expect.ending.as_deref().is_some_and(|wanted| wanted != ending) {
        let wanted = expect.ending.as_deref().unwrap_or_default();
        problems.push(format!("it ended {ending}, expected {wanted}: {why}"));
    }
    if let Some(within) = expect.detected_within {
        let took = course.fault_at.zip(course.decided_at).map(|(at, by)| by.duration_since(at));
        match took {
            None => problems.push(format!("no way back was decided, expected within {within:#}")),
            Some(took) if took > within => {
                problems.push(format!("the way back was decided after {took:#}, not {within:#}"));
            }
            Some(_) => {}
        }
    }
    Ok((Some(ending.to_owned()), why, problems))
}
