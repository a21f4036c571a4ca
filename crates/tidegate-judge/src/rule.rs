//! The rules of a policy and what one rule reads from the counts of an arm.
//! It must never read a number that is not there: missing, NaN and infinite are `Nothing`.

use std::fmt;

use crate::gauge::Gauge;
use crate::histogram::Cells;
use crate::tick::Arm;
use crate::words;

/// Longest sustained time of a rule: beyond it a rule would outlive any rollout it guards.
pub const SUSTAINED_MS_MAX: u64 = 6 * 60 * 60 * 1000;

/// A quantile in basis points: 9,500 is the 95th percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantile(u16);

impl Quantile {
    /// The median.
    pub const P50: Quantile = Quantile(5_000);
    /// The 95th percentile.
    pub const P95: Quantile = Quantile(9_500);
    /// The 99th percentile.
    pub const P99: Quantile = Quantile(9_900);

    /// A quantile from basis points, 1 to 9,999.
    #[must_use]
    pub fn from_bp(bp: u16) -> Option<Quantile> {
        (1..=9_999).contains(&bp).then_some(Quantile(bp))
    }

    /// The quantile in basis points.
    #[must_use]
    pub fn bp(self) -> u16 {
        self.0
    }

    /// The quantile as a fraction of one.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Failed requests, in percent of requests.
    ErrorRate,
    /// A latency quantile, in milliseconds.
    LatencyMs(Quantile),
    /// CPU of the hottest instance, in percent of its allowance.
    Cpu,
    /// Memory of the fullest instance, in percent of its limit.
    Memory,
    /// Failed health probes, in percent of probes.
    ProbeFailures,
    /// A number from another system, in a unit of its own.
    Gauge(Gauge),
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::ErrorRate => f.write_str("errors"),
            Metric::LatencyMs(quantile) => {
                write!(f, "p{}", words::plain(f64::from(quantile.bp()) / 100.0))
            }
            Metric::Cpu => f.write_str("CPU"),
            Metric::Memory => f.write_str("memory"),
            Metric::ProbeFailures => f.write_str("failed probes"),
            Metric::Gauge(gauge) => f.write_str(gauge.name.as_str()),
        }
    }
}

impl Metric {
    /// The unit of the metric's numbers and limits.
    #[must_use]
    pub fn unit(&self) -> &str {
        match self {
            Metric::LatencyMs(_) => "ms",
            Metric::Gauge(gauge) => gauge.unit.as_str(),
            Metric::ErrorRate | Metric::Cpu | Metric::Memory | Metric::ProbeFailures => "%",
        }
    }

    /// Whether it comes from another system; both its directions can be good.
    #[must_use]
    pub fn is_gauge(&self) -> bool {
        matches!(self, Metric::Gauge(_))
    }

    /// Whether it is a level of this moment, which has no sample, and not a share of requests.
    #[must_use]
    pub fn is_level(&self) -> bool {
        matches!(self, Metric::Cpu | Metric::Memory | Metric::Gauge(_))
    }
}

/// How a number is held against the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Below,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
}

impl Op {
    /// The operator as people write it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Op::Below => "<",
            Op::Above => ">",
            Op::AtMost => "<=",
            Op::AtLeast => ">=",
        }
    }

    fn meets(self, left: u128, right: u128) -> bool {
        match self {
            Op::Below => left < right,
            Op::Above => left > right,
            Op::AtMost => left <= right,
            Op::AtLeast => left >= right,
        }
    }

    fn looks_down(self) -> bool {
        matches!(self, Op::Below | Op::AtMost)
    }
}

/// One line of a policy, such as `errors > 1 % for 5m`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What is looked at.
    pub metric: Metric,
    /// How it is compared.
    pub op: Op,
    /// The limit: percent, or milliseconds for latency.
    /// Percentages are decided exactly to seven places after the point.
    pub limit: f64,
    /// How long it must hold without a break, in milliseconds; 0 is at once.
    pub sustained_ms: u64,
    /// Fewest requests or probes one evaluation needs; an evaluation with fewer is no-data.
    pub min_sample: u64,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, sign) = (self.metric, self.op.sign());
        write!(f, "{metric} {sign} {}", words::amount(self.limit, metric.unit()))?;
        if self.sustained_ms > 0 {
            write!(f, " for {}", words::span(self.sustained_ms))?;
        }
        Ok(())
    }
}

/// What a rule read from counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// Not measured, or not readable.
    Nothing,
    /// `bad` of `of`; for latency `bad` are the requests at or above the rule's limit.
    Share {
        /// Failed, slow or unanswered.
        bad: u64,
        /// All that were counted; may be 0.
        of: u64,
    },
    /// A level in percent, such as CPU.
    Level(f64),
}

