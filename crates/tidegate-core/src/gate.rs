//! Gates: what a release must show before people are asked, and what the evidence says to it.
//! Must never pass a gate of which nothing is known: what is missing is no-data, with the command
//! that brings it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::condition::Decided;
use crate::digest::Digest;
use crate::effect::Question;
use crate::fact::{Fact, Format, Severity};
use crate::ids::Actor;
use crate::plan::Comparison;
use crate::verdict::Outcome;

mod weigh;

pub use weigh::weigh;

/// Most gates of one plan: the five longest checklists known have 45 boxes together.
pub const GATES_MAX: usize = 64;
/// Longest name of a gate, characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Longest life of a waiver.
pub const WAIVER_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// One demand on a release, as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name, unique within the plan.
    pub name: String,
    /// What must be shown.
    pub demand: Demand,
    /// The gate is needed only when this condition holds; CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The gate is not needed when this condition holds; CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// What was decided about its conditions when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

impl Gate {
    /// Whether another gate demands the same under the same conditions, whatever was decided.
    #[must_use]
    pub fn demands_like(&self, other: &Self) -> bool {
        let conditions = self.when == other.when && self.unless == other.unless;
        self.name == other.name && conditions && self.demand == other.demand
    }
}

/// Which reports a gate reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Their format.
    pub format: Format,
    /// Names under which they were added, patterns with `*`, `**` and `?` among them.
    pub files: Vec<String>,
}

/// A limit on a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// How it is compared.
    pub comparison: Comparison,
    /// With what, in the unit of its key.
    pub limit: f64,
}

impl Bound {
    /// Whether a value keeps it. A value that is no number does not.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
        }
    }
}

/// How far a version may go from the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bump {
    /// The third number, or a pre-release becomes a release.
    Patch,
    /// The second number.
    Minor,
    /// The first number.
    Major,
}

impl Bump {
    /// The word in configuration and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

/// What must be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// Tests ran and passed.
    Tests {
        /// The reports.
        report: Report,
        /// Least share of the tests that ran and passed, percent.
        pass: f64,
        /// Least number of tests that ran.
        at_least: u64,
        /// Tests that may fail, by name; they are counted and shown.
        quarantine: Vec<String>,
    },
    /// Tests reach the code.
    Coverage {
        /// The reports.
        report: Report,
        /// Limit on lines, percent.
        line: Option<Bound>,
        /// Limit on branches, percent.
        branch: Option<Bound>,
        /// Files of which every line must be reached, as patterns.
        critical: Vec<String>,
    },
    /// A scanner found no more than is allowed.
    Findings {
        /// The reports.
        report: Report,
        /// Most findings of each severity; those that are not named are not limited.
        allow: BTreeMap<Severity, u64>,
        /// The scanner must have looked at more things than this.
        scanned: u64,
        /// The scanner's knowledge must be younger than this.
        fresh: Option<SignedDuration>,
        /// Rules and advisories that are known and do not count.
        except: Vec<String>,
    },
    /// What the release is made of may be used.
    Licences {
        /// The reports.
        report: Report,
        /// SPDX ids that are allowed; empty allows all that `deny` does not name.
        allow: Vec<String>,
        /// SPDX ids that are not.
        deny: Vec<String>,
        /// Most components without a known licence.
        unknown: u64,
    },
    /// Requests were answered quickly enough.
    Timings {
        /// The reports.
        report: Report,
        /// Limits in milliseconds, by `p50`, `p90`, `p95`, `p99`, `avg`, `max`.
        limits: BTreeMap<String, Bound>,
        /// Limit on failed requests, percent.
        errors: Option<Bound>,
        /// Least number of requests.
        at_least: u64,
    },
    /// A plan for the infrastructure destroys no more than is allowed.
    Infrastructure {
        /// The reports.
        report: Report,
        /// Most resources removed.
        delete: u64,
        /// Most resources removed and made anew.
        replace: u64,
        /// Whether changes from outside the tool are allowed.
        drift: bool,
    },
    /// The builder says under signature what was built from what.
    Provenance {
        /// The bundles.
        report: Report,
        /// The builder's identity.
        builder: Option<String>,
        /// The source repository.
        source: Option<String>,
        /// Who signs: the identity in the certificate.
        signer: Option<String>,
    },
    /// Documents were deposited.
    Document {
        /// Them.
        report: Report,
        /// Not longer ago than this.
        within: Option<SignedDuration>,
    },
    /// The version is a semantic one, and higher than the live one.
    Version {
        /// How far it may go at most.
        bump: Bump,
    },
    /// The tag is an object of its own.
    Tag {
        /// Signed with a pinned key.
        signed: bool,
    },
    /// The commits since the live release are in order.
    Commits {
        /// Each signed with a pinned key.
        signed: bool,
        /// Each a Conventional Commit, and the version's bump fits them.
        conventional: bool,
    },
    /// The commit came the declared way.
    Branch {
        /// It is on this branch.
        into: String,
        /// By a merge of a branch of one of these patterns; empty asks for no merge.
        from: Vec<String>,
    },
    /// The changelog has a section for the version.
    Changelog {
        /// The file in the commit.
        file: String,
    },
    /// Files stand in the commit.
    Files {
        /// Their paths.
        paths: Vec<String>,
    },
    /// People reviewed what was merged, on the host of the code.
    Reviews {
        /// How many approved the merged head, its author not among them.
        need: u32,
        /// Whether an owner of every touched path is among them, by the owners file of the base.
        owners: bool,
        /// `owner/name` on the host; `None` reads it off the release's address.
        repository: Option<String>,
    },
    /// Checks of the CI passed on exactly this commit.
    Ci {
        /// Their names; empty takes those that the branch's protection demands.
        checks: Vec<String>,
        /// The branch.
        branch: String,
        /// `owner/name` on the host; `None` reads it off the release's address.
        repository: Option<String>,
    },
    /// The commit was live in another environment long enough without going back.
    Soak {
        /// Which environment.
        environment: String,
        /// How long.
        lasts: SignedDuration,
    },
    /// Something that only a source can tell which nobody has configured.
    Unbound {
        /// What is asked, in words.
        what: String,
    },
}

