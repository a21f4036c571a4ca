//! The JSON reporter of Mocha, and of Cypress, which writes the same when run with
//! `--reporter json`. Must never take a run with fewer tests than it announces.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::Tests;

use crate::Error;
use crate::json::{self, Count, Fold, Folded};

#[derive(Deserialize)]
struct Report {
    stats: Stats,
    tests: Folded<Count>,
    #[serde(default)]
    pending: Folded<Count>,
    failures: Folded<Failures>,
    passes: Folded<Passes>,
}

#[derive(Deserialize)]
struct Stats {
    tests: u64,
    passes: u64,
    failures: u64,
    #[serde(default)]
    pending: u64,
}

#[derive(Default)]
struct Failures(Tests);

#[derive(Default)]
struct Passes(Tests);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    #[serde(default)]
    full_title: String,
    #[serde(default)]
    current_retry: u64,
}

impl Fold for Failures {
    type Item = Case;

    fn take(&mut self, case: Case) -> Result<(), String> {
        self.0.fail(case.full_title);
        Ok(())
    }
}

impl Fold for Passes {
    type Item = Case;

    fn take(&mut self, case: Case) -> Result<(), String> {
        self.0.passed += 1;
        self.0.flaky += u64::from(case.current_retry > 0);
        Ok(())
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off, or its totals are not those of its tests.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Tests, Error> {
    let Report { stats, tests, pending, failures, passes } = json::read(from)?;
    let mut found = failures.0.unwrap_or_default().0;
    found.add(passes.0.unwrap_or_default().0);
    found.skipped = pending.0.unwrap_or_default().0;
    let held = tests.0.unwrap_or_default().0;
    // A failing hook is a failure without a test of its own, so failures may be more.
    let short = held < stats.tests
        || found.passed < stats.passes
        || found.failed < stats.failures
        || found.skipped < stats.pending;
    if short {
        return Err(Error::Incomplete { what: "tests", announced: stats.tests, held });
    }
    Ok(found)
}
