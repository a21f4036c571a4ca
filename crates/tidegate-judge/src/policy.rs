//! The limits a rollout is judged by, checked once before anything is judged.
//! It must never accept a rule that cannot be decided exactly as it is written.

use std::fmt;

use crate::evidence::EvidencePolicy;
use crate::histogram::Cells;
use crate::rule::{Metric, Op, Rule, SUSTAINED_MS_MAX};
use crate::window::{Gap, TICK_MS_DEFAULT, TICKS_MISSING_MAX};

/// Rules of one kind in a policy; the longest of the known runbooks has five.
pub const RULES_MAX: usize = 32;

/// Evaluation span where none is given, in milliseconds: ten ticks of the proxy.
pub const SPAN_MS_DEFAULT: u64 = 10_000;

/// What a fired rule means when the live release breaches it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Floor {
    /// A fired rule rolls back, whoever is to blame: the runbook as it is written.
    #[default]
    Literal,
    /// When live breaches the same rule in the same window and the candidate is not clearly
    /// worse, the verdict is hold (environment).
    Attributed,
}

/// Everything the judge is told about a rollout. The default has no rules at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// All must pass before a verdict can be *advance*; without any, only `at_least` and fresh
    /// telemetry are asked for. Comparisons are `<` or `<=`, for a gauge any; no sustained time.
    pub advance: Vec<Rule>,
    /// Any that fires rolls back. Comparisons are `>` or `>=`, for a gauge any.
    pub rollback: Vec<Rule>,
    /// Confidence (0 <= c < 1) with which errors and latency must be shown to be inside an advance
    /// rule, by the exact binomial bound. With 0 the plain share decides.
    pub confidence: f64,
    /// Fewest candidate requests in a step before it can be passed.
    pub at_least: u64,
    /// How far one evaluation looks back, in milliseconds; a rule sustained for less than five
    /// times that looks back a fifth of its own time.
    pub span_ms: u64,
    /// Expected length of a tick in milliseconds.
    pub tick_ms: u64,
    /// What an evaluation without data does to a run of breaches.
    pub gap: Gap,
    /// Whether incidents that hit both releases roll back.
    pub floor: Floor,
    /// Sequential evidence beside the rules; without it the rules alone decide.
    pub evidence: Option<EvidencePolicy>,
    /// Most user requests that may fail because of the candidate, over the whole rollout; more
    /// roll back. What would have failed at live's rate is not counted. `None` is no limit.
    pub blast_radius: Option<u64>,
    /// Silence of the candidate, in milliseconds, that rolls back; `None` holds instead. Below
    /// three ticks it would be noise.
    pub silence_ms: Option<u64>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            advance: Vec::new(),
            rollback: Vec::new(),
            confidence: 0.95,
            at_least: 0,
            span_ms: SPAN_MS_DEFAULT,
            tick_ms: TICK_MS_DEFAULT,
            gap: Gap::Holds,
            floor: Floor::Literal,
            evidence: None,
            blast_radius: None,
            silence_ms: None,
        }
    }
}

impl Policy {
    /// The latency limits in milliseconds that must be edges of the histogram's cells:
    /// what to pass to [`Cells::new`].
    #[must_use]
    pub fn limits_ms(&self) -> Vec<f64> {
        let rules = self.advance.iter().chain(&self.rollback);
        rules
            .filter(|rule| matches!(rule.metric, Metric::LatencyMs(_)))
            .map(|rule| rule.limit)
            .collect()
    }

    /// Checks every rule against the cells it will be decided on.
    ///
    /// # Errors
    /// The first [`PolicyError`] in the order of the fields.
    pub fn check(&self, cells: &Cells) -> Result<(), PolicyError> {
        if self.advance.len() > RULES_MAX || self.rollback.len() > RULES_MAX {
            let rules = self.advance.len().max(self.rollback.len());
            return Err(PolicyError::TooManyRules { rules });
        }
        if !(0.0..1.0).contains(&self.confidence) {
            return Err(PolicyError::Confidence { confidence: self.confidence });
        }
        if self.tick_ms == 0 || self.tick_ms > SUSTAINED_MS_MAX || self.span_ms > SUSTAINED_MS_MAX {
            return Err(PolicyError::Timing { tick_ms: self.tick_ms, span_ms: self.span_ms });
        }
        if let Some(evidence) = &self.evidence {
            evidence.check()?;
        }
        if self.blast_radius == Some(0) {
            return Err(PolicyError::Evidence { field: "blast_radius" });
        }
        let shortest_ms = self.tick_ms.saturating_mul(TICKS_MISSING_MAX);
        if self.silence_ms.is_some_and(|silence_ms| silence_ms <= shortest_ms) {
            return Err(PolicyError::Evidence { field: "silence_ms" });
        }
        for rule in &self.advance {
            if !rule.metric.is_gauge() && !matches!(rule.op, Op::Below | Op::AtMost) {
                return Err(PolicyError::Direction { rule: *rule });
            }
            if rule.sustained_ms > 0 {
                return Err(PolicyError::SustainedAdvance { rule: *rule });
            }
            check_limit(rule, cells)?;
        }
        for rule in &self.rollback {
            if !rule.metric.is_gauge() && !matches!(rule.op, Op::Above | Op::AtLeast) {
                return Err(PolicyError::Direction { rule: *rule });
            }
            if rule.sustained_ms > SUSTAINED_MS_MAX {
                return Err(PolicyError::SustainedTooLong { rule: *rule });
            }
            check_limit(rule, cells)?;
        }
        Ok(())
    }
}

