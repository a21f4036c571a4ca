//! What every Rust file must begin with and must not contain.
//!
//! Words inside string literals are not looked at: a rule about code reads code. This file must
//! never become a second clippy; it holds only what clippy cannot say.

use super::finding::Finding;
use super::rust_text::{is_test_file, tests_begin, views};

const MEND_OPENING: &str = "begin with `//!`: what the file is and what it must never do";
const MEND_MOD: &str = "name it after its main noun: foo.rs beside the folder foo/";
const MEND_FIXME: &str = "mend it before it merges, or open an issue and write what is true today";
const MEND_TODO: &str = "write the code, or return an error that says what is missing";
const MEND_IGNORE: &str =
    "make the test run everywhere, or delete it: an ignored test proves nothing";
const MEND_SLEEP: &str =
    "wait for the thing itself; a poll takes tokio::time::interval under tokio::time::timeout";

/// Checks the first line and the file name.
pub(crate) fn opening(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//! ") {
        findings.push(Finding::new(path, 1, "the file does not say what it is", MEND_OPENING));
    }
    if path.ends_with("/mod.rs") {
        findings.push(Finding::new(path, 1, "a file named mod.rs", MEND_MOD));
    }
    findings
}

/// Checks for words that may not be merged.
pub(crate) fn forbidden(path: &str, text: &str) -> Vec<Finding> {
    let views = views(text);
    let tests = if is_test_file(path) { 0 } else { tests_begin(text) };
    let mut findings = Vec::new();
    let mut report = |at: usize, what: &str, mend| {
        findings.push(Finding::new(path, at + 1, what, mend));
    };
    for (at, line) in views.comments.lines().enumerate() {
        if has_word(line, "FIXME") {
            report(at, "an open FIXME", MEND_FIXME);
        }
    }
    for (at, line) in views.code.lines().enumerate() {
        if has_word(line, "todo!") || has_word(line, "unimplemented!") {
            report(at, "an unwritten branch", MEND_TODO);
        }
        if line.contains("#[ignore") {
            report(at, "an ignored test", MEND_IGNORE);
        }
        let blocks = line.contains("thread::sleep");
        if blocks || (at >= tests && has_word(line, "sleep(")) {
            report(at, "a sleep", MEND_SLEEP);
        }
    }
    findings
}

/// Whether `word` stands in the line without a letter, digit or underscore before it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(path: &str, text: &str) -> Vec<(usize, String)> {
        forbidden(path, text).into_iter().map(|found| (found.line, found.what)).collect()
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert!(opening("a.rs", "//! A thing.\n").is_empty());
        assert_eq!(opening("a.rs", "// A thing.\n").len(), 1);
        assert_eq!(opening("a.rs", "\n//! A thing.\n").len(), 1);
        assert_eq!(opening("a/mod.rs", "//! A thing.\n")[0].mend, MEND_MOD);
    }

    #[test]
    fn open_ends_fail() {
        assert_eq!(whats("a.rs", "x();\n// FIXME later\n"), [(2, "an open FIXME".to_owned())]);
        assert_eq!(whats("a.rs", "fn f() { todo!() }"), [(1, "an unwritten branch".to_owned())]);
        assert_eq!(whats("a.rs", "#[ignore = \"slow\"]\n"), [(1, "an ignored test".to_owned())]);
    }

    #[test]
    fn words_in_literals_pass() {
        assert!(whats("a.rs", "let a = \"FIXME todo!() #[ignore] thread::sleep\";").is_empty());
    }

    #[test]
    fn sleeps_fail_in_tests_and_blocking_ones_everywhere() {
        let waits = "tokio::time::sleep(d).await;";
        assert!(whats("crates/x/src/a.rs", waits).is_empty());
        assert_eq!(whats("crates/x/tests/it/a.rs", waits).len(), 1);
        let unit = format!("//! x\n#[cfg(test)]\nmod tests {{ {waits} }}");
        assert_eq!(whats("crates/x/src/a.rs", &unit), [(3, "a sleep".to_owned())]);
        assert_eq!(whats("crates/x/src/a.rs", "std::thread::sleep(d);").len(), 1);
        assert!(whats("crates/x/tests/it/a.rs", "clock.until_sleep(d)").is_empty());
    }
}
