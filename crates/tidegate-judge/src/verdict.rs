//! What the judge says after a tick: the call, the numbers of every metric, and one sentence.
//! It must never say more than the ticks showed.

use crate::evidence::EvidenceReport;
use crate::rule::{Measured, Metric, Rule};
use crate::window::RuleState;
use crate::zone::{Standing, Zone};

/// Why a verdict is *hold*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// All numbers are inside the advance rules, the sample is too small to show it.
    InsufficientEvidence,
    /// Live is hit as well, so the candidate is not to blame, and cannot be cleared either.
    Environment,
    /// Numbers are missing that the policy asks for.
    Telemetry,
    /// A number is outside its advance rule, and no rollback rule has fired.
    BetweenLimits,
}

/// What the judge calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The step is passed as far as its numbers go; dwell and approvals are not the judge's.
    Advance,
    /// Neither forward nor back.
    Hold {
        /// Why.
        reason: HoldReason,
    },
    /// Back to the last step that passed.
    Brake,
    /// Back to the live release.
    Rollback,
}

/// One metric of a verdict. Values are percent, or for latency an upper bound in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricVerdict {
    /// What was measured.
    pub metric: Metric,
    /// The live release since the step began (CPU and memory: the last few seconds).
    pub live: Option<f64>,
    /// The candidate over the same time.
    pub candidate: Option<f64>,
    /// The band the candidate lies in.
    pub zone: Zone,
    /// How the advance rules of this metric stand; *pass* when it has none.
    pub standing: Standing,
    /// Candidate requests (or probes) that went wrong since the step began; for latency those at
    /// or above the limit of `advance`, or of `rollback` where there is no advance rule.
    pub bad: u64,
    /// Candidate requests (or probes) since the step began; 0 for CPU and memory.
    pub sample: u64,
    /// Sample with which the metric can pass if no further ones go wrong; 0 for none.
    pub needed: u64,
    /// The worst state of the metric's rollback rules; *clear* when it has none.
    pub state: RuleState,
    /// The advance rule that stands worst.
    pub advance: Option<Rule>,
    /// The rollback rule in the worst state.
    pub rollback: Option<Rule>,
    /// What `rollback` counted since its breach began, or in the last few seconds without one.
    pub run: Measured,
    /// The same on the live release.
    pub live_run: Measured,
}

/// The rollback rule that would fire first, read literally and without regard to live.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Literal {
    /// The rule.
    pub rule: Rule,
    /// Milliseconds from this tick until it fires if the breach goes on; 0 when it has fired.
    pub in_ms: u64,
    /// When it fired first in this rollout, in milliseconds of the ticks' clock.
    pub fired_ms: Option<u64>,
}

/// Failed user requests of the whole rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blast {
    /// Requests of the candidate that failed.
    pub failed: u64,
    /// Those of them that would not have failed at live's rate of the same time, at least 0.
    pub charged: f64,
    /// The most of them that the policy allows.
    pub limit: Option<u64>,
}

impl Blast {
    /// True when the candidate has cost more than it may.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.limit.is_some_and(|limit| self.charged > limit as f64)
    }
}

/// How long it is expected to take from this tick, in milliseconds, if everything goes on as it
/// has since the step began. `None` where it does not move that way, or where it cannot be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eta {
    /// Until *advance* has the sample, and the evidence, that it asks for.
    pub advance_ms: Option<u64>,
    /// Until *rollback*, if the candidate is as bad as it looks.
    pub rollback_ms: Option<u64>,
}

/// What a verdict follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Hash of the policy and the cells. Tells versions apart; it is no protection from forgery.
    pub policy: u64,
    /// Hash of every tick and every step since the rollout began, in order; with the same words.
    pub ticks: u128,
    /// Ticks taken.
    pub count: u64,
    /// End of the first tick, in milliseconds.
    pub from_ms: u64,
    /// End of the last tick, in milliseconds.
    pub to_ms: u64,
}

/// What cannot wait for a whole verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Nothing.
    None,
    /// Back to the last step that passed.
    Brake,
    /// Back to the live release.
    Rollback,
}

/// The judge's answer to one tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The end of the tick it answers, in milliseconds.
    pub at_ms: u64,
    /// What to do.
    pub call: Call,
    /// Every metric that has a rule, in the order of the policy.
    pub metrics: Vec<MetricVerdict>,
    /// The sequential evidence, where the policy asks for it.
    pub evidence: Option<EvidenceReport>,
    /// What the rollback rules alone would do, read literally; `None` while none is in breach.
    pub literal: Option<Literal>,
    /// What the candidate has cost users so far.
    pub blast: Blast,
    /// When it is expected to end, one way or the other.
    pub eta: Eta,
    /// What the verdict follows from: feed the same, and it is the same bit for bit.
    pub inputs: Inputs,
    /// The call and its cause in plain English.
    pub sentence: String,
}
