//! Reviews and checks of a code host against demands.
//! Must never take a check that did not run for one that passed.

use super::{Word, shown_all};
use crate::fact::{CheckRun, Ci, Reviews};

pub(super) fn reviews(need: u32, found: &Reviews) -> Word {
    let Some(pull) = found.pull else {
        return Word::fail(
            "the commit came by no pull request: nobody reviewed it",
            "merge it by a pull request, and tag the merge",
        );
    };
    if !found.refused.is_empty() {
        let who = shown_all(&found.refused);
        return Word::fail(format!("#{pull}: {who} asked for changes"), "settle it in the review");
    }
    let count = found.approved.len();
    let stale = if found.stale.is_empty() {
        String::new()
    } else {
        format!("; {} approved an earlier head", shown_all(&found.stale))
    };
    if count < usize::try_from(need).unwrap_or(usize::MAX) {
        return Word::fail(
            format!("#{pull}: {count} of {need} approvals of the merged head{stale}"),
            "have the head reviewed that is merged",
        );
    }
    let who = shown_all(&found.approved);
    let Some(owners) = &found.owners else {
        return Word::pass(format!("#{pull}: approved by {who}"));
    };
    if let Some((path, of)) = owners.open.first() {
        let open = owners.open.len();
        return Word::fail(
            format!(
                "#{pull}: {open} of {} owned paths have no approval of an owner, first {path} of {}",
                owners.owned,
                shown_all(of)
            ),
            "ask an owner that the base commit names",
        );
    }
    Word::pass(format!("#{pull}: approved by {who}, owners of {} paths among them", owners.owned))
}

pub(super) fn ci(found: &Ci) -> Word {
    if found.required.is_empty() {
        return Word::no_data(
            "nothing says which checks are required",
            "name them, as in `ci: [build, test]`, or protect the branch",
        );
    }
    let (mut failed, mut open) = (Vec::new(), Vec::new());
    for name in &found.required {
        match found.checks.get(name) {
            Some(CheckRun::Passed) => {}
            Some(CheckRun::Failed(word)) => failed.push(format!("{name} ({word})")),
            Some(CheckRun::Running) => open.push(format!("{name} (not ended)")),
            None => open.push(format!("{name} (did not run on this commit)")),
        }
    }
    if !failed.is_empty() {
        return Word::fail(format!("failed: {}", shown_all(&failed)), "mend it and tag anew");
    }
    if !open.is_empty() {
        let what = format!("no result of {}", shown_all(&open));
        return Word::no_data(what, "wait for the CI, then `tidegate gate run`");
    }
    Word::pass(format!("{} required checks passed on this commit", found.required.len()))
}
