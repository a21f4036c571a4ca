//! `jest --json`. Must never pass a run that was interrupted or in which a suite did not start.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::Tests;

use crate::json::{self, Fold, Folded};
use crate::{Error, broken};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    num_total_tests: u64,
    num_failed_tests: u64,
    #[serde(default)]
    num_runtime_error_test_suites: u64,
    success: bool,
    #[serde(default)]
    was_interrupted: bool,
    test_results: Folded<Suites>,
}

#[derive(Default)]
struct Suites(Tests);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Suite {
    #[serde(default)]
    name: String,
    #[serde(default)]
    status: String,
    assertion_results: Folded<Cases>,
}

#[derive(Default)]
struct Cases(Tests);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    #[serde(default)]
    full_name: String,
    status: String,
    #[serde(default)]
    invocations: Option<u64>,
}

impl Fold for Cases {
    type Item = Case;

    fn take(&mut self, case: Case) -> Result<(), String> {
        match case.status.as_str() {
            "passed" => {
                self.0.passed += 1;
                self.0.flaky += u64::from(case.invocations.is_some_and(|count| count > 1));
            }
            "failed" => self.0.fail(case.full_name),
            "pending" | "skipped" | "todo" | "disabled" | "focused" => self.0.skipped += 1,
            other => return Err(format!("a test has the status `{other:.40}`")),
        }
        Ok(())
    }
}

impl Fold for Suites {
    type Item = Suite;

    fn take(&mut self, suite: Suite) -> Result<(), String> {
        let tests = suite.assertion_results.0.unwrap_or_default().0;
        // A file that could not be loaded has no tests of its own.
        if suite.status == "failed" && tests.failed == 0 {
            self.0.fail(format!("{} (the file did not run)", suite.name));
        }
        self.0.add(tests);
        Ok(())
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off, interrupted, or its totals are not those of its tests.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Tests, Error> {
    let report: Report = json::read(from)?;
    let Some(Suites(tests)) = report.test_results.0 else {
        return Err(broken("it has no `testResults`"));
    };
    if report.was_interrupted {
        return Err(Error::Unfinished("the run was interrupted".to_owned()));
    }
    let held = tests.passed + tests.failed + tests.skipped;
    let announced = report.num_total_tests;
    if announced > held || report.num_failed_tests > tests.failed {
        return Err(Error::Incomplete { what: "tests", announced, held });
    }
    // A threshold of coverage, or a suite that broke, also makes the run a failure.
    let broke = report.num_runtime_error_test_suites > 0 || !report.success;
    if broke && tests.failed == 0 && tests.passed > 0 {
        return Err(Error::Unfinished("the run failed, though none of its tests did".to_owned()));
    }
    Ok(tests)
}
