//! Test Anything Protocol, versions 12 to 14: `1..3`, `ok 1 - adds`, `not ok 2 - fails # TODO`.
//! Must never count a subtest beside its parent, nor take a stream without its plan for whole.

use std::io::BufRead;

use tidegate_core::fact::Tests;

use crate::{Error, broken};

/// Longest line, bytes: descriptions and diagnostics are lines of a terminal.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Reads a stream.
///
/// # Errors
/// [`Error`] when it bails out, has no plan, or holds fewer tests than planned.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Tests, Error> {
    let mut reading = Reading::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count =
            from.read_until(b'\n', &mut line).map_err(|error| Error::Broken(error.to_string()))?;
        if count == 0 {
            return reading.finish();
        }
        if count > LINE_BYTES_MAX {
            return Err(Error::TextTooLong);
        }
        reading.whole_line = line.ends_with(b"\n");
        let text = std::str::from_utf8(&line).map_err(|_invalid| Error::NotText)?;
        reading.take(text.trim_start_matches('\u{feff}').trim_end())?;
    }
}

#[derive(Debug, Default)]
struct Reading {
    tests: Tests,
    plan: Option<u64>,
    // A diagnostic block between `---` and `...` is not looked at.
    in_block: bool,
    whole_line: bool,
}

impl Reading {
    fn take(&mut self, line: &str) -> Result<(), Error> {
        let inner = line.trim_start();
        if self.in_block {
            self.in_block = inner != "...";
            return Ok(());
        }
        if inner == "---" {
            self.in_block = true;
            return Ok(());
        }
        if let Some(why) = line.strip_prefix("Bail out!") {
            return Err(Error::Unfinished(why.trim().chars().take(200).collect()));
        }
        // Indented lines are subtests: their parent counts.
        if line.starts_with([' ', '\t']) || line.starts_with('#') || line.starts_with("TAP version")
        {
            return Ok(());
        }
        if let Some(plan) = line.strip_prefix("1..") {
            return self.planned(plan);
        }
        let (passed, rest) = match (line.strip_prefix("not ok"), line.strip_prefix("ok")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Ok(()),
        };
        if rest.is_empty() || rest.starts_with(' ') {
            self.test(passed, rest.trim());
        }
        Ok(())
    }

    fn planned(&mut self, plan: &str) -> Result<(), Error> {
        let number = plan.split_whitespace().next().unwrap_or_default();
        let count = number.parse().map_err(|_odd| broken("its plan is no number"))?;
        if self.plan.replace(count).is_some() {
            return Err(broken("it has two plans"));
        }
        Ok(())
    }

    fn test(&mut self, passed: bool, rest: &str) {
        let (text, directive) = match rest.rsplit_once(" # ") {
            Some((text, directive)) => (text, directive.trim().to_ascii_uppercase()),
            None => match rest.strip_prefix("# ") {
                Some(directive) => ("", directive.to_ascii_uppercase()),
                None => (rest, String::new()),
            },
        };
        // What is to be done is expected to fail, so it says nothing.
        if directive.starts_with("SKIP") || directive.starts_with("TODO") {
            self.tests.skipped += 1;
        } else if passed {
            self.tests.passed += 1;
        } else {
            let name = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
            self.tests.fail(name.strip_prefix("- ").unwrap_or(name).to_owned());
        }
    }

    fn finish(self) -> Result<Tests, Error> {
        let Some(announced) = self.plan else {
            return Err(broken("it has no plan, `1..N`: it may be cut off"));
        };
        let held = self.tests.passed + self.tests.failed + self.tests.skipped;
        if self.in_block || !self.whole_line {
            return Err(broken("it is cut off"));
        }
        if announced == held {
            return Ok(self.tests);
        }
        Err(Error::Incomplete { what: "tests", announced, held })
    }
}
