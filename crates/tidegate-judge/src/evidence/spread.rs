//! How far instances of live differ among themselves in latency, as a margin for the candidate.
//! It must never be zero: two machines are never alike.

use super::latency::{CELLS, cells_of};
use crate::histogram::EDGE_RATIO;
use crate::student;

/// Chance of a false alarm through instance differences: 1 % over four steps.
const TAIL: f64 = 0.0025;

/// Fewest instances, and requests of each, before their own spread is believed.
const INSTANCES_MIN: usize = 3;
const REQUESTS_MIN: u64 = 200;

/// The quantile of [`TAIL`] for a spread that was taken from experience, not measured: that of the
/// normal law.
const PRIOR_QUANTILE: f64 = 2.807;

/// Mean log latency by instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    instances: Vec<(u64, f64)>,
    // Student's quantile for that many instances; kept, as it takes longer than a whole tick.
    quantile: f64,
}

impl Spread {
    /// Adds the logarithmic counts of each instance of live.
    pub fn add(&mut self, streams: &[Vec<u64>]) {
        if self.instances.len() != streams.len() {
            self.instances = vec![(0, 0.0); streams.len()];
            let freedom = u32::try_from(streams.len().saturating_sub(1)).unwrap_or(u32::MAX);
            self.quantile = student::quantile(TAIL, freedom);
        }
        for (instance, counts) in self.instances.iter_mut().zip(streams) {
            for (cell, count) in counts.iter().enumerate().take(CELLS) {
                instance.0 += count;
                instance.1 += cell as f64 * *count as f64;
            }
        }
    }

    /// The margin in whole logarithmic cells: the policy's own (`least`, as a fraction), or what
    /// differences between instances bring about by chance, whichever is larger.
    ///
    /// By hand: prior spread 5 %, two instances each: 2.807 * 0.05 = 14 %, which is 3 cells.
    #[must_use]
    pub fn margin(&self, least: f64, prior: f64, instances: (u32, u32)) -> usize {
        let known = self.instances.len() >= INSTANCES_MIN
            && self.instances.iter().all(|instance| instance.0 >= REQUESTS_MIN);
        let (spread, quantile) =
            if known { (self.learnt(), self.quantile) } else { (prior, PRIOR_QUANTILE) };
        let (candidate, live) = (f64::from(instances.0.max(1)), f64::from(instances.1.max(1)));
        let chance = quantile * spread * libm::sqrt(1.0 / candidate + 1.0 / live);
        libm::ceil(cells_of(1.0 + least.max(chance)) - 1e-9).clamp(1.0, CELLS as f64) as usize
    }

    fn learnt(&self) -> f64 {
        let cell = libm::log(EDGE_RATIO);
        let means: Vec<f64> =
            self.instances.iter().map(|(count, sum)| cell * sum / *count as f64).collect();
        let middle = means.iter().sum::<f64>() / means.len() as f64;
        let squares: f64 = means.iter().map(|mean| (mean - middle) * (mean - middle)).sum();
        libm::sqrt(squares / (means.len() - 1) as f64)
    }
}
