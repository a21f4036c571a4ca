//! A smoke suite that is a command: its exit code decides, or the JUnit report it writes.
//!
//! It runs in a copy of the artifact of its own, in which the report cannot be older than the run.
//! Must never count a report that was there before, nor a good report of a command that failed.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use tidegate_core::fact::{Fact, Format, Tests};
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::CheckReport;
use tidegate_evidence::Licences;

use crate::files;
use crate::hidden::Hidden;
use crate::once::{self, End, Once};
use crate::scm::artifact;
use crate::text;

use super::{Suite, report};

/// Largest report of a suite, bytes: some 100,000 tests.
const REPORT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Lines of output in a message.
const LINES_MAX: usize = 3;

/// Runs the command against the candidate.
pub(crate) async fn run(suite: &Suite<'_>, argv: &[String], junit: Option<&str>) -> CheckReport {
    if let Some(path) = junit.filter(|path| !is_inside(path)) {
        return report(Outcome::NoData, format!("the report `{path}` lies outside [TG4204]"));
    }
    if let Err(what) = prepare(suite, junit) {
        return report(Outcome::NoData, format!("the suite could not be set up: {what} [TG4203]"));
    }
    let result = attempt(suite, argv, junit).await;
    if let Err(error) = artifact::remove(suite.scratch) {
        let path = suite.scratch.display();
        tracing::warn!(%path, %error, "could not remove the directory of a suite");
    }
    result
}

fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

fn prepare(suite: &Suite<'_>, junit: Option<&str>) -> Result<(), String> {
    artifact::remove(suite.scratch).map_err(|error| error.to_string())?;
    artifact::scratch(suite.artifact, suite.scratch).map_err(|error| error.to_string())?;
    if let Some(path) = junit {
        artifact::remove(&suite.scratch.join(path)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn attempt(suite: &Suite<'_>, argv: &[String], junit: Option<&str>) -> CheckReport {
    let mut env: BTreeMap<String, String> = suite.env.clone();
    env.insert("TIDEGATE_TARGET".to_owned(), format!("http://{}", suite.endpoint));
    let once = Once {
        argv,
        directory: suite.scratch,
        env,
        timeout: suite.timeout,
        log: Some(suite.log),
        thorough: true,
        mark: None,
        input: None,
        hidden: Hidden::default(),
    };
    let ran = match once::run(once).await {
        Ok(ran) => ran,
        Err(error) => return report(Outcome::NoData, format!("the suite: {error} [TG4203]")),
    };
    let said = text::last_lines(&ran.tail, LINES_MAX);
    let status = match ran.end {
        End::Exited(status) => status,
        End::TimedOut => {
            let limit = suite.timeout;
            let what = format!("the suite did not end within {limit:?}: {said} [TG4205]");
            return report(Outcome::NoData, what);
        }
    };
    let words = once::words(status);
    let Some(path) = junit else {
        return if status.success() {
            report(Outcome::Pass, "the suite exited with code 0")
        } else {
            report(Outcome::Fail, format!("the suite {words}: {said} [TG4203]"))
        };
    };
    let bytes = files::read_capped(&suite.scratch.join(path), REPORT_BYTES_MAX);
    let read = match bytes {
        Ok(Some(bytes)) => tests_of(&bytes),
        Ok(None) => Err("it was not written".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Err(why) => {
            let what = format!("no evidence in {path}: {why}; the suite {words}: {said} [TG4204]");
            report(Outcome::NoData, what)
        }
        Ok(tests) => judge(&tests, status.success(), &words),
    }
}

fn tests_of(bytes: &[u8]) -> Result<Tests, String> {
    match tidegate_evidence::read(Format::Junit, bytes, &Licences::default()) {
        Ok(Fact::Tests(tests)) => Ok(tests),
        Ok(_) => Err("it holds no tests".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn judge(tests: &Tests, succeeded: bool, words: &str) -> CheckReport {
    let summary = text::printable(&tests.summary(), 2 * text::EXCERPT_CHARS_MAX);
    match tests.outcome() {
        Outcome::Pass if succeeded => report(Outcome::Pass, summary),
        // Either the runner broke after its report, or the report does not tell all.
        Outcome::Pass => {
            report(Outcome::NoData, format!("{summary}, yet the suite {words} [TG4204]"))
        }
        Outcome::Fail => report(Outcome::Fail, format!("{summary} [TG4202]")),
        outcome @ (Outcome::NoData | Outcome::Waived) => {
            report(outcome, format!("no test ran: {summary} [TG4204]"))
        }
    }
}
