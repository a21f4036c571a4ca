//! Test reports in JUnit's XML, as almost every test runner writes them.
//!
//! A report is evidence only when it is whole and holds tests that ran. An empty one, one whose
//! tests were all skipped, and one that announces more than it holds are no evidence.

use std::io::BufRead;

use quick_xml::events::BytesStart;
use tidegate_core::fact::Tests;

use crate::xml::{self, Elements, attribute, count};
use crate::{Error, broken};

/// Reads a report.
///
/// # Errors
/// [`Error`]: the report is no evidence then, neither good nor bad.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Tests, Error> {
    let mut reading = Reading::default();
    xml::read(from, &["testsuites", "testsuite"], false, &mut reading)?;
    reading.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Passed,
    Failed,
    Skipped,
}

#[derive(Debug, Default)]
struct Reading {
    // Names of the open suites, the outermost first.
    suites: Vec<String>,
    case: Option<(String, Case)>,
    tests: Tests,
    // Announced by the root, and by the sum of the outermost suites. Runners that put suites into
    // suites count inner tests in the outer ones as well, so inner attributes add nothing.
    root: (u64, u64),
    outermost: (u64, u64),
}

impl Elements for Reading {
    fn open(&mut self, open: &[String], name: &str, element: &BytesStart<'_>) -> Result<(), Error> {
        match name {
            "testsuites" | "testsuite" => self.open_suite(name, element)?,
            "testcase" if self.case.is_some() => return Err(broken("a test holds a test")),
            "testcase" => {
                let status = attribute(element, "status")?.or(attribute(element, "result")?);
                let case = match status.as_deref() {
                    Some("notrun" | "skipped" | "disabled" | "suppressed") => Case::Skipped,
                    Some("failed" | "failure" | "error") => Case::Failed,
                    _ => Case::Passed,
                };
                self.case = Some((attribute(element, "name")?.unwrap_or_default(), case));
            }
            "failure" | "error" => self.mark(open, Case::Failed),
            "skipped" => self.mark(open, Case::Skipped),
            // A test that passed only when tried again: surefire's words.
            "flakyFailure" | "flakyError" if self.case.is_some() => self.tests.flaky += 1,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, _open: &[String], name: &str) -> Result<(), Error> {
        if name == "testsuite" {
            self.suites.pop();
        }
        if name != "testcase" {
            return Ok(());
        }
        let Some((case, outcome)) = self.case.take() else { return Ok(()) };
        match outcome {
            Case::Passed => self.tests.passed += 1,
            Case::Skipped => self.tests.skipped += 1,
            Case::Failed => {
                let suite = self.suites.last().map(String::as_str).unwrap_or_default();
                self.tests.fail(format!("{suite} > {case}"));
            }
        }
        Ok(())
    }
}

impl Reading {
    fn open_suite(&mut self, name: &str, element: &BytesStart<'_>) -> Result<(), Error> {
        let number = |key| Ok::<_, Error>(count(element, key)?.unwrap_or(0));
        let tests = number("tests")?;
        let bad = number("failures")?.saturating_add(number("errors")?);
        if name == "testsuites" {
            self.root = (self.root.0.max(tests), self.root.1.max(bad));
            return Ok(());
        }
        if self.suites.is_empty() {
            self.outermost.0 = self.outermost.0.saturating_add(tests);
            self.outermost.1 = self.outermost.1.saturating_add(bad);
        }
        self.suites.push(attribute(element, "name")?.unwrap_or_default());
        Ok(())
    }

    // The worst word on a test stands: a runner may write both.
    fn mark(&mut self, open: &[String], mark: Case) {
        // Directly in a test: `<failure>` elsewhere, as in a flaky run, is not the result.
        let direct = open.last().is_some_and(|around| around == "testcase");
        if let Some((_, case)) = self.case.as_mut().filter(|_| direct)
            && *case != Case::Failed
        {
            *case = mark;
        }
    }

