//! pytest-json-report. pytest's own `--junitxml` is read as JUnit.
//! Must never pass a run in which collecting the tests failed.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::Tests;

use crate::Error;
use crate::json::{self, Fold, Folded};

/// The exit codes of pytest: tests ran, some failed, none was there.
const RAN: [i64; 3] = [0, 1, 5];

#[derive(Deserialize)]
struct Report {
    exitcode: i64,
    summary: Summary,
    #[serde(default)]
    collectors: Folded<Collectors>,
    #[serde(default)]
    tests: Folded<Cases>,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    error: u64,
}

#[derive(Default)]
struct Collectors(Vec<String>);

#[derive(Default)]
struct Cases(Tests);

#[derive(Deserialize)]
struct Outcome {
    nodeid: String,
    outcome: String,
}

impl Fold for Collectors {
    type Item = Outcome;

    fn take(&mut self, item: Outcome) -> Result<(), String> {
        if item.outcome == "failed" && self.0.len() < Tests::ALL_MAX {
            self.0.push(item.nodeid);
        }
        Ok(())
    }
}

impl Fold for Cases {
    type Item = Outcome;

    fn take(&mut self, item: Outcome) -> Result<(), String> {
        match item.outcome.as_str() {
            // A test that fails as expected, and one that passes against expectation without
            // being strict, are what pytest itself accepts.
            "passed" | "xpassed" => self.0.passed += 1,
            "rerun" => self.0.flaky += 1,
            "skipped" | "xfailed" => self.0.skipped += 1,
            "failed" | "error" => self.0.fail(item.nodeid),
            other => return Err(format!("a test has the outcome `{other:.40}`")),
        }
        Ok(())
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off, interrupted, or its totals are not those of its tests.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Tests, Error> {
    let report: Report = json::read(from)?;
    if !RAN.contains(&report.exitcode) {
        return Err(Error::Unfinished(format!("pytest ended with {}", report.exitcode)));
    }
    let mut tests = report.tests.0.unwrap_or_default().0;
    let held = tests.passed + tests.failed + tests.skipped + tests.flaky;
    let announced = report.summary.total;
    if announced > held || report.summary.failed + report.summary.error > tests.failed {
        return Err(Error::Incomplete { what: "tests", announced, held });
    }
    for nodeid in report.collectors.0.unwrap_or_default().0 {
        tests.fail(format!("{nodeid} (could not be collected)"));
    }
    Ok(tests)
}
