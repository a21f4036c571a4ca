//! Test reports in JUnit's XML, as almost every test runner writes them.
//!
//! A report is evidence only when it is whole and holds tests that ran. An empty one, one whose
//! tests were all skipped, and one that announces more than it holds are no evidence.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use tidegate_core::verdict::Outcome;

/// Largest report read, in bytes: some 100,000 tests.
pub const REPORT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Most failing tests that are named.
pub const FAILING_MAX: usize = 20;
/// Deepest nesting of elements: real reports have four levels.
const DEPTH_MAX: usize = 32;

/// Why a report cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not text.
    #[error("the report is not UTF-8")]
    NotText,
    /// It is larger than [`REPORT_BYTES_MAX`].
    #[error("the report has {0} bytes, more than {REPORT_BYTES_MAX}")]
    TooLarge(u64),
    /// It is nested deeper than any real one.
    #[error("the report is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It is empty, cut off, or not JUnit's XML.
    #[error("the report cannot be read: {0}")]
    Broken(String),
    /// It announces more tests than it holds.
    #[error("the report announces {announced} tests and holds {held}")]
    Incomplete {
        /// By its attributes.
        announced: u64,
        /// By its elements.
        held: u64,
    },
}

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// Tests that passed, flaky ones included.
    pub passed: u64,
    /// Tests that failed or broke.
    pub failed: u64,
    /// Tests that did not run.
    pub skipped: u64,
    /// Names of failing tests, at most [`FAILING_MAX`].
    pub failing: Vec<String>,
}

impl Tests {
    /// Fail when a test failed, no-data when none ran, else pass.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.failed > 0 {
            Outcome::Fail
        } else if self.passed == 0 {
            Outcome::NoData
        } else {
            Outcome::Pass
        }
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { passed, failed, skipped, .. } = self;
        let counts = format!("{passed} passed, {failed} failed, {skipped} skipped");
        match self.failing.first() {
            Some(first) => format!("{counts}; first failing: {first}"),
            None => counts,
        }
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`]: the report is no evidence then, neither good nor bad.
pub fn read(bytes: &[u8]) -> Result<Tests, Error> {
    if bytes.len() as u64 > REPORT_BYTES_MAX {
        return Err(Error::TooLarge(bytes.len() as u64));
    }
    let text = std::str::from_utf8(bytes).map_err(|_invalid| Error::NotText)?;
    let mut reading = Reading::default();
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    loop {
        match reader.read_event().map_err(|error| Error::Broken(error.to_string()))? {
            Event::Start(element) => reading.open(&element)?,
            Event::Empty(element) => {
                reading.open(&element)?;
                reading.close();
            }
            // That the names match is checked by the parser.
            Event::End(_) => reading.close(),
            Event::Eof => return reading.finish(),
            Event::DocType(_) => return Err(broken("it declares a document type")),
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

fn broken(why: &str) -> Error {
    Error::Broken(why.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Passed,
    Failed,
    Skipped,
}

// Element by element, without recursion: a hostile report must not use up the stack.
#[derive(Debug, Default)]
struct Reading {
    // Names of the open elements; of a suite, its own name follows after a blank.
    open: Vec<String>,
    case: Option<(String, Case)>,
    tests: Tests,
    roots: u32,
    // Announced by the root, and by the sum of the outermost suites. Runners that put suites into
    // suites count inner tests in the outer ones as well, so inner attributes add nothing.
    root: (u64, u64),
    outermost: (u64, u64),
}

impl Reading {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Error> {
        let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
        if self.open.len() >= DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        if self.open.is_empty() {
            self.roots += 1;
            if self.roots > 1 || !matches!(&*name, "testsuites" | "testsuite") {
                return Err(broken("it has another root than one of test suites"));
            }
        }
        match &*name {
            "testsuites" | "testsuite" => self.open_suite(&name, element)?,
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
            "failure" | "error" => self.mark(Case::Failed),
            "skipped" => self.mark(Case::Skipped),
            _ => {}
        }
        if name == "testsuite" {
            let own = attribute(element, "name")?.unwrap_or_default();
            self.open.push(format!("{name} {own}"));
        } else {
            self.open.push(name);
        }
        Ok(())
    }

    fn open_suite(&mut self, name: &str, element: &BytesStart<'_>) -> Result<(), Error> {
        let number = |key| {
            let text = attribute(element, key)?.unwrap_or_default();
            if text.is_empty() {
                return Ok(0);
            }
            text.parse::<u64>().map_err(|_no_number| broken("a count is not a number"))
        };
        let tests = number("tests")?;
        let bad = number("failures")?.saturating_add(number("errors")?);
        let inside = self.open.iter().any(|open| open.starts_with("testsuite "));
        if name == "testsuites" {
            self.root = (self.root.0.max(tests), self.root.1.max(bad));
        } else if !inside {
            self.outermost.0 = self.outermost.0.saturating_add(tests);
            self.outermost.1 = self.outermost.1.saturating_add(bad);
        }
        Ok(())
    }

    // The worst word on a test stands: a runner may write both.
    fn mark(&mut self, mark: Case) {
        // Directly in a test: `<failure>` elsewhere, as in a flaky run, is not the result.
        let direct = self.open.last().is_some_and(|open| open == "testcase");
        if let Some((_, case)) = self.case.as_mut().filter(|_| direct)
            && *case != Case::Failed
        {
            *case = mark;
        }
    }

    fn close(&mut self) {
        if self.open.pop().as_deref() != Some("testcase") {
            return;
        }
        let Some((name, case)) = self.case.take() else { return };
        match case {
            Case::Passed => self.tests.passed += 1,
            Case::Skipped => self.tests.skipped += 1,
            Case::Failed => {
                self.tests.failed += 1;
                if self.tests.failing.len() < FAILING_MAX {
                    let mut suites = self.open.iter().rev();
                    let suite = suites.find_map(|open| open.strip_prefix("testsuite "));
                    self.tests.failing.push(format!("{} > {name}", suite.unwrap_or_default()));
                }
            }
        }
    }

    fn finish(self) -> Result<Tests, Error> {
        let mut tests = self.tests;
        if self.roots == 0 || !self.open.is_empty() {
            return Err(broken("it is empty or cut off"));
        }
        let held = tests.passed + tests.failed + tests.skipped;
        let announced = self.root.0.max(self.outermost.0);
        if announced > held {
            return Err(Error::Incomplete { announced, held });
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

fn attribute(element: &BytesStart<'_>, key: &str) -> Result<Option<String>, Error> {
    let found = element.try_get_attribute(key).map_err(|error| Error::Broken(error.to_string()))?;
    Ok(found.map(|attribute| String::from_utf8_lossy(&attribute.value).into_owned()))
}

#[cfg(test)]
mod tests {
    use tidegate_core::verdict::Outcome;

    use super::{Error, read};

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
        assert_eq!(read(lost.as_bytes()), Err(Error::Incomplete { announced: 9, held: 3 }));
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