impl Measured {
    /// The number in percent: of bad ones, or the level. `None` for nothing or a share of none.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        match self {
            Measured::Nothing | Measured::Share { of: 0, .. } => None,
            Measured::Share { bad, of } => Some(100.0 * bad as f64 / of as f64),
            Measured::Level(level) => Some(level),
        }
    }
}

/// One evaluation of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The rule's condition holds: for a rollback rule a breach.
    Breach,
    /// The condition does not hold.
    Good,
    /// Nothing to decide on; neither of the two.
    NoData,
}

impl Rule {
    /// A rule with no sustained time and a smallest sample of one.
    #[must_use]
    pub fn at_once(metric: Metric, op: Op, limit: f64) -> Rule {
        Rule { metric, op, limit, sustained_ms: 0, min_sample: 1 }
    }

    /// A rule that must hold for `sustained_ms` milliseconds without a break.
    #[must_use]
    pub fn sustained(metric: Metric, op: Op, limit: f64, sustained_ms: u64) -> Rule {
        Rule { metric, op, limit, sustained_ms, min_sample: 1 }
    }

    /// What this rule reads from the counts of an arm. Counts that contradict themselves
    /// (more failures than requests, a histogram of another shape) are `Nothing`.
    #[must_use]
    pub fn measure(&self, arm: &Arm, cells: &Cells) -> Measured {
        match self.metric {
            Metric::ErrorRate => share(arm.failures, arm.requests),
            Metric::ProbeFailures => share(arm.probes_failed, arm.probes),
            Metric::LatencyMs(_) => match arm.latency.share_above(self.limit, cells) {
                Some((bad, of)) => Measured::Share { bad, of },
                None if arm.requests == 0 && arm.latency.counts().is_empty() => share(0, 0),
                None => Measured::Nothing,
            },
            Metric::Cpu => level(arm.cpu),
            Metric::Memory => level(arm.memory),
            Metric::Gauge(gauge) => match arm.gauges.get(usize::from(gauge.index)) {
                Some(Some(value)) if value.is_finite() => Measured::Level(*value),
                Some(_) | None => Measured::Nothing,
            },
        }
    }

    /// Decides the rule's condition on a measurement.
    ///
    /// `p95 < 200 ms` is decided as "at most 5 % of requests took 200 ms or longer", which is
    /// exact: 199.9 ms is inside, 200.0 ms is not. A latency that equals the limit always counts
    /// against the release, whichever of `>` and `>=` (or `<` and `<=`) is written.
    #[must_use]
    pub fn read(&self, measured: Measured) -> Reading {
        let holds = match measured {
            Measured::Nothing => return Reading::NoData,
            Measured::Share { of, .. } if of < self.min_sample.max(1) => return Reading::NoData,
            Measured::Share { bad, of } => self.holds_for_share(bad, of),
            Measured::Level(level) if !level.is_finite() => return Reading::NoData,
            Measured::Level(level) => match self.op {
                Op::Below => level < self.limit,
                Op::Above => level > self.limit,
                Op::AtMost => level <= self.limit,
                Op::AtLeast => level >= self.limit,
            },
        };
        if holds { Reading::Breach } else { Reading::Good }
    }

    /// The share (0 to 1) of bad requests that the rule allows: the limit of a percentage, or what
    /// a quantile leaves over. `None` for levels, which have no sample.
    #[must_use]
    pub fn allowed_share(&self) -> Option<f64> {
        match self.metric {
            Metric::ErrorRate | Metric::ProbeFailures => Some(self.limit / 100.0),
            Metric::LatencyMs(quantile) => Some(f64::from(10_000 - quantile.bp()) / 10_000.0),
            Metric::Cpu | Metric::Memory | Metric::Gauge(_) => None,
        }
    }

    // In whole numbers, so that 3 of 3,000 against 0.1 % does not hang on the last bit of a float.
    fn holds_for_share(&self, bad: u64, of: u64) -> bool {
        let (bad, of) = (u128::from(bad), u128::from(of));
        match self.metric {
            Metric::LatencyMs(quantile) => {
                let slow = bad * 10_000 > u128::from(10_000 - quantile.bp()) * of;
                slow != self.op.looks_down()
            }
            Metric::ErrorRate
            | Metric::ProbeFailures
            | Metric::Cpu
            | Metric::Memory
            | Metric::Gauge(_) => {
                // Percent times 1e7 is parts in 1e9; `as` saturates, and the policy check has
                // refused limits outside 0 to 100.
                let limit_ppb = libm::round(self.limit * 1e7) as u64;
                self.op.meets(bad * 1_000_000_000, u128::from(limit_ppb) * of)
            }
        }
    }
}

fn share(bad: u64, of: u64) -> Measured {
    if bad > of { Measured::Nothing } else { Measured::Share { bad, of } }
}

fn level(value: Option<f64>) -> Measured {
    match value {
        Some(level) if level.is_finite() && level >= 0.0 => Measured::Level(level),
        Some(_) | None => Measured::Nothing,
    }
}
