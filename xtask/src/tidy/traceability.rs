//! The table of demands: every row readable, no row lost, every named test real.
//!
//! The status of a row is a person's claim; this file only sees to it that a claim names a proof.
//! It must never let the number of demands shrink.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::rust_text::{identifiers, views};
use super::table::{self, Page};
use super::tree::Tree;

const TABLE: &str = "docs/reference/traceability.md";

/// How many demands each chapter of the five process documents makes.
const CHAPTERS: &[(&str, u16)] = &[
    ("A", 15),
    ("B", 5),
    ("C", 8),
    ("D", 13),
    ("E", 15),
    ("F", 8),
    ("G", 10),
    ("H", 5),
    ("I", 9),
    ("J", 12),
    ("K", 9),
    ("L", 9),
    ("M", 5),
    ("N", 25),
    ("O", 11),
    ("P", 10),
    ("Q", 3),
    ("R", 7),
];

/// The findings of the documents that `tidegate check` must make.
const LINTS: std::ops::RangeInclusive<u16> = 2001..=2027;

/// Words of the demand column: a row is a reminder, not the demand itself.
const DEMAND_WORDS_MAX: usize = 12;

/// Lines above a function in which its test attribute may stand.
const ATTRIBUTE_LINES: usize = 6;

const PAGE: Page = Page {
    path: TABLE,
    mend_row: "write `| id | served, partial or next | demand | where | test |`",
    mend_lost: "put the row back; a demand that is dropped is dropped in the status column, with a reason",
};
const MEND_WORDS: &str = "say it in at most 12 words";
const MEND_PROOF: &str =
    "name a test: `path/to/file.rs::function`, `path/to/file` or `function`, in backticks";
const MEND_TEST: &str = "name a test that is in the tree, or set the row to next";
const MEND_WHERE: &str = "name a file or folder that is in the tree, or set the row to next";

#[derive(Debug)]
struct Row<'a> {
    line: usize,
    id: &'a str,
    status: &'a str,
    demand: &'a str,
    place: &'a str,
    test: &'a str,
}

impl table::Row for Row<'_> {
    fn line(&self) -> usize {
        self.line
    }

    fn id(&self) -> &str {
        self.id
    }
}

/// Checks the whole table against the tree.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let proofs = Proofs::of(tree);
    PAGE.check(rows(tree.text(TABLE)), expected(), |row: &Row<'_>| judge(row, &proofs))
}

/// Every id that must have a row.
fn expected() -> impl Iterator<Item = String> {
    let demands =
        CHAPTERS.iter().flat_map(|(letter, n)| (1..=*n).map(move |i| format!("{letter}{i}")));
    demands.chain(LINTS.map(|code| format!("TG{code}")))
}

/// The rows of every table in the text. An unreadable row is an `Err` with its line.
fn rows(text: &str) -> impl Iterator<Item = Result<Row<'_>, usize>> {
    table::cells(text).map(|(line, cells)| {
        let [id, status, demand, place, test] = cells.ok_or(line)?;
        Ok(Row { line, id, status, demand, place, test })
    })
}

fn judge(row: &Row<'_>, proofs: &Proofs<'_>) -> Vec<Finding> {
    let report = |what: String, mend| Finding::new(TABLE, row.line, what, mend);
    let mut findings = Vec::new();
    let words = row.demand.split_whitespace().count();
    if words == 0 || words > DEMAND_WORDS_MAX {
        findings.push(report(format!("{} says its demand in {words} words", row.id), MEND_WORDS));
    }
    if !matches!(row.status, "served" | "partial" | "next") {
        findings.push(report(format!("{} has the status {:?}", row.id, row.status), PAGE.mend_row));
    }
    if row.status == "next" {
        return findings;
    }
    let named: Vec<&str> = quoted(row.test).collect();
    if named.is_empty() {
        findings.push(report(format!("{} is {} without a proof", row.id, row.status), MEND_PROOF));
    }
    for name in named.into_iter().filter(|name| !proofs.has(name)) {
        findings.push(report(
            format!("{} names the test {name}, which is not there", row.id),
            MEND_TEST,
        ));
    }
    for place in quoted(row.place).filter(|place| place.contains('/') && !proofs.has_path(place)) {
        findings
            .push(report(format!("{} lives in {place}, which is not there", row.id), MEND_WHERE));
    }
    findings
}

