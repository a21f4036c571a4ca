//! Places outside the database that keep the journal's checkpoints.
//! Must never call a place outside that the journal's owner can rewrite.

mod folder;
mod webhook;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

pub use crate::scm::GitAnchor;
pub use folder::FolderAnchor;
pub use webhook::WebhookAnchor;

/// Whether a path is beyond the reach of who owns the state directory: another file system, and
/// another owner. What cannot be looked at is not.
pub(crate) fn is_outside(state_dir: &Path, place: &Path) -> bool {
    let of = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.uid()));
    match (of(state_dir), of(place)) {
        (Some(ours), Some(theirs)) => apart(ours, theirs),
        _ => false,
    }
}

fn apart(ours: (u64, u32), theirs: (u64, u32)) -> bool {
    ours.0 != theirs.0 && ours.1 != theirs.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_the_database_is_not_outside() {
        assert!(apart((1, 1000), (2, 0)));
        assert!(!apart((1, 1000), (1, 0)), "the same file system");
        assert!(!apart((1, 1000), (2, 1000)), "the same owner");
        let here = tempfile::tempdir().unwrap();
        assert!(!is_outside(here.path(), here.path()));
        assert!(!is_outside(here.path(), &here.path().join("missing")));
    }
}
