//! `trivy --format json`: vulnerabilities, secrets, misconfigurations and licences of one run.
//! Must never take a run without a single result for a clean one.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::{Finding, Findings, Severity};

use crate::json::{self, Count, Fold, Folded};
use crate::{Error, broken};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u64,
    #[serde(default)]
    results: Folded<Results>,
}

#[derive(Default)]
struct Results(Findings);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    #[serde(default)]
    target: String,
    #[serde(default)]
    packages: Folded<Count>,
    misconf_summary: Option<Summary>,
    #[serde(default)]
    vulnerabilities: Folded<Found>,
    #[serde(default)]
    secrets: Folded<Found>,
    #[serde(default)]
    misconfigurations: Folded<Found>,
    #[serde(default)]
    licenses: Folded<Found>,
    #[serde(default, rename = "ExperimentalModifiedFindings")]
    modified: Folded<Count>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(default)]
    successes: u64,
    #[serde(default)]
    failures: u64,
}

#[derive(Default)]
struct Found(Vec<Finding>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(rename = "VulnerabilityID")]
    vulnerability: Option<String>,
    #[serde(rename = "RuleID")]
    rule: Option<String>,
    #[serde(rename = "ID")]
    id: Option<String>,
    name: Option<String>,
    #[serde(default)]
    severity: String,
    pkg_name: Option<String>,
    installed_version: Option<String>,
    fixed_version: Option<String>,
    start_line: Option<u64>,
    status: Option<String>,
}

impl Fold for Found {
    type Item = Entry;

    fn take(&mut self, entry: Entry) -> Result<(), String> {
        // A check that was passed stands in the same list when passed ones are asked for.
        if entry.status.as_deref() == Some("PASS") {
            return Ok(());
        }
        if self.0.len() >= Findings::MAX {
            return Err(format!("it has more than {} findings", Findings::MAX));
        }
        let id = entry.vulnerability.or(entry.rule).or(entry.id).or(entry.name);
        let place = match (entry.pkg_name, entry.installed_version, entry.start_line) {
            (Some(name), Some(version), _) => format!("{name} {version}"),
            (Some(name), None, _) => name,
            (None, _, Some(line)) => format!("line {line}"),
            (None, _, None) => String::new(),
        };
        self.0.push(Finding {
            id: id.unwrap_or_else(|| "unnamed".to_owned()),
            severity: Severity::of_word(&entry.severity),
            place,
            fix: entry.fixed_version.filter(|version| !version.is_empty()),
        });
        Ok(())
    }
}

impl Fold for Results {
    type Item = Outcome;

    fn take(&mut self, result: Outcome) -> Result<(), String> {
        let looked_at = match (result.packages.0, &result.misconf_summary) {
            (Some(Count(packages)), _) if packages > 0 => packages,
            (_, Some(summary)) => summary.successes + summary.failures,
            // Without `--list-all-pkgs` a target counts as one.
            _ => 1,
        };
        self.0.scanned = Some(self.0.scanned.unwrap_or(0).saturating_add(looked_at));
        self.0.suppressed += result.modified.0.unwrap_or_default().0;
        let lists =
            [result.vulnerabilities, result.secrets, result.misconfigurations, result.licenses];
        for Found(list) in lists.into_iter().filter_map(|list| list.0) {
            for finding in list {
                if self.0.found.len() >= Findings::MAX {
                    return Err(format!("it has more than {} findings", Findings::MAX));
                }
                let place = format!("{} {}", result.target, finding.place).trim().to_owned();
                self.0.found.push(Finding { place, ..finding });
            }
        }
        Ok(())
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off or of another schema.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Findings, Error> {
    let report: Report = json::read(from)?;
    if report.schema_version != 2 {
        return Err(broken(format!("its schema is {}, not 2", report.schema_version)));
    }
    let found = report.results.0.unwrap_or_default().0;
    let scanned = Some(found.scanned.unwrap_or(0));
    Ok(Findings { tool: "Trivy".to_owned(), scanned, ..found })
}