/// What stands in backticks.
pub(crate) fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Everything that can prove a row: files, folders and test functions.
pub(crate) struct Proofs<'a> {
    paths: BTreeSet<&'a str>,
    functions: BTreeMap<String, BTreeSet<&'a str>>,
}

impl<'a> Proofs<'a> {
    pub(crate) fn of(tree: &'a Tree) -> Proofs<'a> {
        let mut functions: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for file in tree.files.iter().filter(|file| file.is_rust()) {
            for name in tests_in(file.text.as_deref().unwrap_or("")) {
                functions.entry(name).or_default().insert(&file.path);
            }
        }
        Proofs { paths: tree.paths_and_folders(), functions }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        match name.rsplit_once("::") {
            Some((path, function)) => {
                self.functions.get(function).is_some_and(|files| files.contains(path))
            }
            None => self.functions.contains_key(name) || self.has_path(name),
        }
    }

    fn has_path(&self, path: &str) -> bool {
        self.paths.contains(path.trim_end_matches('/'))
    }
}

/// The names of the functions that carry a test attribute.
fn tests_in(text: &str) -> Vec<String> {
    if !text.contains("test") {
        return Vec::new();
    }
    let code = views(text).code;
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let mut words = identifiers(line).map(|(_, word)| word).skip_while(|word| *word != "fn");
        let Some(name) = words.nth(1) else { continue };
        let above = lines.get(at.saturating_sub(ATTRIBUTE_LINES)..=at).unwrap_or_default();
        let own = above.iter().rev().skip(1).take_while(|line| !line.contains('}'));
        if own.into_iter().chain([line]).any(|line| line.contains("#[") && line.contains("test")) {
            found.push(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: (&str, &str) = (
        "crates/x/tests/it/split.rs",
        "//! x\n#[tokio::test]\nasync fn nobody_flips_back() {}\nfn plain() {}\n",
    );

    fn with_row(row: &str) -> Vec<Finding> {
        let others = expected().filter(|id| id != "J2");
        let mut table: String =
            others.map(|id| format!("| {id} | next | later | - | - |\n")).collect();
        table.insert_str(0, "| id | status | demand | where | test |\n|---|---|---|---|---|\n");
        table.push_str(row);
        all(&Tree::of(&[(TABLE, &table), TEST]))
    }

    #[test]
    fn a_proven_row_passes() {
        for proof in [
            "`nobody_flips_back`",
            "`crates/x/tests/it/split.rs`",
            "`crates/x/tests/it/split.rs::nobody_flips_back`",
        ] {
            let found =
                with_row(&format!("| J2 | served | sticky cohorts | `crates/x` | {proof} |\n"));
            assert!(found.is_empty(), "{proof}: {found:?}");
        }
    }

    #[test]
    fn a_claim_without_a_real_proof_fails() {
        for proof in
            ["-", "`plain`", "`invented`", "`crates/y/a.rs`", "`crates/x/tests/it/split.rs::plain`"]
        {
            let found =
                with_row(&format!("| J2 | partial | sticky cohorts | `crates/x` | {proof} |\n"));
            assert_eq!(found.len(), 1, "{proof}");
        }
    }

    #[test]
    fn a_place_that_is_not_there_fails() {
        let found = with_row("| J2 | served | sticky | `crates/y/src` | `nobody_flips_back` |\n");
        assert_eq!(found[0].mend, MEND_WHERE);
    }

    #[test]
    fn broken_lost_and_doubled_rows_fail() {
        assert_eq!(with_row("").first().map(|f| f.mend), Some(PAGE.mend_lost));
        assert!(with_row("| J2 | next | a | b |\n").iter().any(|f| f.mend == PAGE.mend_row));
        assert_eq!(with_row("| J2 | done | a | - | - |\n").len(), 2);
        assert_eq!(with_row("| J2 | next | a | - | - |\n| J2 | next | a | - | - |\n").len(), 1);
    }

    #[test]
    fn a_long_demand_fails() {
        let long = "word ".repeat(13);
        assert_eq!(with_row(&format!("| J2 | next | {long} | - | - |\n"))[0].mend, MEND_WORDS);
    }

    #[test]
    fn there_are_179_demands_and_27_lints() {
        assert_eq!(expected().count(), 179 + 27);
    }
}
