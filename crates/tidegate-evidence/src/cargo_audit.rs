//! `cargo audit --json`. Must never count an advisory that was withdrawn.

use std::io::BufRead;

use jiff::Timestamp;
use serde::Deserialize;
use tidegate_core::fact::{Finding, Findings, Severity};

use crate::Error;
use crate::json::{self, Fold, Folded};

#[derive(Deserialize)]
struct Report {
    database: Database,
    lockfile: Lockfile,
    vulnerabilities: Vulnerabilities,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Database {
    last_updated: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Lockfile {
    dependency_count: u64,
}

#[derive(Deserialize)]
struct Vulnerabilities {
    count: u64,
    list: Folded<List>,
}

#[derive(Default)]
struct List(Vec<Finding>, u64);

#[derive(Deserialize)]
struct Entry {
    advisory: Advisory,
    package: Package,
    #[serde(default)]
    versions: Versions,
}

#[derive(Deserialize)]
struct Advisory {
    id: String,
    cvss: Option<String>,
    withdrawn: Option<String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

#[derive(Default, Deserialize)]
struct Versions {
    #[serde(default)]
    patched: Vec<String>,
}

impl Fold for List {
    type Item = Entry;

    fn take(&mut self, entry: Entry) -> Result<(), String> {
        if entry.advisory.withdrawn.is_some() {
            self.1 += 1;
            return Ok(());
        }
        if self.0.len() >= Findings::MAX {
            return Err(format!("it has more than {} advisories", Findings::MAX));
        }
        // An advisory without a vector, or with one that cannot be read, states no severity.
        let vector = entry.advisory.cvss.and_then(|text| text.parse::<cvss::Cvss>().ok());
        let severity =
            vector.map_or(Severity::Critical, |vector| Severity::of_score(vector.score()));
        let patched = entry.versions.patched;
        self.0.push(Finding {
            id: entry.advisory.id,
            severity,
            place: format!("{} {}", entry.package.name, entry.package.version),
            fix: (!patched.is_empty()).then(|| patched.join(" or ")),
        });
        Ok(())
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off, or announces more than it holds.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Findings, Error> {
    let report: Report = json::read(from)?;
    let List(found, suppressed) = report.vulnerabilities.list.0.unwrap_or_default();
    let held = u64::try_from(found.len()).unwrap_or(u64::MAX).saturating_add(suppressed);
    let announced = report.vulnerabilities.count;
    if announced > held {
        return Err(Error::Incomplete { what: "vulnerabilities", announced, held });
    }
    Ok(Findings {
        tool: "cargo audit".to_owned(),
        scanned: Some(report.lockfile.dependency_count),
        knowledge_of: report.database.last_updated.and_then(|at| at.parse::<Timestamp>().ok()),
        found,
        suppressed,
    })
}