fn check_limit(rule: &Rule, cells: &Cells) -> Result<(), PolicyError> {
    let in_range = match rule.metric {
        Metric::LatencyMs(_) if !cells.has_edge(rule.limit) => {
            return Err(PolicyError::NotAnEdge { rule: *rule });
        }
        Metric::LatencyMs(_) => true,
        Metric::ErrorRate | Metric::ProbeFailures => (0.0..=100.0).contains(&rule.limit),
        // CPU may burst past its allowance, so only nonsense is refused.
        Metric::Gauge(_) => rule.limit.is_finite(),
        Metric::Cpu | Metric::Memory => rule.limit.is_finite() && rule.limit >= 0.0,
    };
    if in_range { Ok(()) } else { Err(PolicyError::Limit { rule: *rule }) }
}

/// A policy that cannot be judged. The caller refuses the plan; no traffic has moved.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyError {
    /// More rules of a kind than [`RULES_MAX`].
    TooManyRules {
        /// Rules of the longer kind.
        rules: usize,
    },
    /// The confidence is not in 0 <= c < 1.
    Confidence {
        /// The value given.
        confidence: f64,
    },
    /// The tick is 0, or tick or span exceed [`SUSTAINED_MS_MAX`].
    Timing {
        /// The tick given, in milliseconds.
        tick_ms: u64,
        /// The span given, in milliseconds.
        span_ms: u64,
    },
    /// A number of the evidence policy, of the blast radius or of the silence is out of its range.
    Evidence {
        /// The field.
        field: &'static str,
    },
    /// An advance rule that wants a high number, or a rollback rule that wants a low one.
    Direction {
        /// The rule.
        rule: Rule,
    },
    /// An advance rule with a sustained time: the dwell of the step says how long.
    SustainedAdvance {
        /// The rule.
        rule: Rule,
    },
    /// A sustained time above [`SUSTAINED_MS_MAX`].
    SustainedTooLong {
        /// The rule.
        rule: Rule,
    },
    /// A percentage outside 0 to 100, or a number that is not finite.
    Limit {
        /// The rule.
        rule: Rule,
    },
    /// A latency limit that is no edge of the cells, so that it could only be guessed at.
    NotAnEdge {
        /// The rule.
        rule: Rule,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::TooManyRules { rules } => {
                write!(f, "{rules} rules of one kind, at most {RULES_MAX} are judged")
            }
            PolicyError::Confidence { confidence } => {
                write!(f, "confidence {confidence} is not at least 0 and below 1")
            }
            PolicyError::Timing { tick_ms, span_ms } => write!(
                f,
                "tick of {tick_ms} ms or span of {span_ms} ms is not within 1 ms and 6 hours"
            ),
            PolicyError::Evidence { field } => {
                write!(f, "`{field}` of the evidence policy is out of range")
            }
            PolicyError::Direction { rule } => write!(
                f,
                "`{rule}` points the wrong way: advance rules use < or <=, rollback rules > or >="
            ),
            PolicyError::SustainedAdvance { rule } => {
                write!(f, "advance rule `{rule}` has a time; the dwell of the step says how long")
            }
            PolicyError::SustainedTooLong { rule } => {
                write!(f, "`{rule}` is sustained for more than 6 hours")
            }
            PolicyError::Limit { rule } => write!(f, "the limit of `{rule}` is out of range"),
            PolicyError::NotAnEdge { rule } => write!(
                f,
                "the limit of `{rule}` is not an edge of the histogram, so it cannot be decided"
            ),
        }
    }
}

impl std::error::Error for PolicyError {}
