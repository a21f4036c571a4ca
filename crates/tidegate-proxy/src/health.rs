//! How well one endpoint does: what it costs to send it one more request, and whether it is passed
//! over for a while.
//!
//! It must never look past the endpoints of one revision: who is unwell loses requests to its
//! siblings, never to another revision, so the split stays as it is.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

// Each is a hint for the next choice; no other memory hangs on them.
const RELAXED: Ordering = Ordering::Relaxed;

/// Failures in a row after which an endpoint is passed over.
const FAILURES_IN_A_ROW: u32 = 5;
/// For how long at first; each further failure doubles it.
const REST: Duration = Duration::from_secs(1);
/// And for how long at most.
const REST_MAX: Duration = Duration::from_secs(30);
/// Each sample moves the average by this part of the difference; a slower one counts at once.
const AVERAGE_OVER: u64 = 8;
/// An average is halved after this time without a sample, so that a slow endpoint is asked again.
const FORGET_AFTER_MS: u64 = 10_000;

/// The health of one endpoint.
#[derive(Debug)]
pub(crate) struct Health {
    born: Instant,
    in_flight: AtomicUsize,
    failures: AtomicU32,
    /// Milliseconds after `born` until which the endpoint is passed over.
    resting_until: AtomicU64,
    /// Moving average of the time to a response head with its peaks, microseconds.
    average_us: AtomicU64,
    /// Milliseconds after `born` of the last sample.
    sampled_at: AtomicU64,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            born: Instant::now(),
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            resting_until: AtomicU64::new(0),
            average_us: AtomicU64::new(0),
            sampled_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, RELAXED);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, RELAXED);
    }

    /// A response head that is no failure came after this time.
    pub(crate) fn answered(&self, after: Duration) {
        if self.failures.load(RELAXED) > 0 {
            self.failures.store(0, RELAXED);
        }
        let sample = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let average = self.average_us.load(RELAXED);
        let next =
            if sample > average { sample } else { average - (average - sample) / AVERAGE_OVER };
        self.average_us.store(next, RELAXED);
        self.sampled_at.store(self.age_ms(), RELAXED);
    }

    /// It answered with its own failure, or broke, or was silent for too long.
    pub(crate) fn failed(&self) {
        let failures = self.failures.fetch_add(1, RELAXED).saturating_add(1);
        if let Some(beyond) = failures.checked_sub(FAILURES_IN_A_ROW) {
            self.rest(REST.saturating_mul(1 << beyond.min(8)).min(REST_MAX));
        }
    }

    /// It accepts no connection.
    pub(crate) fn refused(&self) {
        self.rest(REST);
    }

    fn rest(&self, lasts: Duration) {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or_default();
        self.resting_until.store(self.age_ms().saturating_add(lasts), RELAXED);
    }

    pub(crate) fn is_resting(&self) -> bool {
        let until = self.resting_until.load(RELAXED);
        until > 0 && self.age_ms() < until
    }

    /// What one more request would wait for, in steps of a factor of two of the average: two
    /// endpoints that differ by chance are told apart by their requests in progress alone.
    pub(crate) fn cost(&self) -> u64 {
        let silent = self.age_ms().saturating_sub(self.sampled_at.load(RELAXED));
        let halvings = u32::try_from(silent / FORGET_AFTER_MS).unwrap_or(u32::MAX).min(63);
        let average_ms = (self.average_us.load(RELAXED) >> halvings) / 1_000;
        let weight = 1_u64 << average_ms.max(1).ilog2().min(20);
        (self.in_flight.load(RELAXED) as u64 + 1).saturating_mul(weight)
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_endpoint_costs_more_and_chance_costs_nothing() {
        let (fast, slow) = (Health::new(), Health::new());
        fast.answered(Duration::from_micros(300));
        slow.answered(Duration::from_micros(900));
        assert_eq!(fast.cost(), slow.cost());
        slow.answered(Duration::from_millis(80));
        assert!(slow.cost() >= 32 * fast.cost(), "{} {}", slow.cost(), fast.cost());
        (0..60).for_each(|_| slow.answered(Duration::from_micros(300)));
        assert_eq!(fast.cost(), slow.cost());
        fast.enter();
        assert_eq!(fast.cost(), 2 * slow.cost());
    }

    #[test]
    fn failures_in_a_row_eject_and_one_answer_ends_the_row() {
        let health = Health::new();
        (1..FAILURES_IN_A_ROW).for_each(|_| health.failed());
        health.answered(Duration::from_millis(1));
        (1..FAILURES_IN_A_ROW).for_each(|_| health.failed());
        assert!(!health.is_resting());
        health.failed();
        assert!(health.is_resting());
        (0..40).for_each(|_| health.failed());
        let until = health.resting_until.load(RELAXED);
        assert!(until <= health.age_ms() + 30_000, "never for more than half a minute");
    }
}
