//! Every error code that the product can print has its page, and every page its code.
//!
//! A code counts when a source file outside the tests names it, also in a comment. This file must
//! never accept a page without the three things a person needs: what happened, what became of the
//! traffic, what to do.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::rust_text::{is_test_file, tests_begin};
use super::tree::Tree;

const PAGES: &str = "docs/errors/";
const HEADINGS: &[&str] =
    &["## What happened", "## What Tidegate did with traffic", "## What to do"];

const MEND_PAGE: &str = "write docs/errors/CODE.md with the three headings";
const MEND_ORPHAN: &str = "delete the page, or name the code where it is printed";
const MEND_HEADINGS: &str =
    "write a title with the code, then the three headings in order, each with a sentence below it";
const MEND_PLACE: &str = "name the page TG, four digits, .md";

/// Checks the bijection and the form of each page.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let mut named: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    let mut pages: BTreeMap<&str, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in &tree.files {
        let text = file.text.as_deref().unwrap_or("");
        if let Some(page) = file.path.strip_prefix(PAGES) {
            match page.strip_suffix(".md") {
                Some("README") => {}
                Some(code) if codes_in(code).next() == Some(code) && code.len() == 6 => {
                    findings.extend(form(&file.path, code, text));
                    pages.insert(code, &file.path);
                }
                _ => {
                    findings.push(Finding::new(&file.path, 1, "not the page of a code", MEND_PLACE))
                }
            }
        } else if file.is_rust() && file.path.starts_with("crates/") && !is_test_file(&file.path) {
            for (at, line) in text.lines().enumerate().take(tests_begin(text)) {
                for code in codes_in(line) {
                    named.entry(code.to_owned()).or_insert((&file.path, at + 1));
                }
            }
        }
    }
    for (code, (path, line)) in &named {
        if !pages.contains_key(code.as_str()) {
            findings.push(Finding::new(path, *line, format!("{code} has no page"), MEND_PAGE));
        }
    }
    for (code, path) in &pages {
        if !named.contains_key(*code) {
            findings.push(Finding::new(path, 1, format!("nothing prints {code}"), MEND_ORPHAN));
        }
    }
    findings
}

/// The codes in a line: `TG` and exactly four digits, not part of a longer word.
fn codes_in(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("TG").filter_map(move |(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        let code = line.get(at..at + 6)?;
        let after = line.get(at + 6..).and_then(|tail| tail.chars().next());
        let digits = code.chars().skip(2).all(|c| c.is_ascii_digit());
        let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
        (digits && !joined(before) && !joined(after)).then_some(code)
    })
}

/// Checks the headings of one page: all three, in order, none empty.
fn form(path: &str, code: &str, text: &str) -> Option<Finding> {
    let titled =
        text.lines().next().is_some_and(|line| line.starts_with("# ") && line.contains(code));
    let found: Vec<&str> =
        text.lines().filter(|line| line.starts_with("## ")).map(str::trim).collect();
    let mut sections = text.split("\n## ").skip(1);
    let filled =
        sections.all(|section| section.lines().skip(1).any(|line| !line.trim().is_empty()));
    if titled && found == HEADINGS && filled {
        return None;
    }
    Some(Finding::new(path, 1, "the page is not of the form", MEND_HEADINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TG1001: a title\n\n## What happened\nA.\n\n## What Tidegate did with traffic\nB.\n\n## What to do\nC.\n";

    #[test]
    fn a_code_with_its_page_passes() {
        let tree =
            Tree::of(&[("crates/x/src/a.rs", "\"TG1001\""), ("docs/errors/TG1001.md", PAGE)]);
        assert!(all(&tree).is_empty());
    }

    #[test]
    fn either_half_alone_fails() {
        assert_eq!(all(&Tree::of(&[("crates/x/src/a.rs", "\"TG1001\"")]))[0].mend, MEND_PAGE);
        assert_eq!(all(&Tree::of(&[("docs/errors/TG1001.md", PAGE)]))[0].mend, MEND_ORPHAN);
    }

    #[test]
    fn a_code_in_tests_needs_no_page_and_saves_none() {
        let unit = "//! x\n#[cfg(test)]\nmod tests { \"TG9999\" }";
        assert!(all(&Tree::of(&[("crates/x/src/a.rs", unit)])).is_empty());
        let tree =
            Tree::of(&[("crates/x/tests/it/a.rs", "TG1001"), ("docs/errors/TG1001.md", PAGE)]);
        assert_eq!(all(&tree)[0].mend, MEND_ORPHAN);
    }

    #[test]
    fn a_page_has_its_title_and_three_filled_headings() {
        for (gone, instead) in
            [("## What to do\nC.\n", ""), ("A.\n", ""), ("# TG1001: ", "# "), ("happened", "was")]
        {
            let page = PAGE.replacen(gone, instead, 1);
            let tree =
                Tree::of(&[("crates/x/src/a.rs", "TG1001"), ("docs/errors/TG1001.md", &page)]);
            assert_eq!(all(&tree).len(), 1, "without {gone:?}");
        }
    }

    #[test]
    fn only_whole_codes_count() {
        let found: Vec<&str> = codes_in("TG1001, TG10012, XTG1003 (TG2004) TGxxxx").collect();
        assert_eq!(found, ["TG1001", "TG2004"]);
    }
}
