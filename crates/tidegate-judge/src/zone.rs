//! Where a metric stands: in the advance band, between the limits, in the rollback band, or unknown.
//! It must never place a metric in the advance band on a sample too small to show it.

use crate::binomial;
use crate::rule::{Measured, Metric, Reading, Rule};

/// The band a metric lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// Inside every advance rule, shown by enough of a sample.
    Advance,
    /// Not measured, or measured too little to be placed.
    NoData,
    /// Outside an advance rule, inside the rollback rules.
    Hold,
    /// In breach of a rollback rule, for however short a time.
    Rollback,
}

/// How an advance rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Inside the limit, shown by the sample.
    Pass,
    /// Inside the limit as far as seen, but `needed` requests are required to show it.
    TooFew,
    /// Nothing readable was measured.
    Unmeasured,
    /// Outside the limit.
    Outside,
}

/// An advance rule held against a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The result.
    pub standing: Standing,
    /// Requests (or probes) needed to pass if no further ones go wrong; 0 for levels.
    pub needed: u64,
}

/// Holds an advance rule against what was measured since the step began.
///
/// Errors and latency need `at_least` requests and the exact binomial bound below the limit at
/// `confidence`. Probes are too few for a bound: their share decides, from the rule's own smallest
/// sample on. Levels (CPU, memory) need no sample.
#[must_use]
pub fn place(rule: &Rule, measured: Measured, confidence: f64, at_least: u64) -> Placement {
    match (rule.metric, measured) {
        (Metric::Cpu | Metric::Memory | Metric::Gauge(_), level) => {
            let standing = match rule.read(level) {
                Reading::Breach => Standing::Pass,
                Reading::Good => Standing::Outside,
                Reading::NoData => Standing::Unmeasured,
            };
            Placement { standing, needed: 0 }
        }
        (_, Measured::Nothing | Measured::Level(_)) => {
            Placement { standing: Standing::Unmeasured, needed: rule.min_sample.max(at_least) }
        }
        (Metric::ProbeFailures, share) => {
            let standing = match rule.read(share) {
                Reading::Breach => Standing::Pass,
                Reading::Good => Standing::Outside,
                Reading::NoData => Standing::TooFew,
            };
            Placement { standing, needed: rule.min_sample.max(1) }
        }
        (Metric::ErrorRate | Metric::LatencyMs(_), Measured::Share { bad, of }) => {
            place_share(rule, (bad, of), confidence, at_least)
        }
    }
}

fn place_share(rule: &Rule, (bad, of): (u64, u64), confidence: f64, at_least: u64) -> Placement {
    let limit = rule.allowed_share().unwrap_or(0.0);
    let floor = rule.min_sample.max(at_least).max(1);
    let shown = binomial::shows_below(bad, of, limit, confidence);
    let inside = rule.read(Measured::Share { bad, of });
    let needed = if shown && of >= floor {
        // What would have been enough; the search is bounded by the sample that is there.
        floor.max(binomial::needed(bad, limit, confidence).min(of))
    } else {
        floor.max(binomial::needed(bad, limit, confidence))
    };
    let standing = match inside {
        Reading::Good => Standing::Outside,
        Reading::Breach if shown && of >= floor => Standing::Pass,
        Reading::Breach | Reading::NoData => Standing::TooFew,
    };
    Placement { standing, needed }
}
