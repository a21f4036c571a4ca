//! What a repository, and another environment, say of a release.
//! Must never take what was not looked at for what is in order.

use jiff::Timestamp;

use crate::event::Ending;

/// The tag of the release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tag {
    /// Whether it is an object of its own, with author and date.
    pub annotated: bool,
    /// Whose signature it carries, once verified against the pinned keys.
    pub signer: Signed,
}

/// What is known of a signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Signed {
    /// There is none.
    #[default]
    No,
    /// There is one, and no pinned key it could be held against.
    Unverified(String),
    /// It does not fit, or is of a key that is not pinned.
    Bad(String),
    /// It fits a pinned key of this principal.
    By(String),
}

/// Commits since the live release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commits {
    /// How many.
    pub count: u64,
    /// From where: the live release's commit; `None` when there is none.
    pub since: Option<String>,
    /// Those whose signature is missing or does not fit: short name, author, what is wrong.
    pub unsigned: Vec<String>,
    /// Those whose subject is no Conventional Commit: short name and subject.
    pub unconventional: Vec<String>,
    /// Whether the live release's commit is among the ancestors.
    pub descends: bool,
    /// Whether a commit announces a breaking change.
    pub breaking: bool,
    /// Whether a commit adds a feature.
    pub feature: bool,
}

/// The way of the commit through the branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Branches {
    /// The branch that it must be on, if it is there.
    pub on: Option<String>,
    /// How it came there: the branch that was merged, as the merge names it.
    pub merged_from: Option<String>,
    /// What is wrong with the way.
    pub problem: Option<String>,
}

/// Whether files stand in the commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Those that are there and not empty.
    pub present: Vec<String>,
    /// Those that are not.
    pub missing: Vec<String>,
}

/// The changelog's section for the version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changelog {
    /// Whether there is one.
    pub found: bool,
    /// Its date as written, `2026-11-25`.
    pub date: Option<String>,
    /// Whether it is marked as withdrawn.
    pub yanked: bool,
    /// Lines that say something.
    pub entries: u64,
}

/// How long the release was live elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Soak {
    /// Since when it has been live there, verified and without going back.
    pub since: Option<Timestamp>,
    /// What ended it, or why it never began.
    pub broken: Option<String>,
}

/// One deployment in another environment, as its list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The version.
    pub version: String,
    /// When it ended; `None` while it is in flight.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<Ending>,
}

impl Soak {
    /// What the deployments of an environment, newest first, say of a version. Anything that ended
    /// red there, of whatever version, begins the time anew; another version ends it.
    #[must_use]
    pub fn of(version: &str, courses: &[Course]) -> Self {
        for course in courses {
            let broken = |what: String| Self { since: None, broken: Some(what) };
            match course.ending {
                None if course.version == version => {
                    return broken(format!("{version} is still being deployed there"));
                }
                Some(Ending::Succeeded) if course.version == version => {
                    return Self { since: course.ended_at, broken: None };
                }
                // Nothing was changed there.
                None
                | Some(Ending::Stopped | Ending::Aborted | Ending::Rejected | Ending::Superseded)
                    if course.version != version => {}
                Some(ending) => {
                    let what = format!("{} ended there: {}", course.version, ending.words());
                    return broken(what);
                }
                None => {}
            }
        }
        Self { since: None, broken: Some(format!("{version} was never live there")) }
    }
}
