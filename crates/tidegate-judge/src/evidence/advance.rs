//! Evidence that a release is safe: the tests of a rollback turned around.
//! It must never grow while nothing is counted: an idle step proves nothing.
//!
//! Errors: the null is "above the objective *and* more than twice live's rate". Evidence against
//! either half is evidence against both together, so their mean is expected to be at most 1 under
//! the null. Latency: the null is "slower than live by the margin or more".
//!
//! By hand: objective 0.1 %, nothing expected to fail (g = 0): a good request gains
//! -ln(1 - 0.001) = 0.0010005; 2,995 of them multiply to 1 / 0.05.

use super::latency::{Baseline, Counts, Scores, law_of, shifted};
use super::relative::chance;

/// True rates that the test is built for, as parts of what the null allows.
const PARTS: [f64; 6] = [0.0, 0.1, 0.25, 0.5, 0.7, 0.85];

/// A release that fails up to this many times as often as live counts as no worse.
const TWICE: f64 = 2.0;

/// Slowness, in logarithmic cells, that must be ruled out: 1.06^2 is 12.4 %.
pub const MARGIN_CELLS: usize = 2;

/// True positions of the candidate against live, in cells, that the latency test is built for.
const POSITIONS: [f64; 3] = [0.0, 0.75, -2.0];

/// Largest exponent that is not yet infinite; evidence saturates there.
const NATS_MAX: f64 = 575.0;

/// Evidence for the candidate since the step began.
#[derive(Clone, Debug, PartialEq)]
pub struct Safe {
    objective: f64,
    absolute: [f64; PARTS.len()],
    relative: [f64; PARTS.len()],
    latency: [f64; POSITIONS.len()],
    tables: Vec<Scores>,
    built_for: f64,
}

impl Safe {
    /// Evidence for an error share below `objective`.
    #[must_use]
    pub fn new(objective: f64) -> Safe {
        Safe {
            objective,
            absolute: [0.0; PARTS.len()],
            relative: [0.0; PARTS.len()],
            latency: [0.0; POSITIONS.len()],
            tables: Vec::new(),
            built_for: 0.0,
        }
    }

    /// Forgets everything: each step proves itself.
    pub fn step_began(&mut self) {
        *self = Safe::new(self.objective);
    }

    /// Takes the errors of one tick: `(failures, requests)` of the candidate, failures of live.
    pub fn errors(&mut self, share: f64, candidate: (u64, u64), live: u64, phi: f64) {
        let (bad, of) = (candidate.0 as f64, candidate.1 as f64);
        let a = self.objective;
        for (sum, part) in self.absolute.iter_mut().zip(PARTS) {
            let good = (of - bad) * libm::log((1.0 - part * a) / (1.0 - a));
            *sum += (times_log(bad, part) + good) / phi;
        }
        if share <= 0.0 || share >= 1.0 {
            return;
        }
        let th0 = chance(share, TWICE);
        for (sum, part) in self.relative.iter_mut().zip(PARTS) {
            let th = chance(share, TWICE * part);
            let live = live as f64 * libm::log((1.0 - th) / (1.0 - th0));
            *sum += (times_log(bad, th / th0) + live) / phi;
        }
    }

    /// Takes the latencies of one tick; `baseline` must not hold it yet.
    pub fn latency(&mut self, share: f64, counts: &Counts, baseline: &Baseline, phi: f64) {
        if share <= 0.0 || share >= 1.0 {
            return;
        }
        if self.tables.is_empty() || (share - self.built_for).abs() > 0.0 {
            let learnt = baseline.counts();
            if learnt.iter().sum::<u64>() == 0 {
                return;
            }
            let law = law_of(&learnt);
            let table = |position: &f64| {
                let other = mixed(&shifted(&law, position - MARGIN_CELLS as f64), &law);
                Scores::not_slower(&law, &other, share, MARGIN_CELLS)
            };
            self.tables = POSITIONS.iter().map(table).collect();
            self.built_for = share;
        }
        for (sum, table) in self.latency.iter_mut().zip(&self.tables) {
            *sum += table.gain(&counts.candidate, &counts.live) / phi;
        }
    }

    /// Evidence that errors are within bounds; 20 is one chance in 20 of being wrong.
    #[must_use]
    pub fn of_errors(&self) -> f64 {
        f64::midpoint(mean_exp(&self.absolute), mean_exp(&self.relative))
    }

    /// Evidence that the candidate is not slower than live by 12.4 % or more.
    #[must_use]
    pub fn of_latency(&self) -> f64 {
        mean_exp(&self.latency)
    }
}

// A trace of live's own law keeps every cell possible.
fn mixed(other: &[f64], law: &[f64]) -> Vec<f64> {
    other.iter().zip(law).map(|(a, p)| 0.999 * a + 0.001 * p).collect()
}

// `count * ln(ratio)`, where none of something impossible is no evidence against it.
fn times_log(count: f64, ratio: f64) -> f64 {
    if count > 0.0 { count * libm::log(ratio) } else { 0.0 }
}

fn mean_exp(sums: &[f64]) -> f64 {
    let total: f64 = sums.iter().map(|sum| libm::exp(sum.min(NATS_MAX))).sum();
    total / sums.len() as f64
}
