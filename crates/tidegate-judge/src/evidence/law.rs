//! Latencies as a law over logarithmic cells: counting, smoothing, moving, remembering.
//! It must never know which release a law belongs to.

use std::collections::VecDeque;

use crate::histogram::{Cells, EDGE_RATIO, Histogram, LOG_CELLS};

/// Logarithmic cells with the first and the overflow.
pub const CELLS: usize = LOG_CELLS + 2;

/// Minutes of live that its law is learnt from.
const MINUTES: usize = 10;

/// Counts by logarithmic cell in ascending order, the empty cells left out: most are.
pub type Sparse = Vec<(usize, u64)>;

/// Requests counted.
#[must_use]
pub fn total(counts: &[(usize, u64)]) -> u64 {
    counts.iter().map(|(_, count)| *count).sum()
}

/// A logarithmic shift in cells for a factor: a factor of 1.06 is one cell.
#[must_use]
pub fn cells_of(factor: f64) -> f64 {
    libm::log(factor) / libm::log(EDGE_RATIO)
}

/// Writes the counts by logarithmic cell into `counts`; the policy's limits do not matter here.
/// False when not measured, and then `counts` is empty.
pub fn log_counts(histogram: &Histogram, cells: &Cells, counts: &mut Sparse) -> bool {
    counts.clear();
    if histogram.counts().len() != cells.len() {
        return false;
    }
    for (cell, count) in histogram.counts().iter().enumerate() {
        if *count > 0 {
            let (cell, count) = (cells.log_cell(cell), u64::from(*count));
            match counts.last_mut() {
                Some((last, sum)) if *last == cell => *sum += count,
                Some(_) | None => counts.push((cell, count)),
            }
        }
    }
    true
}

/// The law moved by `by` cells (negative: faster), a part between two cells shared out.
#[must_use]
pub fn shifted(law: &[f64], by: f64) -> Vec<f64> {
    let mut moved = vec![0.0; law.len()];
    let last = law.len().saturating_sub(1) as f64;
    for (cell, p) in law.iter().enumerate() {
        let to = (cell as f64 + by).clamp(0.0, last);
        let below = libm::floor(to);
        let part = to - below;
        let below = below as usize;
        moved[below] += p * (1.0 - part);
        if let Some(above) = moved.get_mut(below + 1) {
            *above += p * part;
        }
    }
    moved
}

/// Smooths counts over two cells to each side and makes them a law without a zero.
#[must_use]
pub fn law_of(counts: &[u64]) -> Vec<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return vec![1.0 / counts.len() as f64; counts.len()];
    }
    // A hundredth of a request over all cells: enough to be possible, too little to be likely.
    let trace = 0.01 / counts.len().max(1) as f64;
    let near = |cell: usize| {
        let from = cell.saturating_sub(2);
        let to = (cell + 2).min(counts.len() - 1);
        let sum: u64 = counts[from..=to].iter().sum();
        sum as f64 / 5.0
    };
    let rough: Vec<f64> = (0..counts.len()).map(|cell| near(cell) + trace).collect();
    let sum: f64 = rough.iter().sum();
    rough.iter().map(|p| p / sum).collect()
}

/// Live's latencies of the last ten minutes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    minutes: VecDeque<Vec<u64>>,
    began_ms: Option<u64>,
    total: u64,
}

impl Baseline {
    /// Requests that are remembered.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds the counts of a tick.
    pub fn add(&mut self, at_ms: u64, counts: &[(usize, u64)]) {
        let fresh = match self.began_ms {
            Some(began_ms) => at_ms < began_ms || at_ms - began_ms >= 60_000,
            None => true,
        };
        if fresh {
            self.began_ms = Some(at_ms);
            self.minutes.push_back(vec![0; CELLS]);
            if self.minutes.len() > MINUTES
                && let Some(old) = self.minutes.pop_front()
            {
                self.total = self.total.saturating_sub(old.iter().sum());
            }
        }
        self.total = self.total.saturating_add(total(counts));
        if let Some(minute) = self.minutes.back_mut() {
            add_to(minute, counts);
        }
    }

    /// All counts that are remembered.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        let mut sum = vec![0; CELLS];
        for minute in &self.minutes {
            for (sum, count) in sum.iter_mut().zip(minute) {
                *sum += count;
            }
        }
        sum
    }
}

/// Adds sparse counts to dense ones.
pub(crate) fn add_to(dense: &mut [u64], counts: &[(usize, u64)]) {
    for (cell, count) in counts {
        if let Some(sum) = dense.get_mut(*cell) {
            *sum += count;
        }
    }
}
