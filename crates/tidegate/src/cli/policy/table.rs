//! The table of cases as YAML. Must never accept a key it does not know: an expectation that is
//! misspelt must not be skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tidegate_core::risk::Level;

use crate::cli::project;
use crate::exit::Exit;
use crate::failure::Failure;

/// Most cases of one table.
const CASES_MAX: usize = 500;
/// Deepest nesting of the YAML.
const DEPTH_MAX: usize = 16;

/// A table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The configuration, relative to the table; by default the one that is found.
    pub(super) config: Option<PathBuf>,
    /// The cases.
    pub(super) cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it shows.
    pub(super) name: String,
    /// The version that is to be released.
    #[serde(default = "next")]
    pub(super) version: String,
    /// The version that is live; without it, it is the first release.
    pub(super) live: Option<String>,
    /// Paths that the release changes, for `touches` and `files` of conditions.
    #[serde(default)]
    pub(super) paths: Vec<String>,
    /// Its risk; without it, low.
    pub(super) risk: Option<Level>,
    /// Commits since the live release.
    #[serde(default)]
    pub(super) commits: u64,
    /// When; without it, now.
    pub(super) at: Option<Timestamp>,
    /// Reports that were added.
    #[serde(default)]
    pub(super) evidence: Vec<Given>,
    /// What is known for gates that rest on no report, by gate.
    #[serde(default)]
    pub(super) facts: BTreeMap<String, GivenFact>,
    /// Gates that somebody set aside.
    #[serde(default)]
    pub(super) waived: Vec<String>,
    /// A rollout against one fault, as `tidegate simulate --list` names them.
    pub(super) simulate: Option<Rollout>,
    /// What must come out.
    pub(super) expect: Expect,
}

fn next() -> String {
    "v1.0.0".to_owned()
}

/// A report.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    /// The file, relative to the table.
    pub(super) file: PathBuf,
    /// The name under which it is added; by default that of the file.
    pub(super) name: Option<String>,
    /// Its format, when it is not clear.
    pub(super) format: Option<String>,
    /// How long ago it was added.
    pub(super) age: Option<SignedDuration>,
}

/// What is known for one gate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum GivenFact {
    /// The tag.
    Tag {
        /// Whether it is an object of its own.
        annotated: bool,
        /// Whose signature it carries.
        signer: Option<String>,
    },
    /// Commits since the live release.
    Commits {
        /// How many.
        count: u64,
        /// Those without a signature that counts.
        #[serde(default)]
        unsigned: Vec<String>,
        /// Those whose subject is no Conventional Commit.
        #[serde(default)]
        unconventional: Vec<String>,
        /// Whether one announces a breaking change.
        #[serde(default)]
        breaking: bool,
        /// Whether one adds a feature.
        #[serde(default)]
        feature: bool,
    },
    /// The way through the branches.
    Branch {
        /// The branch that it is on.
        on: Option<String>,
        /// The branch that was merged.
        merged_from: Option<String>,
        /// What is wrong with the way.
        problem: Option<String>,
    },
    /// Files of the commit.
    Files {
        /// Those that are there.
        #[serde(default)]
        present: Vec<String>,
        /// Those that are not.
        #[serde(default)]
        missing: Vec<String>,
    },
    /// The section of the changelog.
    Changelog {
        /// Whether there is one.
        found: bool,
        /// Its date.
        date: Option<String>,
        /// Whether it is withdrawn.
        #[serde(default)]
        yanked: bool,
        /// Lines that say something.
        #[serde(default)]
        entries: u64,
    },
    /// How it was reviewed.
    Reviews {
        /// People who approved the merged head.
        #[serde(default)]
        approved: Vec<String>,
        /// People who asked for changes.
        #[serde(default)]
        refused: Vec<String>,
        /// Touched paths that no owner approved.
        #[serde(default)]
        owners_open: Vec<String>,
    },
    /// Checks of the commit, by name.
    Ci {
        /// Those that passed.
        #[serde(default)]
        passed: Vec<String>,
        /// Those that failed.
        #[serde(default)]
        failed: Vec<String>,
    },
    /// How long it has been live elsewhere.
    Soak {
        /// For how long, up to the time of the case.
        lasts: Option<SignedDuration>,
        /// What ended it.
        broken: Option<String>,
    },
}

/// A rollout against one fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollout {
    /// What goes wrong.
    pub(super) scenario: String,
    /// Requests a second.
    pub(super) rate: Option<u32>,
    /// The same seed gives the same run.
    pub(super) seed: Option<u64>,
}

/// What must come out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// The results of gates: `pass`, `fail`, `no-data`, `waived`, `not-needed`.
    #[serde(default)]
    pub(super) gates: BTreeMap<String, String>,
    /// Of all gates together.
    pub(super) result: Option<String>,
    /// Texts that occur in the sentences of the gates or of the end.
    #[serde(default)]
    pub(super) says: Vec<String>,
    /// Names of the approval rules that apply, in the order of the file.
    pub(super) asks: Option<Vec<String>>,
    /// Whether it may begin at the time of the case: `open` or `closed`.
    pub(super) window: Option<String>,
    /// How the rollout ends: `succeeded`, `rolled back`.
    pub(super) ending: Option<String>,
    /// The way back is decided within this after the fault began.
    pub(super) detected_within: Option<SignedDuration>,
}

impl Expect {
    /// Whether it expects anything at all.
    fn is_empty(&self) -> bool {
        let texts = self.says.is_empty() && self.result.is_none() && self.window.is_none();
        let rollout = self.ending.is_none() && self.detected_within.is_none();
        self.gates.is_empty() && self.asks.is_none() && texts && rollout
    }
}

/// Reads a table.
///
/// # Errors
/// TG7005 when there is none, TG7120 when it means nothing.
pub(super) fn read(path: &Path) -> Result<Table, Failure> {
    let bytes = project::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_odd| unreadable(path, "it is no text"))?;
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH_MAX,
        max_documents: 1,
        max_aliases: 0,
        max_anchors: 0,
        max_merge_keys: 0,
    };
    let options = serde_saphyr::options! { budget: budget };
    let table: Table = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| unreadable(path, &crate::text::plain(&error.to_string())))?;
    if table.cases.is_empty() || table.cases.len() > CASES_MAX {
        let count = table.cases.len();
        return Err(unreadable(path, &format!("it has {count} cases, 1 to {CASES_MAX} are tried")));
    }
    for case in &table.cases {
        if case.expect.is_empty() {
            return Err(unreadable(path, &format!("the case `{}` expects nothing", case.name)));
        }
        let rollout = case.expect.ending.is_some() || case.expect.detected_within.is_some();
        if rollout && case.simulate.is_none() {
            let what = format!("the case `{}` expects an end and has no `simulate`", case.name);
            return Err(unreadable(path, &what));
        }
    }
    Ok(table)
}

/// A table that means nothing.
pub(super) fn unreadable(path: &Path, what: &str) -> Failure {
    Failure::new(Exit::Usage, "TG7120", format!("{} is no table: {what}", path.display()))
        .safe("nothing was tried and nothing was changed")
        .help("`tidegate explain TG7120` shows one")
}
