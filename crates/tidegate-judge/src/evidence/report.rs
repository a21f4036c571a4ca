//! What the evidence says after a tick, in numbers that a person can be shown.
//! It must never decide: whether it is enough was decided before it was written down.

use super::interval::Interval;
use crate::rule::Rule;

/// A part of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Failed requests.
    Errors,
    /// Slow answers.
    Latency,
    /// Health probes.
    Health,
    /// CPU and memory.
    Saturation,
    /// Requests in another ratio than was set.
    Mismatch,
}

impl Part {
    /// Its name in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Errors => "errors",
            Part::Latency => "latency",
            Part::Health => "health",
            Part::Saturation => "saturation",
            Part::Mismatch => "routing",
        }
    }
}

/// What was counted since the step began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Failed ones; 0 for latency, where every request counts by its cell.
    pub bad: u64,
    /// All.
    pub of: u64,
}

impl Counted {
    /// The share of bad ones (0 to 1); `None` of none.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.of > 0).then(|| self.bad as f64 / self.of as f64)
    }
}

/// One part as it stands after a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct PartEvidence {
    /// Which.
    pub part: Part,
    /// The candidate since the step began.
    pub candidate: Counted,
    /// Live since the step began.
    pub live: Counted,
    /// What must be refuted before it speaks for a rollback, in words.
    pub null: String,
    /// Its evidence: expected to be at most 1 while nothing is wrong.
    pub value: f64,
    /// Its part of the error budget.
    pub weight: f64,
    /// Dispersion that gains were divided by, at least 1.
    pub phi: f64,
    /// Estimated onset, in milliseconds; only while the evidence is above 1.
    pub since_ms: Option<u64>,
    /// The smallest fault that what was counted in this step would have shown: for errors and
    /// health the failing share (0 to 1), for latency the slowdown that is let pass as noise
    /// (0.06 is 6 %). `None` where it cannot be said.
    pub min_detectable: Option<f64>,
}

/// The evidence after a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceReport {
    /// The share of rollouts of an equal release that may be rolled back.
    pub alpha: f64,
    /// The weighted sum without the sample-ratio mismatch; 1 / alpha rolls back.
    pub total: f64,
    /// 0 to 1: how far towards a rollback, on a logarithmic scale.
    pub strength: f64,
    /// An equal release shows evidence this strong in fewer than 1 of so many rollouts; at least 1.
    pub odds: u64,
    /// The parts in a fixed order.
    pub parts: Vec<PartEvidence>,
    /// Evidence of a worse error rate than live's alone; below 1 live is as bad.
    pub relative: f64,
    /// How many times as often the candidate fails, at 99 %. Worked out only with a brake or
    /// rollback, as it costs more than all the rest; `Judge::ratio` gives it at any time.
    pub ratio: Option<Interval>,
    /// The weaker of the two proofs of safety (errors, latency) since the step began.
    pub safe: f64,
    /// True when `safe` has reached 1 / beta: enough to go on by evidence.
    pub proven: bool,
    /// The level that will be full soonest: its rule, and in how many milliseconds.
    pub full_in_ms: Option<(Rule, u64)>,
    /// Enough for a rollback.
    pub rolls_back: bool,
    /// Enough for a brake.
    pub brakes: bool,
    /// Requests do not arrive in the ratio that was set: nothing else here can be believed.
    pub mismatched: bool,
}

impl EvidenceReport {
    /// "1 in 4,200": the chance that an equal release looks as bad as this.
    #[must_use]
    pub fn false_alarm_odds(&self) -> String {
        format!("1 in {}", crate::words::count(self.odds))
    }
}