    fn finish(self) -> Result<Tests, Error> {
        let mut tests = self.tests;
        let held = tests.passed + tests.failed + tests.skipped;
        let announced = self.root.0.max(self.outermost.0);
        if announced > held {
            return Err(Error::Incomplete { what: "tests", announced, held });
        }
        // A failure that is only announced is still one.
        let bad = self.root.1.max(self.outermost.1);
        if bad > tests.failed {
            tests.passed = tests.passed.saturating_sub(bad - tests.failed);
            tests.failed = bad;
        }
        Ok(tests)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::verdict::Outcome;

    use crate::{Error, Licences};

    fn read(bytes: &[u8]) -> Result<tidegate_core::fact::Tests, Error> {
        match crate::read(tidegate_core::fact::Format::Junit, bytes, &Licences::default())? {
            tidegate_core::fact::Fact::Tests(tests) => Ok(tests),
            other => panic!("{other:?}"),
        }
    }

    const PYTEST: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="0" failures="1" skipped="1" tests="3" time="0.1">
<testcase classname="t" name="test_a" time="0.001" />
<testcase classname="t" name="test_b"><failure message="assert 1 == 2">no</failure></testcase>
<testcase classname="t" name="test_c"><skipped message="later"/></testcase>
</testsuite></testsuites>"#;

    #[test]
    fn counts_what_ran_and_names_what_failed() {
        let tests = read(PYTEST.as_bytes()).unwrap();
        assert_eq!((tests.passed, tests.failed, tests.skipped), (1, 1, 1));
        assert_eq!(tests.outcome(), Outcome::Fail);
        assert!(tests.summary().ends_with("first failing: pytest > test_b"), "{}", tests.summary());
    }

    #[test]
    fn one_suite_may_be_the_whole_report() {
        let surefire = r#"<testsuite name="s" tests="2" failures="0" errors="0">
            <testcase name="a"/><testcase name="b"/></testsuite>"#;
        let tests = read(surefire.as_bytes());
        assert_eq!(tests.map(|tests| tests.outcome()), Ok(Outcome::Pass));
    }

    #[test]
    fn suites_in_suites_and_times_without_a_zone_are_read() {
        let report = r#"<testsuites tests="3" time="1,234.5">
            <testsuite name="outer" tests="3" failures="1" timestamp="2026-01-01T10:00:00">
            <testcase name="a"><system-out><![CDATA[<failure>]]></system-out></testcase>
            <testcase name="b"><flakyFailure><failure/></flakyFailure></testcase>
            <testsuite name="inner" tests="1" failures="1"><testcase name="c">
            <failure/></testcase></testsuite></testsuite></testsuites>"#;
        let tests = read(report.as_bytes()).unwrap();
        assert_eq!((tests.passed, tests.failed), (2, 1));
        assert_eq!(tests.failing, ["inner > c"]);
        assert_eq!(tests.flaky, 1);
    }

    #[test]
    fn nothing_that_ran_is_no_evidence() {
        let none = r#"<testsuites tests="0" failures="0" errors="0"></testsuites>"#;
        let empty = r#"<testsuites><testsuite name="s" tests="0" failures="0"/></testsuites>"#;
        let skipped = r#"<testsuites><testsuite name="s" tests="1">
            <testcase name="a"><skipped/></testcase></testsuite></testsuites>"#;
        for report in [none, empty, skipped] {
            let outcome = read(report.as_bytes()).map(|tests| tests.outcome());
            assert_eq!(outcome, Ok(Outcome::NoData), "{report}");
        }
    }

    #[test]
    fn a_cut_off_report_is_no_evidence() {
        for end in 0..PYTEST.len() {
            if PYTEST.is_char_boundary(end) {
                assert!(read(&PYTEST.as_bytes()[..end]).is_err(), "cut at {end}");
            }
        }
        let surefire = r#"<testsuite name="s"><testcase name="a"/></testsuite>"#;
        for end in 0..surefire.len() {
            assert!(read(&surefire.as_bytes()[..end]).is_err(), "cut at {end}");
        }
        let lost = PYTEST.replace("tests=\"3\"", "tests=\"9\"");
        assert_eq!(
            read(lost.as_bytes()),
            Err(Error::Incomplete { what: "tests", announced: 9, held: 3 })
        );
    }

    #[test]
    fn a_failure_that_is_only_announced_counts() {
        let report = r#"<testsuites><testsuite name="s" tests="2" errors="1">
            <testcase name="a"/><testcase name="b"/></testsuite></testsuites>"#;
        assert_eq!(read(report.as_bytes()).unwrap().outcome(), Outcome::Fail);
    }

    #[test]
    fn hostile_reports_are_refused() {
        assert_eq!(read(b"\xff"), Err(Error::NotText));
        assert_eq!(read("<testsuites>".repeat(100_000).as_bytes()), Err(Error::TooDeep));
        assert!(read(b"<html>no</html>").is_err());
        assert!(read(b"{}").is_err());
        assert!(read(b"<!DOCTYPE x [<!ENTITY a \"b\">]><testsuites/>").is_err());
        assert!(read(b"<testsuites/><testsuites/>").is_err());
    }
}
