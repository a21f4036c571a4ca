//! CPU and memory: does the candidate fill up faster than instances of live do?
//! It must never compare levels, which differ by how long a process runs, only growth since start.

use std::collections::VecDeque;

use crate::student;

/// Length of one mean in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// Minutes at the start whose mean is the level that growth is measured from.
const BASE_MINUTES: u64 = 2;

/// Fewest instances of live for a comparison; with fewer there is only the projection.
const INSTANCES_MIN: usize = 5;

/// Minutes of a rollout that the error budget of this test is spread over.
const MINUTES_BUDGET: f64 = 60.0;

/// Minutes that a projection looks back, and the fewest it needs.
const LOOK_BACK: usize = 10;
const LOOK_BACK_MIN: usize = 5;

/// Spread below this many percent points between instances is the resolution of the gauge.
const SPREAD_MIN: f64 = 0.1;

/// One instance: the mean of the running minute, and the level it began with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Level {
    base: f64,
    base_count: f64,
    sum: f64,
    count: f64,
}

impl Level {
    fn add(&mut self, value: Option<f64>, basing: bool) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        if basing {
            self.base += value;
            self.base_count += 1.0;
        }
        self.sum += value;
        self.count += 1.0;
    }

    fn close(&mut self) -> Option<(f64, f64)> {
        let closed = (self.count > 0.0 && self.base_count > 0.0).then(|| {
            let mean = self.sum / self.count;
            (mean, mean - self.base / self.base_count)
        });
        self.sum = 0.0;
        self.count = 0.0;
        closed
    }
}

/// One gauge (CPU or memory) of both releases.
#[derive(Clone, Debug, PartialEq)]
pub struct Saturation {
    alpha: f64,
    began_ms: Option<u64>,
    minute: u64,
    candidate: Vec<Level>,
    live: Vec<Level>,
    means: VecDeque<f64>,
    fired_ms: Option<u64>,
}

impl Saturation {
    /// A test that errs in at most the share `alpha` of rollouts.
    #[must_use]
    pub fn new(alpha: f64) -> Saturation {
        Saturation {
            alpha,
            began_ms: None,
            minute: 0,
            candidate: Vec::new(),
            live: Vec::new(),
            means: VecDeque::new(),
            fired_ms: None,
        }
    }

    /// Takes one tick: the gauge of every instance, in percent, in an order that stays.
    pub fn update(&mut self, at_ms: u64, candidate: &[Option<f64>], live: &[Option<f64>]) {
        let same = self.candidate.len() == candidate.len() && self.live.len() == live.len();
        let back = self.began_ms.is_some_and(|began_ms| at_ms < began_ms);
        if !same || back {
            // Another set of instances is another comparison.
            self.candidate = vec![Level::default(); candidate.len()];
            self.live = vec![Level::default(); live.len()];
            self.began_ms = None;
            self.minute = 0;
        }
        let began_ms = *self.began_ms.get_or_insert(at_ms);
        let minute = (at_ms - began_ms) / MINUTE_MS;
        if minute > self.minute {
            self.close(at_ms);
            self.minute = minute;
        }
        let basing = minute < BASE_MINUTES;
        for (level, value) in self.candidate.iter_mut().zip(candidate) {
            level.add(*value, basing);
        }
        for (level, value) in self.live.iter_mut().zip(live) {
            level.add(*value, basing);
        }
    }

    /// The evidence: 1 over its budget once it has fired, else 0. Expected at most 1.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.fired_ms.is_some() { 1.0 / self.alpha } else { 0.0 }
    }

    /// When it fired.
    #[must_use]
    pub fn since_ms(&self) -> Option<u64> {
        self.fired_ms
    }

    /// Milliseconds until the candidate's mean reaches `limit` percent if it goes on as in the last
    /// ten minutes (the median of all slopes between two of them). `None` when it does not grow.
    #[must_use]
    pub fn reaches_in_ms(&self, limit: f64) -> Option<u64> {
        if self.means.len() < LOOK_BACK_MIN {
            return None;
        }
        let mut slopes = Vec::new();
        for (i, first) in self.means.iter().enumerate() {
            for (j, second) in self.means.iter().enumerate().skip(i + 1) {
                slopes.push((second - first) / (j - i) as f64);
            }
        }
        slopes.sort_by(f64::total_cmp);
        let slope = slopes.get(slopes.len() / 2).copied()?;
        let last = self.means.back().copied()?;
        if slope <= 0.0 {
            return None;
        }
        Some((((limit - last) / slope).max(0.0) * MINUTE_MS as f64) as u64)
    }

    fn close(&mut self, at_ms: u64) {
        let candidate: Vec<(f64, f64)> =
            self.candidate.iter_mut().filter_map(Level::close).collect();
        let live: Vec<(f64, f64)> = self.live.iter_mut().filter_map(Level::close).collect();
        if candidate.is_empty() {
            return;
        }
        if self.means.len() == LOOK_BACK {
            self.means.pop_front();
        }
        self.means.push_back(mean(candidate.iter().map(|level| level.0)));
        // In the first minutes growth is measured from itself.
        let based = self.minute >= BASE_MINUTES;
        if based && live.len() >= INSTANCES_MIN && self.fired_ms.is_none() {
            let growths: Vec<f64> = live.iter().map(|level| level.1).collect();
            let growth = mean(candidate.iter().map(|level| level.1));
            if stands_out(growth, candidate.len(), &growths, self.alpha / MINUTES_BUDGET) {
                self.fired_ms = Some(at_ms);
            }
        }
    }
}

/// Is the growth of `instances` candidate instances beyond what live's growths allow at `tail`?
fn stands_out(growth: f64, instances: usize, growths: &[f64], tail: f64) -> bool {
    let count = growths.len() as f64;
    let middle = mean(growths.iter().copied());
    let squares: f64 = growths.iter().map(|g| (g - middle) * (g - middle)).sum();
    let spread = libm::sqrt(squares / (count - 1.0)).max(SPREAD_MIN);
    let z = (growth - middle) / (spread * libm::sqrt(1.0 / instances as f64 + 1.0 / count));
    z > student::quantile(tail, u32::try_from(growths.len() - 1).unwrap_or(u32::MAX))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}
