//! Tables of the documentation whose rows have ids: each row readable, none twice, none lost.
//! Must never leave a line of a table out because it cannot be read.

use std::collections::BTreeSet;

use super::finding::Finding;

/// A page with such a table, and what to do about it.
pub(crate) struct Page {
    /// Its path.
    pub(crate) path: &'static str,
    /// How a row is written.
    pub(crate) mend_row: &'static str,
    /// What to do when one is lost.
    pub(crate) mend_lost: &'static str,
}

/// A row of a table.
pub(crate) trait Row {
    /// Its line, from 1.
    fn line(&self) -> usize;
    /// Its id.
    fn id(&self) -> &str;
}

/// The cells of every row in the text, headers and rules left out, with the line; `None` where
/// there are not so many.
pub(crate) fn cells<const N: usize>(
    text: &str,
) -> impl Iterator<Item = (usize, Option<[&str; N]>)> {
    let table = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with('|'));
    table.filter_map(|(at, line)| {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        let heads = cells.first().is_some_and(|id| *id == "id" || id.starts_with("--"));
        let cells = cells.try_into().ok();
        (cells.is_none() || !heads).then_some((at + 1, cells))
    })
}

impl Page {
    /// Checks the rows of the page; an `Err` is the line of one that cannot be read.
    pub(crate) fn check<R: Row>(
        &self,
        rows: impl Iterator<Item = Result<R, usize>>,
        expected: impl Iterator<Item = String>,
        judge: impl Fn(&R) -> Vec<Finding>,
    ) -> Vec<Finding> {
        let (mut findings, mut seen) = (Vec::new(), BTreeSet::new());
        let report = |line, what: String, mend| Finding::new(self.path, line, what, mend);
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(line) => {
                    let what = "a row that cannot be read".to_owned();
                    findings.push(report(line, what, self.mend_row));
                    continue;
                }
            };
            if !seen.insert(row.id().to_owned()) {
                let what = format!("{} stands here twice", row.id());
                findings.push(report(row.line(), what, self.mend_row));
            }
            findings.extend(judge(&row));
        }
        let lost = expected.filter(|id| !seen.contains(id));
        findings.extend(lost.map(|id| report(1, format!("no row for {id}"), self.mend_lost)));
        findings
    }
}
