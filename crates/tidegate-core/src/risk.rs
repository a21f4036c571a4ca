//! How much can go wrong with a release, and why: reasons that a person can check, no score.
//! Must never open or close anything by itself: a policy may ask for more people because of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Ending;
use crate::gate::Versions;
use crate::layer::Layer;
use crate::plan::{Plan, Rule};
use crate::state::State;
use crate::verdict::reason;

/// Touched paths above which nobody reads all of them.
const MANY_PATHS: u64 = 200;
/// Reasons of the middle level that together make the highest.
const MANY_REASONS: usize = 4;
/// What the path of a change of the database has in it.
const DATABASE: [&str; 3] = ["migrations/", "migrate/", ".sql"];
/// How the path of a change of the infrastructure ends.
const INFRASTRUCTURE: [&str; 3] = [".tf", ".tofu", ".tfvars"];

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing but a release.
    Low,
    /// Something in it is worth a second look.
    Medium,
    /// It may not be undone, or what guards it became weaker.
    High,
}

impl Level {
    /// The word in configuration and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it makes of the risk.
    pub level: Level,
    /// One line for people, with the values.
    pub what: String,
}

/// The risk of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// The highest of the reasons; four of the middle level are the highest.
    pub level: Level,
    /// Why, the weightiest first.
    pub reasons: Vec<Reason>,
}

/// What is known of a release before it begins.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What it would do.
    pub plan: &'a Plan,
    /// What it would be done to.
    pub state: &'a State,
    /// The live version and the new one.
    pub versions: &'a Versions,
    /// When: waivers end.
    pub now: Timestamp,
    /// Touched paths; `None` when nobody looked.
    pub paths: Option<&'a [String]>,
    /// Dependencies whose first number changed.
    pub upgrades: &'a [String],
}

/// Whether a path is that of a change of the database.
#[must_use]
pub fn is_migration(path: &str) -> bool {
    DATABASE.iter().any(|mark| path.contains(mark))
}

/// The risk of a release.
#[must_use]
pub fn assess(known: &Known<'_>) -> Risk {
    let mut reasons = Vec::new();
    let mut add = |level, what: String| reasons.push(Reason { level, what });
    way_back(known, &mut add);
    version(known.versions, &mut add);
    loosened(known, &mut add);
    change(known, &mut add);
    past(known, &mut add);
    let release = &known.plan.release;
    for waiver in known.state.waivers.iter().filter(|waiver| waiver.until > known.now) {
        if waiver.version == release.version && waiver.commit == release.commit {
            let what = format!("{} set {} aside: {}", waiver.by, waiver.gate, waiver.reason);
            add(Level::Medium, what);
        }
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
    let highest = reasons.iter().map(|reason| reason.level).max().unwrap_or(Level::Low);
    let level = if reasons.len() >= MANY_REASONS { Level::High } else { highest };
    Risk { level, reasons }
}

fn way_back(known: &Known<'_>, add: &mut impl FnMut(Level, String)) {
    if known.versions.live.is_none() {
        add(Level::High, "nothing is live: there is no way back".to_owned());
    }
    if known.plan.traffic.rollback_if.is_empty() {
        add(Level::High, "no rule brings it back by itself".to_owned());
    }
    if known.plan.parts.iter().all(|part| part.smoke.is_none()) {
        add(Level::Medium, "no smoke suite asks the candidate before users do".to_owned());
    }
}

fn version(versions: &Versions, add: &mut impl FnMut(Level, String)) {
    let read = |text: &str| semver::Version::parse(text.trim_start_matches('v')).ok();
    let Some(live) = versions.live.as_deref() else { return };
    let from_to = format!("from {live} to {}", versions.version);
    match (read(live), read(&versions.version)) {
        (Some(live), Some(next)) if next.major != live.major => {
            add(Level::High, format!("a major version: {from_to}"));
        }
        (Some(live), Some(next)) if next.minor != live.minor => {
            add(Level::Medium, format!("a minor version: {from_to}"));
        }
        (Some(_), Some(_)) => {}
        _ => add(Level::Medium, format!("no semantic versions: {from_to}")),
    }
}

/// What guards the live release and would not guard this one, or not the next.
fn loosened(known: &Known<'_>, add: &mut impl FnMut(Level, String)) {
    for added in known.plan.layers.iter().filter(|added| added.layer == Layer::Live) {
        for line in added.lines() {
            let what = format!("its file drops or changes what {} has: {line}", added.from);
            add(Level::High, what);
        }
    }
    let newest = known.state.history.iter().rev().find(|ended| ended.ending.is_live());
    let Some(live) = newest.map(|ended| ended.plan.as_ref()) else { return };
    for gate in &live.gates {
        match known.plan.gates.iter().find(|other| other.name == gate.name) {
            None => add(Level::High, format!("the gate {} is gone", gate.name)),
            Some(other) if !other.demands_like(gate) => {
                add(Level::Medium, format!("the gate {} asks for something else", gate.name));
            }
            Some(_) => {}
        }
    }
    if live.required.approvals && !known.plan.required.approvals {
        add(Level::High, "nobody has to agree any more".to_owned());
    }
    for rule in &live.traffic.rollback_if {
        let kept = known.plan.traffic.rollback_if.iter().any(|other| other == rule);
        if !kept {
            add(Level::High, format!("the rollback rule `{}` is gone or changed", shown(rule)));
        }
    }
    if known.plan.traffic.steps != live.traffic.steps {
        add(Level::Medium, "the traffic steps are others".to_owned());
    }
}

fn shown(rule: &Rule) -> String {
    let (metric, sign) = (rule.metric.name(), rule.comparison.sign());
    format!("{metric} {sign} {}{}", rule.limit, rule.metric.unit())
}

fn change(known: &Known<'_>, add: &mut impl FnMut(Level, String)) {
    if known.versions.live.is_none() {
        return;
    }
    let Some(paths) = known.paths else {
        add(Level::Medium, "what it changes could not be read".to_owned());
        return;
    };
    let count = u64::try_from(paths.len()).unwrap_or(u64::MAX);
    if count > MANY_PATHS {
        add(Level::Medium, format!("{count} files change"));
    }
    let database = paths.iter().filter(|path| is_migration(path)).count();
    if database > 0 {
        let what = format!("{database} files change the database: the live version must bear it");
        add(Level::Medium, what);
    }
    let of_infrastructure = |path: &&String| INFRASTRUCTURE.iter().any(|end| path.ends_with(end));
    let infrastructure = paths.iter().filter(of_infrastructure).count();
    if infrastructure > 0 {
        add(Level::Medium, format!("{infrastructure} files change the infrastructure"));
    }
    if let [first, more @ ..] = known.upgrades {
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        add(Level::Medium, format!("dependencies go to another major version: {first}{more}"));
    }
}

fn past(known: &Known<'_>, add: &mut impl FnMut(Level, String)) {
    let Some(last) = known.state.history.last() else { return };
    if matches!(last.ending, Ending::RolledBack | Ending::RolledBackUnverified) {
        let version = &last.plan.release.version;
        add(
            Level::Medium,
            format!("the last one, {version}, was rolled back: {}", reason(&last.why)),
        );
    }
    if last.ending == Ending::LiveUnverified && known.versions.live.is_some() {
        add(Level::Medium, "what is live was never shown to be good".to_owned());
    }
}
