//! The candidate's share of each route, where routes are told apart.
//! It must never be looked up for the tick that it scores: only what came before is known.
//!
//! With random assignment every route has the share that was set. Where users stick to a release
//! their routes stick with them, and a route may have another share: it is counted, and the share
//! that was set stands for [`BELIEF`] requests. By hand: 5 % set, 40 of 100 requests of a route
//! were the candidate's: (0.05 * 200 + 40) / 300 = 16.7 %.
//!
//! When the share is changed, the odds of a route are changed by the same factor as the odds that
//! were set, as long as each release's users keep to their ways; what was counted goes on to stand
//! for at most [`CARRIED`] requests. By hand: 5 % set and 16.7 % found are odds of 1/19 and 1/5;
//! 25 % set are odds of 1/3, 19/3 times as many, so the route's become 19/15: 55.9 %.

use crate::tick::Arm;

/// Requests that the share that was set counts for.
const BELIEF: f64 = 200.0;

/// Most requests that what was found before a change of the share counts for.
const CARRIED: f64 = 2_000.0;

/// Requests of each route since the share was set: the candidate's, and all. They begin with what
/// was known beforehand.
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
        let (ours, all) = self.known(set, at, candidate.strata.len());
        Some(ours / all)
    }

    // What is known of a route at this share: the candidate's requests, and all.
    fn known(&self, set: f64, at: usize, routes: usize) -> (f64, f64) {
        match self.counts.get(at) {
            Some(counts) if self.counts.len() == routes => {
                if (set - self.set).abs() <= 0.0 {
                    return *counts;
                }
                let weight = counts.1.min(CARRIED);
                let odds = counts.0 / (counts.1 - counts.0);
                let moved = odds * (set / (1.0 - set)) * ((1.0 - self.set) / self.set);
                // A route that only one of them was asked for says nothing of the other shares.
                let is_told = moved.is_finite() && moved > 0.0;
                let share = if is_told { moved / (1.0 + moved) } else { set };
                (share * weight, weight)
            }
            Some(_) | None => (set * BELIEF, BELIEF),
        }
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

    /// Counts a tick. At a share of 0 or 1 there is nothing to tell apart.
    pub fn add(&mut self, set: f64, candidate: &Arm, live: &Arm) {
        let routes = candidate.strata.len();
        if routes != live.strata.len() || set <= 0.0 || set >= 1.0 {
            return;
        }
        if (set - self.set).abs() > 0.0 || self.counts.len() != routes {
            self.counts = (0..routes).map(|at| self.known(set, at, routes)).collect();
            self.set = set;
        }
        let pairs = candidate.strata.iter().zip(&live.strata);
        for (sum, (a, b)) in self.counts.iter_mut().zip(pairs) {
            sum.0 += a.requests as f64;
            sum.1 += a.requests as f64 + b.requests as f64;
        }
    }
}
