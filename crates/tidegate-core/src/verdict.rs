//! What the judge says, as the state machine needs it. Core never looks at a sample:
//! it sees the call, the zones and the sentence. Must never turn a missing reading into a pass.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::PartName;
use crate::plan::Metric;

/// The outcome of any check. Four values: what is missing is neither good nor bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Positive evidence.
    Pass,
    /// Negative evidence.
    Fail,
    /// No evidence: empty, late, broken, unreachable.
    NoData,
    /// Set aside by a named person, with a reason and an end.
    Waived,
}

impl Outcome {
    /// Whether the process may go on.
    #[must_use]
    pub fn allows_progress(self) -> bool {
        matches!(self, Self::Pass | Self::Waived)
    }

    /// The worst of two: fail, then no-data, then waived, then pass.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let rank = |outcome| match outcome {
            Self::Pass => 0,
            Self::Waived => 1,
            Self::NoData => 2,
            Self::Fail => 3,
        };
        if rank(self) >= rank(other) { self } else { other }
    }

    /// Combines checks. The empty set is no evidence, never a pass.
    pub fn combine(outcomes: impl IntoIterator<Item = Self>) -> Self {
        outcomes.into_iter().reduce(Self::worst).unwrap_or(Self::NoData)
    }

    /// The word in every output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NoData => "no-data",
            Self::Waived => "waived",
        }
    }
}

/// The reason in a sentence of the judge, without the call that it begins with: for where the call
/// was said already.
#[must_use]
pub fn reason(sentence: &str) -> &str {
    let called = ["Roll back: ", "Hold: "];
    called.iter().find_map(|call| sentence.strip_prefix(call)).unwrap_or(sentence)
}

/// What the judge advises for the whole deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "call", content = "reason")]
pub enum Call {
    /// The step may pass.
    Advance,
    /// Stay.
    Hold(HoldReason),
    /// Back to the last step that passed.
    Brake,
    /// Go back entirely.
    Rollback,
}

/// Why the judge says hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Too few requests to say anything.
    InsufficientEvidence,
    /// A metric lies between its advance and its rollback limit.
    BetweenLimits,
    /// The live side breaches as well.
    Environment,
    /// Readings are missing.
    Telemetry,
}

impl HoldReason {
    /// The words in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::InsufficientEvidence => "too few requests to judge",
            Self::BetweenLimits => "between the advance and the rollback limit",
            Self::Environment => "the live revision breaches too",
            Self::Telemetry => "readings are missing",
        }
    }
}

/// Where one metric stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// Good enough to go on.
    Advance,
    /// Neither good nor bad enough.
    Hold,
    /// Bad enough to go back.
    Rollback,
    /// Nothing to judge.
    NoData,
}

/// One metric's line in a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What was measured.
    pub metric: Metric,
    /// The live side's value, in the metric's unit.
    pub live: Option<f64>,
    /// The candidate's value.
    pub candidate: Option<f64>,
    /// Its zone.
    pub zone: Zone,
    /// Requests (or probes) behind the candidate's value in this step.
    pub sample: u64,
    /// How many the advance rule needs.
    pub needed: u64,
    /// How far the evidence against the candidate has come, 0 to 1: at 1 it rolls back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    /// In how many milliseconds this metric's part of the verdict falls as things go; `None`
    /// where it stands or nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_in_ms: Option<u64>,
}

/// The sequential evidence behind a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Share of rollouts of an equal release that may be rolled back.
    pub alpha: f64,
    /// The evidence that the candidate is worse; 1 / `alpha` rolls back.
    pub against: f64,
    /// 0 to 1: how far towards a rollback, on a logarithmic scale.
    pub strength: f64,
    /// An equal release shows evidence this strong in fewer than 1 of so many rollouts.
    pub odds: u64,
    /// The weaker of the proofs that the candidate is safe, in this step.
    pub safe: f64,
    /// How many times as often the candidate fails as the live side: estimate, low, high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times_as_often: Option<(f64, f64, f64)>,
}

/// What is to be expected, and what it has cost so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outlook {
    /// Until *advance* has what it asks for, in milliseconds; `None` where it does not move so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_in_ms: Option<u64>,
    /// Until *rollback*, if the candidate is as bad as it looks, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_in_ms: Option<u64>,
    /// When the rules alone would roll back if their breaches go on, in milliseconds; 0 is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_in_ms: Option<u64>,
    /// The rule that would be the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Failed user requests of the candidate since traffic began.
    pub failed: u64,
    /// Those of them that the live side would not have failed; they are held against the budget.
    pub charged: f64,
}

/// What a part's verdict was made from: enough to make it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The part.
    pub part: PartName,
    /// Entries of its recording up to this verdict.
    pub entries: u64,
    /// Digest over the part's policy and those entries.
    pub digest: Digest,
}

/// The judge's word on a moment of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The advice.
    #[serde(flatten)]
    pub call: Call,
    /// One line a person understands, with the numbers that decided.
    pub sentence: String,
    /// Every metric's line.
    pub readings: Vec<Reading>,
    /// The evidence, where the plan asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What is to be expected; absent in verdicts that were never a judge's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
    /// What it was made from, one a part; nothing for verdicts that were never recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Inputs>,
}

impl Verdict {
    /// A verdict of a call, its sentence and its readings alone.
    #[must_use]
    pub fn plain(call: Call, sentence: impl Into<String>, readings: Vec<Reading>) -> Self {
        let sentence = sentence.into();
        Self { call, sentence, readings, proof: None, outlook: None, inputs: Vec::new() }
    }

    /// Whether two verdicts say the same apart from moving numbers: only changes are journaled.
    #[must_use]
    pub fn same_advice(&self, other: &Self) -> bool {
        self.call == other.call
            && self.readings.len() == other.readings.len()
            && self
                .readings
                .iter()
                .zip(&other.readings)
                .all(|(a, b)| a.metric == b.metric && a.zone == b.zone)
    }
}
