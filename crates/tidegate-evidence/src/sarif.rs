//! SARIF 2.1.0, the scanners' common format.
//! Must never take a run that says it failed, nor one that names neither rule nor file.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::{Finding, Findings, Severity};

use crate::json::{self, Count, Fold, Folded};
use crate::{Error, broken};

#[derive(Deserialize)]
struct Log {
    version: String,
    runs: Folded<Runs>,
}

#[derive(Default)]
struct Runs(Option<Findings>);

#[derive(Deserialize)]
struct Run {
    tool: Tool,
    results: Folded<Results>,
    #[serde(default)]
    artifacts: Folded<Count>,
    #[serde(default)]
    invocations: Vec<Invocation>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Component,
    #[serde(default)]
    extensions: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(default)]
    name: String,
    version: Option<String>,
    semantic_version: Option<String>,
    #[serde(default)]
    rules: Folded<Rules>,
}

/// Levels of rules by their id, and in their order.
#[derive(Default)]
struct Rules(Vec<(String, Option<Severity>)>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    #[serde(default)]
    default_configuration: Configuration,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
struct Configuration {
    level: Option<String>,
}

#[derive(Default, Deserialize)]
struct Properties {
    // GitHub's convention: a CVSS score, written as a text.
    #[serde(rename = "security-severity")]
    score: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
}

/// Results as they stand; their rules may follow behind them.
#[derive(Default)]
struct Results(Vec<Hit>, u64);

struct Hit {
    rule: String,
    index: Option<usize>,
    level: Option<String>,
    score: Option<Severity>,
    place: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    rule_id: Option<String>,
    rule_index: Option<i64>,
    rule: Option<RuleRef>,
    level: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    locations: Vec<Location>,
    #[serde(default)]
    suppressions: Option<Vec<Suppression>>,
    #[serde(default)]
    properties: Properties,
    baseline_state: Option<String>,
}

#[derive(Deserialize)]
struct RuleRef {
    id: Option<String>,
    index: Option<i64>,
}

#[derive(Deserialize)]
struct Suppression {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Option<Physical>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Option<Uri>,
    region: Option<Region>,
}

#[derive(Deserialize)]
struct Uri {
    uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: Option<u64>,
}

fn score(value: Option<&serde_json::Value>) -> Option<Severity> {
    let number = match value? {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    // A score that is none is not a low one.
    Some(number.map_or(Severity::Critical, Severity::of_score))
}

impl Fold for Rules {
    type Item = Rule;

    fn take(&mut self, rule: Rule) -> Result<(), String> {
        if self.0.len() >= Findings::MAX {
            return Err(format!("it has more than {} rules", Findings::MAX));
        }
        let level = rule.default_configuration.level.as_deref().map(Severity::of_word);
        self.0.push((rule.id, score(rule.properties.score.as_ref()).or(level)));
        Ok(())
    }
}

impl Fold for Results {
    type Item = Entry;

    fn take(&mut self, entry: Entry) -> Result<(), String> {
        let excused = entry.suppressions.is_some_and(|list| {
            let accepted =
                |one: &Suppression| one.status.as_deref().is_none_or(|s| s == "accepted");
            !list.is_empty() && list.iter().all(accepted)
        });
        let good =
            matches!(entry.kind.as_deref(), Some("pass" | "notApplicable" | "informational"));
        if excused || good || entry.baseline_state.as_deref() == Some("absent") {
            self.1 += u64::from(excused);
            return Ok(());
        }
        if self.0.len() >= Findings::MAX {
            return Err(format!("it has more than {} results", Findings::MAX));
        }
        let physical = entry.locations.into_iter().find_map(|location| location.physical_location);
        let place = physical.map(|at| {
            let uri = at.artifact_location.and_then(|file| file.uri).unwrap_or_default();
            match at.region.and_then(|region| region.start_line) {
                Some(line) => format!("{uri}:{line}"),
                None => uri,
            }
        });
        let by_ref = entry.rule.as_ref();
        let index = entry.rule_index.or_else(|| by_ref.and_then(|rule| rule.index));
        let named = entry.rule_id.or_else(|| entry.rule.and_then(|rule| rule.id));
        self.0.push(Hit {
            rule: named.unwrap_or_default(),
            index: index.and_then(|index| usize::try_from(index).ok()),
            level: entry.level,
            score: score(entry.properties.score.as_ref()),
            place: place.unwrap_or_default(),
        });
        Ok(())
    }
}

impl Fold for Runs {
    type Item = Run;

    fn take(&mut self, run: Run) -> Result<(), String> {
        if run.invocations.iter().any(|invocation| !invocation.execution_successful) {
            return Err("the tool says that it did not finish".to_owned());
        }
        let findings = of_run(run)?;
        match &mut self.0 {
            Some(whole) if whole.found.len() + findings.found.len() > Findings::MAX => {
                return Err(format!("it has more than {} results", Findings::MAX));
            }
            Some(whole) => whole.add(findings),
            None => self.0 = Some(findings),
        }
        Ok(())
    }
}

fn of_run(run: Run) -> Result<Findings, String> {
    let Some(Results(hits, suppressed)) = run.results.0 else {
        return Err("a run has no `results`: nothing was looked for".to_owned());
    };
    let driver = run.tool.driver;
    let version = driver.semantic_version.or(driver.version).unwrap_or_default();
    let tool = format!("{} {version}", driver.name).trim().to_owned();
    let in_order = driver.rules.0.unwrap_or_default().0;
    let more = run.tool.extensions.into_iter().filter_map(|extension| extension.rules.0);
    let by_id: BTreeMap<String, Option<Severity>> =
        in_order.iter().cloned().chain(more.flat_map(|rules| rules.0)).collect();
    let found = hits.into_iter().map(|hit| {
        let indexed = hit.index.and_then(|index| in_order.get(index));
        let id = match (hit.rule.is_empty(), indexed) {
            (true, Some((id, _))) => id.clone(),
            (true, None) => "unnamed".to_owned(),
            (false, _) => hit.rule,
        };
        let of_rule =
            by_id.get(&id).copied().flatten().or_else(|| indexed.and_then(|(_, level)| *level));
        let own = hit.score.or_else(|| hit.level.as_deref().map(Severity::of_word));
        // The worse of what the rule and the result say; SARIF's default is a warning.
        let severity = match (own, of_rule) {
            (Some(own), Some(rule)) => own.min(rule),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Severity::Medium,
        };
        Finding { id, severity, place: hit.place, fix: None }
    });
    let found: Vec<Finding> = found.collect();
    let files = run.artifacts.0.unwrap_or_default().0;
    let rules = u64::try_from(by_id.len()).unwrap_or(u64::MAX);
    Ok(Findings {
        tool,
        scanned: Some(if files > 0 { files } else { rules }),
        knowledge_of: None,
        found,
        suppressed,
    })
}

/// Reads a log.
///
/// # Errors
/// [`Error`] when it is cut off, of another version, or says that a run failed.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Findings, Error> {
    let log: Log = json::read(from)?;
    if log.version != "2.1.0" {
        return Err(broken(format!("its version is {:.20}, not 2.1.0", log.version)));
    }
    log.runs.0.unwrap_or_default().0.ok_or_else(|| broken("it holds no run"))
}