impl Demand {
    /// The reports that it reads.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Tests { report, .. }
            | Self::Coverage { report, .. }
            | Self::Findings { report, .. }
            | Self::Licences { report, .. }
            | Self::Timings { report, .. }
            | Self::Infrastructure { report, .. }
            | Self::Provenance { report, .. }
            | Self::Document { report, .. } => Some(report),
            Self::Version { .. }
            | Self::Tag { .. }
            | Self::Commits { .. }
            | Self::Branch { .. }
            | Self::Changelog { .. }
            | Self::Files { .. }
            | Self::Reviews { .. }
            | Self::Ci { .. }
            | Self::Soak { .. }
            | Self::Unbound { .. } => None,
        }
    }
}

/// A report that is kept, bound to the release and the commit that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its format.
    pub format: Format,
    /// The name under which it was added, `reports/unit/a.xml`.
    pub name: String,
    /// The version that it is about.
    pub version: String,
    /// The commit that it is about.
    pub commit: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// What it says, in one line.
    pub summary: String,
}

/// A report with when and by whom it was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The report.
    pub evidence: Evidence,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
}

/// A gate that a person set aside for one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The gate.
    pub gate: String,
    /// The version.
    pub version: String,
    /// The commit that the version named.
    pub commit: String,
    /// Why.
    pub reason: String,
    /// Not longer than until then.
    pub until: Timestamp,
    /// Who.
    pub by: String,
}

/// What was found out for one gate: the answer of the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The gate.
    pub gate: String,
    /// Whether it is needed; `Some` names the condition with its values when it is not.
    pub not_needed: Option<String>,
    /// The facts, or what is missing.
    pub facts: Result<Vec<Fact>, Missing>,
    /// Digests of the reports behind the facts.
    pub evidence: Vec<Digest>,
}

/// Why nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing, in one line.
    pub what: String,
    /// A command or a change that brings it.
    pub help: String,
}

/// How a gate stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// The gate.
    pub gate: String,
    /// The result.
    pub outcome: Outcome,
    /// Whether the gate is needed at all; one that is not, does not count.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub needed: bool,
    /// One line with the values.
    pub sentence: String,
    /// What to do about it, where something can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Digests of the reports that were weighed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Digest>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

/// The live release, as far as gates ask about it, and the release that is to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// The version that is live.
    pub live: Option<String>,
    /// Its commit.
    pub live_commit: Option<String>,
    /// The version of the release.
    pub version: String,
    /// Its commit.
    pub commit: String,
}

/// How all gates of a question stand, in the order of its plan. A gate for which nothing was found
/// is no-data.
#[must_use]
pub fn weigh_all(
    question: &Question,
    found: &[Found],
    waivers: &[Waiver],
    now: Timestamp,
) -> Vec<GateResult> {
    let gates = question.plan.gates.iter().map(|gate| {
        let found = found.iter().find(|found| found.gate == gate.name);
        weigh(gate, found, &question.versions, waivers, now)
    });
    gates.collect()
}

/// The results of all gates as one: what counts, and the line for people.
#[must_use]
pub fn combine(results: &[GateResult]) -> (Outcome, String) {
    let needed: Vec<&GateResult> = results.iter().filter(|result| result.needed).collect();
    if needed.is_empty() && !results.is_empty() {
        return (Outcome::Pass, format!("none of {} gates is needed", results.len()));
    }
    let outcome = Outcome::combine(needed.iter().map(|result| result.outcome));
    let bad: Vec<&&GateResult> =
        needed.iter().filter(|result| !result.outcome.allows_progress()).collect();
    let Some(first) = bad.iter().find(|result| result.outcome == outcome).or_else(|| bad.first())
    else {
        let waived = needed.iter().filter(|result| result.outcome == Outcome::Waived).count();
        let passed = needed.len() - waived;
        let waived = if waived > 0 { format!(", {waived} waived") } else { String::new() };
        return (outcome, format!("{passed} of {} gates passed{waived}", needed.len()));
    };
    let more = match bad.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more: `tidegate gate list`)"),
    };
    let word = first.outcome.word();
    (outcome, format!("{} {word}: {}{more}", first.gate, first.sentence))
}
