//! What the candidate has cost users: failed requests beyond what live's rate would have failed.
//! It must never charge a release with an incident that hits both.
//!
//! Of `n` requests of the candidate in a tick, `n * max(rate, objective) * tolerance` may fail,
//! `rate` being live's of the last half minute or of this very tick, whichever is higher: an
//! incident begins for both at once. The rest is charged, and never below zero in all.
//!
//! By hand: live failed 2 of 1,000 lately and in this tick none, the candidate 14 of 280; with a
//! tolerance of 1.5 it may fail 280 * 0.002 * 1.5 = 0.84, so 13.16 are charged.

use crate::tick::Arm;
use crate::verdict::Blast;

/// Memory of live's rate in milliseconds: after it, a request counts a third.
const MEMORY_MS: f64 = 30_000.0;

/// Requests of live that are assumed to have gone at the objective, so that a rate of none is not
/// taken for certain after one good answer.
const ASSUMED: f64 = 20.0;

/// The running charge of one rollout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Charge {
    objective: f64,
    tolerance: f64,
    live: (f64, f64),
    blast: Blast,
}

impl Charge {
    pub(crate) fn new(objective: f64, tolerance: f64, limit: Option<u64>) -> Charge {
        let blast = Blast { limit, ..Blast::default() };
        Charge { objective, tolerance, live: (0.0, 0.0), blast }
    }

    /// Takes a tick of `length_ms` milliseconds; without word of live its last rate stands.
    pub(crate) fn add(&mut self, length_ms: u64, candidate: Option<&Arm>, live: Option<&Arm>) {
        let mut now = 0.0;
        if let Some(live) = live.filter(|live| live.is_readable()) {
            now = live.failures as f64 / (live.requests as f64).max(1.0);
            let keep = libm::exp(-(length_ms as f64) / MEMORY_MS);
            self.live.0 = self.live.0 * keep + live.failures as f64;
            self.live.1 = self.live.1 * keep + live.requests as f64;
        }
        let Some(candidate) = candidate.filter(|candidate| candidate.is_readable()) else { return };
        let assumed = ASSUMED * self.objective;
        let rate = (self.live.0 + assumed) / (self.live.1 + ASSUMED);
        let allowed =
            candidate.requests as f64 * rate.max(now).max(self.objective) * self.tolerance;
        self.blast.failed = self.blast.failed.saturating_add(candidate.failures);
        self.blast.charged = (self.blast.charged + candidate.failures as f64 - allowed).max(0.0);
    }

    pub(crate) fn blast(&self) -> Blast {
        self.blast
    }
}
