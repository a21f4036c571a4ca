//! pa11y's JSON reporter, and pa11y-ci's.
//! Must never take pa11y's empty list for a page that was looked at: it does not say so.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::{Finding, Findings, Severity};

use crate::Error;
use crate::json::{self, Either, Fold, Folded, Keyed, OneOrMany};

#[derive(Deserialize)]
struct Issue {
    // pa11y-ci writes a message alone in place of the issues when a page could not be opened.
    code: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    selector: String,
}

#[derive(Default)]
struct Issues(Vec<Issue>);

impl Fold for Issues {
    type Item = Issue;

    fn take(&mut self, issue: Issue) -> Result<(), String> {
        if self.0.len() >= Findings::MAX {
            return Err(format!("it has more than {} issues", Findings::MAX));
        }
        self.0.push(Issue { message: issue.message.chars().take(200).collect(), ..issue });
        Ok(())
    }
}

#[derive(Default)]
struct Urls(u64, Vec<Finding>);

impl Fold for Urls {
    type Item = (String, Folded<Issues>);

    fn take(&mut self, (url, issues): Self::Item) -> Result<(), String> {
        self.0 += 1;
        for issue in issues.0.unwrap_or_default().0 {
            self.1.push(finding(issue, &url)?);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Ci {
    total: u64,
    errors: u64,
    results: Keyed<Urls>,
}

#[derive(Default)]
struct Report(Findings);

impl Either for Report {
    type Whole = Ci;
    type Each = Issue;

    fn whole(&mut self, report: Ci) -> Result<(), String> {
        let Urls(urls, found) = report.results.0.unwrap_or_default();
        if urls != report.total || report.errors > u64::try_from(found.len()).unwrap_or(u64::MAX) {
            return Err("its totals are not those of its results".to_owned());
        }
        self.0.scanned = Some(urls);
        self.0.found = found;
        Ok(())
    }

    fn each(&mut self, issue: Issue) -> Result<(), String> {
        if self.0.found.len() >= Findings::MAX {
            return Err(format!("it has more than {} issues", Findings::MAX));
        }
        // A list of issues shows that there was a page; an empty one shows nothing.
        self.0.scanned = Some(1);
        self.0.found.push(finding(issue, "")?);
        Ok(())
    }
}

fn finding(issue: Issue, url: &str) -> Result<Finding, String> {
    let Some(id) = issue.code else {
        return Err(format!("{url} could not be looked at: {}", issue.message));
    };
    let place = format!("{url} {}", issue.selector).trim().to_owned();
    Ok(Finding { id, severity: Severity::of_word(&issue.kind), place, fix: None })
}

/// Reads results.
///
/// # Errors
/// [`Error`] when they are cut off, or a page could not be opened.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Findings, Error> {
    let OneOrMany(Report(findings)) = json::read(from)?;
    Ok(Findings { tool: "pa11y".to_owned(), ..findings })
}
