//! Evidence that a release is safe: the tests of a rollback turned around.
//! It must never grow while nothing is counted: an idle step proves nothing.
//!
//! Errors: the null is "above the objective *and* more than twice live's rate". Evidence against
//! either half is evidence against both together, so their mean is expected to be at most 1 under
//! the null. Latency: the null is "slower than live by the margin or more".
//!
//! By hand: objective 0.1 %, nothing expected to fail (g = 0): a good request gains
//! -ln(1 - 0.001) = 0.0010005; 2,995 of them multiply to 1 / 0.05.

use super::law::shifted;
use super::relative::chance;
use super::scores::Scores;

/// True rates that the test is built for, as parts of what the null allows.
const PARTS: [f64; 6] = [0.0, 0.1, 0.25, 0.5, 0.7, 0.85];

/// A release that fails up to this many times as often as live counts as no worse.
const TWICE: f64 = 2.0;

/// Slowness, in logarithmic cells, that must be ruled out: 1.06^2 is 12.4 %.
pub const MARGIN_CELLS: usize = 2;

/// True positions of the candidate against live, in cells, that the latency test is built for.
pub const POSITIONS: [f64; 3] = [0.0, 0.75, -2.0];

/// Largest exponent that is not yet infinite; evidence saturates there.
const NATS_MAX: f64 = 575.0;

/// Evidence for the candidate since the step began: its errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Safe {
    objective: f64,
    absolute: [f64; PARTS.len()],
    relative: [f64; PARTS.len()],
    // For each part: what a good request adds, and what an error of live adds at `share`.
    good: [f64; PARTS.len()],
    live: [f64; PARTS.len()],
    bad: [f64; PARTS.len()],
    share: f64,
}

impl Safe {
    /// Evidence for an error share below `objective`.
    #[must_use]
    pub fn new(objective: f64) -> Safe {
        let a = objective;
        Safe {
            objective,
            absolute: [0.0; PARTS.len()],
            relative: [0.0; PARTS.len()],
            good: PARTS.map(|part| libm::log((1.0 - part * a) / (1.0 - a))),
            live: [0.0; PARTS.len()],
            bad: [0.0; PARTS.len()],
            share: 0.0,
        }
    }

    /// Forgets everything: each step proves itself.
    pub fn step_began(&mut self) {
        *self = Safe::new(self.objective);
    }

    /// Takes the errors of one tick: `(failures, requests)` of the candidate, failures of live.
    pub fn errors(&mut self, share: f64, candidate: (u64, u64), live: u64, phi: f64) {
        let (bad, of) = (candidate.0 as f64, candidate.1 as f64);
        for ((sum, good), part) in self.absolute.iter_mut().zip(self.good).zip(PARTS) {
            let failed = if bad > 0.0 { bad * libm::log(part) } else { 0.0 };
            *sum += (failed + (of - bad) * good) / phi;
        }
        if share <= 0.0 || share >= 1.0 {
            return;
        }
        if (share - self.share).abs() > 0.0 {
            self.share = share;
            let th0 = chance(share, TWICE);
            let th = PARTS.map(|part| chance(share, TWICE * part));
            self.live = th.map(|th| libm::log((1.0 - th) / (1.0 - th0)));
            self.bad = th.map(|th| libm::log(th / th0));
        }
        let live = live as f64;
        for (sum, (gain, ours)) in self.relative.iter_mut().zip(self.live.iter().zip(self.bad)) {
            // None of something impossible is no evidence against it.
            let failed = if bad > 0.0 { bad * ours } else { 0.0 };
            *sum += (failed + live * gain) / phi;
        }
    }

    /// Evidence that errors are within bounds; 20 is one chance in 20 of being wrong.
    #[must_use]
    pub fn of_errors(&self) -> f64 {
        f64::midpoint(mean_exp(&self.absolute), mean_exp(&self.relative))
    }

    /// The fraction of its time that the evidence of errors still needs, if it goes on as it has
    /// since the step began: 0 when `needed` is reached, `None` when it does not grow.
    #[must_use]
    pub fn still(&self, needed: f64) -> Option<f64> {
        if self.of_errors() >= needed {
            return Some(0.0);
        }
        // The mean over twelve reaches it when the largest of them is twelve times as high.
        let goal = libm::log(needed * 2.0 * PARTS.len() as f64);
        let all = self.absolute.iter().chain(&self.relative);
        all.filter(|sum| **sum > 0.0).map(|sum| (goal / sum - 1.0).max(0.0)).min_by(f64::total_cmp)
    }
}

/// Scores for "not slower than live by the margin", one for each of [`POSITIONS`].
#[must_use]
pub fn safe_scores(law: &[f64], share: f64) -> Vec<Scores> {
    let scores = |position: &f64| {
        let other = mixed(&shifted(law, position - MARGIN_CELLS as f64), law);
        Scores::not_slower(law, &other, share, MARGIN_CELLS)
    };
    POSITIONS.iter().map(scores).collect()
}

// A trace of live's own law keeps every cell possible.
fn mixed(other: &[f64], law: &[f64]) -> Vec<f64> {
    other.iter().zip(law).map(|(a, p)| 0.999 * a + 0.001 * p).collect()
}

/// The mean of evidence given in nats.
#[must_use]
pub fn mean_exp(sums: &[f64]) -> f64 {
    let total: f64 = sums.iter().map(|sum| libm::exp(sum.min(NATS_MAX))).sum();
    total / sums.len() as f64
}
