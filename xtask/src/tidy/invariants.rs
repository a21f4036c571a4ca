//! The table of invariants: none lost, and every named test real. A row without a test is allowed
//! and has to say so. It must never let the number of invariants shrink.

use super::finding::Finding;
use super::table::{self, Page};
use super::traceability::{Proofs, quoted};
use super::tree::Tree;

/// The page.
pub(crate) const TABLE: &str = "docs/reference/invariants.md";
/// What must never happen, and what must happen in the end.
const FAMILIES: [(char, u16); 2] = [('S', 27), ('L', 6)];
/// What stands where a row has nothing.
const NOTHING: &str = "-";

const PAGE: Page = Page {
    path: TABLE,
    mend_row: "write `| id | invariant | checked at run time by | tests |`",
    mend_lost: "put the row back; an invariant without a test says `-` and stays",
};
const MEND_TEST: &str = "name a test that is in the tree, or `-`";

/// One invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) line: usize,
    pub(crate) id: &'a str,
    pub(crate) words: &'a str,
    pub(crate) check: &'a str,
    pub(crate) tests: Vec<&'a str>,
}

impl table::Row for Row<'_> {
    fn line(&self) -> usize {
        self.line
    }

    fn id(&self) -> &str {
        self.id
    }
}

/// The rows of the page, in its order; a row that cannot be read is an `Err` with its line.
pub(crate) fn rows(text: &str) -> impl Iterator<Item = Result<Row<'_>, usize>> {
    table::cells(text).map(|(line, cells)| {
        let [id, words, check, tests] = cells.ok_or(line)?;
        let named: Vec<&str> = quoted(tests).collect();
        if named.is_empty() && tests != NOTHING {
            return Err(line);
        }
        Ok(Row { line, id, words, check, tests: named })
    })
}

/// Checks the table against the tree.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let proofs = Proofs::of(tree);
    PAGE.check(rows(tree.text(TABLE)), expected(), |row: &Row<'_>| {
        let unknown = row.tests.iter().filter(|name| !proofs.has(name));
        let what = |name| format!("{} names the test {name}, which is not there", row.id);
        unknown.map(|name| Finding::new(TABLE, row.line, what(name), MEND_TEST)).collect()
    })
}

fn expected() -> impl Iterator<Item = String> {
    FAMILIES
        .into_iter()
        .flat_map(|(letter, count)| (1..=count).map(move |n| format!("{letter}{n}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(tests: &str) -> String {
        let rows: String =
            expected().map(|id| format!("| {id} | something | nothing | - |\n")).collect();
        rows.replacen("| - |", &format!("| {tests} |"), 1)
    }

    #[test]
    fn a_lost_row_and_a_test_that_is_not_there_are_found() {
        let good = table("-");
        assert_eq!(all(&Tree::of(&[(TABLE, &good)])), []);
        let lost: String = good.lines().skip(1).map(|line| format!("{line}\n")).collect();
        assert_eq!(all(&Tree::of(&[(TABLE, &lost)])).len(), 1);
        assert_eq!(all(&Tree::of(&[(TABLE, &table("`nowhere`"))])).len(), 1);
        assert_eq!(all(&Tree::of(&[(TABLE, &table("many"))])).len(), 2, "unreadable, so lost");
    }
}
