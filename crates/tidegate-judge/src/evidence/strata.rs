//! The candidate's share of each route, where routes are told apart.
//! It must never be looked up for the tick that it scores: only what came before is known.
//!
//! With random assignment every route has the share that was set. Where users stick to a release
//! their routes stick with them, and a route may have another share: it is counted, and the share
//! that was set stands for [`BELIEF`] requests. By hand: 5 % set, 40 of 100 requests of a route
//! were the candidate's: (0.05 * 200 + 40) / 300 = 16.7 %.

use crate::tick::Arm;

/// Requests that the share that was set counts for.
const BELIEF: f64 = 200.0;

/// Requests of each route since the share was set: the candidate's, and all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    set: f64,
    counts: Vec<(f64, f64)>,
}

impl Shares {
    /// The candidate's share of the stratum `at`, by the ticks before this one.
    /// `None` while the arms are not split alike, or there is no comparison.
    #[must_use]
    pub fn of(&self, set: f64, at: usize, candidate: &Arm, live: &Arm) -> Option<f64> {
        let alike = candidate.strata.len() == live.strata.len() && candidate.strata.len() >= 2;
        if !alike || set <= 0.0 || set >= 1.0 {
            return None;
        }
        let same = (set - self.set).abs() <= 0.0 && self.counts.len() == candidate.strata.len();
        let (ours, all) = if same { self.counts.get(at).copied()? } else { (0.0, 0.0) };
        Some((set * BELIEF + ours) / (BELIEF + all))
    }

    /// Share and errors (candidate, live) of every stratum.
    #[must_use]
    pub fn of_errors(
        &self,
        set: f64,
        candidate: &Arm,
        live: &Arm,
    ) -> Option<Vec<(f64, (u64, u64))>> {
        self.of(set, 0, candidate, live)?;
        let pairs = candidate.strata.iter().zip(&live.strata).enumerate();
        let part = |(at, (a, b)): (usize, (&crate::tick::Stratum, &crate::tick::Stratum))| {
            Some((self.of(set, at, candidate, live)?, (a.failures, b.failures)))
        };
        pairs.map(part).collect()
    }

    /// Counts a tick.
    pub fn add(&mut self, set: f64, candidate: &Arm, live: &Arm) {
        if candidate.strata.len() != live.strata.len() {
            return;
        }
        if (set - self.set).abs() > 0.0 || self.counts.len() != candidate.strata.len() {
            self.set = set;
            self.counts.clear();
            self.counts.resize(candidate.strata.len(), (0.0, 0.0));
        }
        let pairs = candidate.strata.iter().zip(&live.strata);
        for (sum, (a, b)) in self.counts.iter_mut().zip(pairs) {
            sum.0 += a.requests as f64;
            sum.1 += a.requests as f64 + b.requests as f64;
        }
    }
}
