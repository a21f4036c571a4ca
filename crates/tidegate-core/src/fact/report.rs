//! What reports of tests, coverage, components, load, infrastructure and builds say.
//! Must never add up what cannot be added.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::verdict::Outcome;

/// Tests that ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// Tests that passed, flaky ones included.
    pub passed: u64,
    /// Tests that failed or broke.
    pub failed: u64,
    /// Tests that did not run.
    pub skipped: u64,
    /// Tests that passed only when tried again.
    pub flaky: u64,
    /// Names of failing tests; all of them when the gate has a quarantine, see [`Tests::ALL_MAX`].
    pub failing: Vec<String>,
}

impl Tests {
    /// Most failing tests that are kept by name; with more, none of them can be excused.
    pub const ALL_MAX: usize = 1_000;

    /// Adds another report of the same gate.
    pub fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.flaky = self.flaky.saturating_add(other.flaky);
        let room = Self::ALL_MAX.saturating_sub(self.failing.len());
        self.failing.extend(other.failing.into_iter().take(room));
    }

    /// Counts a failing test.
    pub fn fail(&mut self, name: String) {
        self.failed = self.failed.saturating_add(1);
        if self.failing.len() < Self::ALL_MAX {
            self.failing.push(name);
        }
    }

    /// Fail when a test failed, no-data when none ran, else pass.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.failed > 0 {
            Outcome::Fail
        } else if self.passed == 0 {
            Outcome::NoData
        } else {
            Outcome::Pass
        }
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { passed, failed, skipped, .. } = self;
        let counts = format!("{passed} passed, {failed} failed, {skipped} skipped");
        match self.failing.first() {
            Some(first) => format!("{counts}; first failing: {first}"),
            None => counts,
        }
    }

    /// Tests that ran.
    #[must_use]
    pub fn ran(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }
}

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ratio {
    /// The part.
    pub part: u64,
    /// The whole.
    pub whole: u64,
}

impl Ratio {
    /// Percent, 0 to 100; `None` of nothing.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of lines are far below 2^52")]
        let percent = (self.whole > 0).then(|| self.part as f64 * 100.0 / self.whole as f64);
        percent
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.part = self.part.saturating_add(other.part);
        self.whole = self.whole.saturating_add(other.whole);
    }
}

/// Lines that tests reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Lines that can be reached, and were.
    pub lines: Ratio,
    /// Branches, where the report counts them.
    pub branches: Option<Ratio>,
    /// Lines of each file, by its path as the report writes it.
    pub files: BTreeMap<String, Ratio>,
    /// Lines of the files that each named pattern matches; filled for the gate that names them.
    pub critical: BTreeMap<String, Ratio>,
}

impl Coverage {
    /// Adds another report of the same gate. Files that both name are taken from the one that
    /// reached more of them: two suites of one code base do not add their lines.
    pub fn add(&mut self, other: Self) {
        let shared = other.files.keys().any(|file| self.files.contains_key(file));
        for (file, ratio) in other.files {
            let known = self.files.entry(file).or_default();
            if ratio.part >= known.part {
                *known = ratio;
            }
        }
        if shared {
            self.lines = Ratio::default();
            for ratio in self.files.values() {
                self.lines.add(*ratio);
            }
        } else {
            self.lines.add(other.lines);
        }
        self.branches = match (self.branches, other.branches) {
            (Some(mut a), Some(b)) if !shared => {
                a.add(b);
                Some(a)
            }
            // Which branches both reached is not known, so the worse of the two is taken.
            (Some(a), Some(b)) => Some(if a.percent() <= b.percent() { a } else { b }),
            _ => None,
        };
        for (pattern, ratio) in other.critical {
            let known = self.critical.entry(pattern).or_default();
            if shared {
                *known = if known.part >= ratio.part { *known } else { ratio };
            } else {
                known.add(ratio);
            }
        }
    }
}

/// What the release is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Components {
    /// How many.
    pub count: u64,
    /// Each with its version and licence, by name and version.
    pub listed: BTreeMap<String, Option<String>>,
    /// Components whose licence the gate's lists do not allow, with the licence.
    pub refused: Vec<String>,
    /// Components that state no licence, or one that is no SPDX expression.
    pub unknown: Vec<String>,
}

impl Components {
    /// Adds another report of the same gate.
    pub fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.listed.extend(other.listed);
        self.refused.extend(other.refused);
        self.unknown.extend(other.unknown);
    }
}

/// How long requests took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timings {
    /// Requests that were made.
    pub requests: u64,
    /// Of those, failed; `None` when the report is silent.
    pub failed: Option<u64>,
    /// Milliseconds by name: `p50`, `p90`, `p95`, `p99`, `avg`, `min`, `max`.
    pub ms: BTreeMap<String, f64>,
}

impl Timings {
    /// The worse of two runs in every value that both have.
    #[must_use]
    pub fn slower(self, other: &Self) -> Self {
        let ms = self.ms.iter().filter_map(|(name, value)| {
            other.ms.get(name).map(|second| (name.clone(), value.max(*second)))
        });
        Self {
            ms: ms.collect(),
            requests: self.requests.saturating_add(other.requests),
            failed: self.failed.zip(other.failed).map(|(a, b)| a.saturating_add(b)),
        }
    }
}

/// Changes of infrastructure that a plan would make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Infrastructure {
    /// Resources made.
    pub create: u64,
    /// Changed in place.
    pub update: u64,
    /// Addresses of those removed.
    pub delete: Vec<String>,
    /// Addresses of those removed and made anew.
    pub replace: Vec<String>,
    /// Left as they are.
    pub unchanged: u64,
    /// Addresses that were changed outside of the tool.
    pub drifted: Vec<String>,
}

impl Infrastructure {
    /// Adds another report of the same gate.
    pub fn add(&mut self, other: Self) {
        self.create = self.create.saturating_add(other.create);
        self.update = self.update.saturating_add(other.update);
        self.unchanged = self.unchanged.saturating_add(other.unchanged);
        self.delete.extend(other.delete);
        self.replace.extend(other.replace);
        self.drifted.extend(other.drifted);
    }
}

/// Who built it, from what. Only of a statement whose signature was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The builder's identity, a URI.
    pub builder: String,
    /// The repository that it names as the source.
    pub source: Option<String>,
    /// The commit that it names as the source.
    pub commit: Option<String>,
    /// SHA-256 of what was built, lower-case hex.
    pub subjects: Vec<String>,
    /// Who signed, as the certificate or key says.
    pub signer: String,
}

impl Provenance {
    /// Whether both are about one build.
    #[must_use]
    pub fn same_build(&self, other: &Self) -> bool {
        self.builder == other.builder
            && self.source == other.source
            && self.commit == other.commit
            && self.signer == other.signer
    }

    /// With the other's subjects as well.
    #[must_use]
    pub fn with_subjects(mut self, other: &Self) -> Self {
        self.subjects.extend(other.subjects.iter().cloned());
        self
    }
}

/// A document that was deposited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// When it was deposited.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}
