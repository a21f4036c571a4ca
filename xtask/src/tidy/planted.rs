//! The table of planted bugs: each has its place, once, and a test that is there. It must never
//! let their number fall below what the page of proofs promises.

use super::finding::Finding;
use super::traceability::Proofs;
use super::tree::Tree;
use crate::planted::LEAST;
use crate::planted::bugs::{ASK, BUGS, Bug};

const TABLE: &str = "xtask/src/planted/bugs.rs";
const MEND_PLACE: &str = "say in `right` what stands there, so that it is found once";
const MEND_TEST: &str = "name a test or a script that is in the tree";
const MEND_FEW: &str =
    "plant another; a bug that cannot be made any more gives way to one that can";

/// Checks the table against the tree.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let proofs = Proofs::of(tree);
    let few = (BUGS.len() < LEAST).then(|| finding(&format!("fewer than {LEAST}"), MEND_FEW));
    let found = BUGS.iter().flat_map(|bug| one(tree, &proofs, bug));
    few.into_iter().chain(found).collect()
}

fn one(tree: &Tree, proofs: &Proofs<'_>, bug: &Bug) -> Vec<Finding> {
    let mut found = Vec::new();
    let twins = BUGS.iter().filter(|other| other.name == bug.name).count();
    if twins != 1 || !bug.wrong.contains(ASK) || bug.planted_in(tree.text(bug.file)).is_none() {
        found.push(finding(&format!("`{}` has no place in {}", bug.name, bug.file), MEND_PLACE));
    }
    if !proofs.has(bug.proof()) || !proofs.has(bug.caught_by) {
        let what = format!("`{}` is caught by {}, which is not there", bug.name, bug.caught_by);
        found.push(finding(&what, MEND_TEST));
    }
    found
}

fn finding(what: &str, mend: &'static str) -> Finding {
    Finding::new(TABLE, 1, what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_a_test_that_are_gone_are_found() {
        let gone = Tree::of(&[]);
        assert_eq!(all(&gone).len(), 2 * BUGS.len());
        let bug = BUGS.iter().find(|bug| bug.caught_by.ends_with("every_bar_bars")).unwrap();
        let (path, test) = bug.caught_by.rsplit_once("::").unwrap();
        let there = format!("#[test]\nfn {test}() {{}}\n");
        let tree = Tree::of(&[(bug.file, bug.right), (path, &there)]);
        assert_eq!(one(&tree, &Proofs::of(&tree), bug), []);
        let twice = format!("{0}\n{0}", bug.right);
        let tree = Tree::of(&[(bug.file, &twice), (path, &there)]);
        assert_eq!(one(&tree, &Proofs::of(&tree), bug).len(), 1);
    }
}
