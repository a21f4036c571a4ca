//! How long a file may be without its tests, and the list of old sinners.
//!
//! The list is a ratchet: a number in it may fall and a line may go. This file must never let a
//! number be higher than the file needs.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::rust_text;
use super::tree::Tree;

/// Lines of a file before its tests. More than a person holds in mind at once.
const LINES_MAX: usize = 600;

/// `path lines` a line, `#` starts a comment.
pub(crate) const NAUGHTY_FILE: &str = "xtask/allow/long-files.txt";

const MEND_LONG: &str = "split it along its nouns";
const MEND_RATCHET: &str = "lower the number in xtask/allow/long-files.txt, or delete the line";
const MEND_LIST: &str = "write `path lines`, for a file that exists";

/// Lines that count: everything before the tests.
fn counted(path: &str, text: &str) -> usize {
    if rust_text::is_test_file(path) {
        return 0;
    }
    text.lines().count().min(rust_text::tests_begin(text))
}

/// Checks every Rust file of the tree.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let mut sinners = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, line) in tree.text(NAUGHTY_FILE).lines().enumerate() {
        let entry = line.split('#').next().unwrap_or("").trim();
        if entry.is_empty() {
            continue;
        }
        let parsed =
            entry.split_once(' ').and_then(|(path, n)| Some((path, n.trim().parse().ok()?)));
        match parsed {
            Some((path, allowed)) if !tree.text(path).is_empty() => {
                sinners.insert(path, (at + 1, allowed));
            }
            _ => findings.push(Finding::new(NAUGHTY_FILE, at + 1, "unreadable entry", MEND_LIST)),
        }
    }
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let lines = counted(&file.path, file.text.as_deref().unwrap_or(""));
        findings.extend(judge(&file.path, lines, sinners.get(file.path.as_str()).copied()));
    }
    findings
}

/// Judges one file; `listed` is its line in the list and the number there.
fn judge(path: &str, lines: usize, listed: Option<(usize, usize)>) -> Option<Finding> {
    let allowed = listed.map_or(LINES_MAX, |(_, allowed)| allowed);
    if lines > allowed {
        let what = format!("{lines} lines without tests, allowed are {allowed}");
        return Some(Finding::new(path, allowed + 1, what, MEND_LONG));
    }
    let (entry, allowed) = listed?;
    if lines < allowed {
        let what = format!("{path} has {lines} lines, the list allows {allowed}");
        return Some(Finding::new(NAUGHTY_FILE, entry, what, MEND_RATCHET));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count() {
        let text = format!(
            "//! x\n{}#[cfg(test)]\nmod tests {{\n{}",
            "a\n".repeat(599),
            "b\n".repeat(900)
        );
        assert!(all(&Tree::of(&[("crates/x/src/a.rs", &text)])).is_empty());
        let long = "a\n".repeat(601);
        assert_eq!(all(&Tree::of(&[("crates/x/src/a.rs", &long)])).len(), 1);
        assert!(all(&Tree::of(&[("crates/x/tests/it/a.rs", &long)])).is_empty());
    }

    #[test]
    fn the_list_is_a_ratchet() {
        let long = "a\n".repeat(650);
        let with = |entry: &str| all(&Tree::of(&[("a.rs", &long), (NAUGHTY_FILE, entry)]));
        assert!(with("a.rs 650 # why\n").is_empty());
        assert_eq!(with("a.rs 640\n")[0].mend, MEND_LONG);
        assert_eq!(with("a.rs 660\n")[0].mend, MEND_RATCHET);
        assert_eq!(with("a.rs 650\ngone.rs 700\n")[0].mend, MEND_LIST);
    }
}
