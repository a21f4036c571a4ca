//! `npm audit --json`, report version 2 (npm 7 and newer).
//! Must never take npm's own error message for a report without vulnerabilities.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::{Finding, Findings, Severity};

use crate::json::{self, Fold, Keyed};
use crate::{Error, broken};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    audit_report_version: Option<u64>,
    error: Option<serde::de::IgnoredAny>,
    message: Option<String>,
    #[serde(default)]
    vulnerabilities: Keyed<Packages>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    vulnerabilities: Totals,
    dependencies: Dependencies,
}

#[derive(Deserialize)]
struct Totals {
    total: u64,
}

#[derive(Deserialize)]
struct Dependencies {
    total: u64,
}

/// Advisories by package and id; how many packages; the worst that a package says of itself.
#[derive(Default)]
struct Packages {
    advisories: BTreeMap<(String, String), Finding>,
    count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(default)]
    via: Vec<Via>,
    #[serde(default)]
    fix_available: Fix,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Via {
    // Another package of the list, which names the advisory itself.
    Package(String),
    Advisory(Advisory),
}

#[derive(Deserialize)]
struct Advisory {
    source: Option<u64>,
    #[serde(default)]
    name: String,
    url: Option<String>,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    range: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fix {
    Whether(bool),
    By { name: String, version: String },
}

impl Default for Fix {
    fn default() -> Self {
        Self::Whether(false)
    }
}

impl Fold for Packages {
    type Item = (String, Package);

    fn take(&mut self, (_, package): Self::Item) -> Result<(), String> {
        self.count += 1;
        let fix = match package.fix_available {
            Fix::Whether(false) => None,
            Fix::Whether(true) => Some("an update within its range".to_owned()),
            Fix::By { name, version } => Some(format!("{name} {version}")),
        };
        for via in package.via {
            let advisory = match via {
                Via::Advisory(advisory) => advisory,
                Via::Package(name) if name.is_empty() => {
                    return Err("a vulnerability comes by a package without a name".to_owned());
                }
                Via::Package(_) => continue,
            };
            let by_url = advisory.url.as_deref().and_then(|url| url.rsplit('/').next());
            let id = by_url.map(str::to_owned).or_else(|| advisory.source.map(|id| id.to_string()));
            let id = id.unwrap_or_else(|| "unnamed".to_owned());
            if self.advisories.len() >= Findings::MAX {
                return Err(format!("it has more than {} advisories", Findings::MAX));
            }
            let finding = Finding {
                id: id.clone(),
                severity: Severity::of_word(&advisory.severity),
                place: format!("{} {}", advisory.name, advisory.range).trim().to_owned(),
                fix: fix.clone(),
            };
            self.advisories.insert((advisory.name, id), finding);
        }
        Ok(())
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off, of another version, or npm's message that it could not ask.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Findings, Error> {
    let report: Report = json::read(from)?;
    if report.error.is_some() {
        let message: String = report.message.unwrap_or_default().chars().take(200).collect();
        return Err(Error::Unfinished(message));
    }
    let (Some(2), Some(metadata)) = (report.audit_report_version, report.metadata) else {
        return Err(broken("it is no audit report of version 2"));
    };
    let packages = report.vulnerabilities.0.unwrap_or_default();
    if metadata.vulnerabilities.total > packages.count {
        return Err(Error::Incomplete {
            what: "vulnerable packages",
            announced: metadata.vulnerabilities.total,
            held: packages.count,
        });
    }
    Ok(Findings {
        tool: "npm audit".to_owned(),
        scanned: Some(metadata.dependencies.total),
        knowledge_of: None,
        found: packages.advisories.into_values().collect(),
        suppressed: 0,
    })
}
