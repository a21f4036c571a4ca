//! How far instances of live differ among themselves in latency, as a margin for the candidate.
//! It must never be zero: two machines are never alike.

//!
//! The spread is a guess until it is measured, and a guess may be wrong: it counts as much as
//! [`BELIEF`] instances, and the quantile is Student's for all of them together. With few instances
//! that is a wide margin, as two machines say little of how machines differ.

use super::law::{CELLS, Sparse, cells_of};
use crate::histogram::EDGE_RATIO;
use crate::student;

/// Chance of a false alarm through instance differences: 1 % over four steps.
const TAIL: f64 = 0.0025;

/// What the spread from experience counts for, in instances.
const BELIEF: u32 = 4;

/// Fewest instances, and requests of each, before their own spread is looked at.
const INSTANCES_MIN: usize = 2;
const REQUESTS_MIN: u64 = 200;

/// Mean log latency by instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    instances: Vec<(u64, f64)>,
    // Student's quantiles with and without the instances; kept, as they take longer than a tick.
    unknown: f64,
    known: f64,
}

impl Default for Spread {
    fn default() -> Spread {
        let unknown = student::quantile(TAIL, BELIEF);
        Spread { instances: Vec::new(), unknown, known: unknown }
    }
}

impl Spread {
    /// Adds the logarithmic counts of each instance of live.
    pub fn add(&mut self, streams: &[Sparse]) {
        if self.instances.len() != streams.len() {
            self.instances = vec![(0, 0.0); streams.len()];
            let freedom = u32::try_from(streams.len().saturating_sub(1)).unwrap_or(u32::MAX);
            self.known = student::quantile(TAIL, BELIEF.saturating_add(freedom));
        }
        for (instance, counts) in self.instances.iter_mut().zip(streams) {
            for (cell, count) in counts.iter().filter(|(cell, _)| *cell < CELLS) {
                instance.0 += count;
                instance.1 += *cell as f64 * *count as f64;
            }
        }
    }

    /// The margin in whole logarithmic cells: the policy's own (`least`, as a fraction), or what
    /// differences between instances bring about by chance, whichever is larger. `prior` is the
    /// spread from experience, as a fraction, `instances` those of the candidate and of live.
    ///
    /// By hand: prior 5 %, two instances each, none measured: Student's quantile with 4 degrees is
    /// 5.60, so 5.60 * 0.05 = 0.28 in logarithms, a factor of 1.32, which is 4.8: 5 cells.
    #[must_use]
    pub fn margin(&self, least: f64, prior: f64, instances: (u32, u32)) -> usize {
        let known = self.instances.len() >= INSTANCES_MIN
            && self.instances.iter().all(|instance| instance.0 >= REQUESTS_MIN);
        let believed = f64::from(BELIEF);
        let (spread, quantile) = if known {
            let freedom = (self.instances.len() - 1) as f64;
            let squares = believed * prior * prior + self.squares();
            (libm::sqrt(squares / (believed + freedom)), self.known)
        } else {
            (prior, self.unknown)
        };
        let (candidate, live) = (f64::from(instances.0.max(1)), f64::from(instances.1.max(1)));
        let chance = quantile * spread * libm::sqrt(1.0 / candidate + 1.0 / live);
        let cells = cells_of(1.0 + least).max(chance / libm::log(EDGE_RATIO));
        libm::ceil(cells - 1e-9).clamp(1.0, CELLS as f64) as usize
    }

    fn squares(&self) -> f64 {
        let cell = libm::log(EDGE_RATIO);
        let means: Vec<f64> =
            self.instances.iter().map(|(count, sum)| cell * sum / *count as f64).collect();
        let middle = means.iter().sum::<f64>() / means.len() as f64;
        means.iter().map(|mean| (mean - middle) * (mean - middle)).sum()
    }
}
