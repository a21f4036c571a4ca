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
    /// When the rules alone would roll back if the present breaches go on, in milliseconds from
    /// this tick: 0 when one has fired, `None` without a breach.
    pub literal_in_ms: Option<u64>,
    /// The call and its cause in plain English.
    pub sentence: String,
}
