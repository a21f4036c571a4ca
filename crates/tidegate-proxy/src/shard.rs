//! Counters that many threads add to and one reads: each thread has its own cell, on a cache line
//! of its own, so that counting never waits for another core.
//!
//! It must never lose or double a count: every addition is in exactly one [`Sharded::take`]. The
//! tests run this very file under `loom`, which is why it names its atomics through `super`.

use super::sync::{AtomicU64, Ordering};

// Counters say how many, never in which order: no other memory hangs on their values.
const RELAXED: Ordering = Ordering::Relaxed;

/// Two cache lines: processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Line<const N: usize>([AtomicU64; N]);

/// `N` counters with one cell of each on every shard.
#[derive(Debug)]
pub(crate) struct Sharded<const N: usize> {
    lines: Box<[Line<N>]>,
}

impl<const N: usize> Sharded<N> {
    /// At least one shard.
    pub(crate) fn new(shards: usize) -> Self {
        let line = |_| Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { lines: (0..shards.max(1)).map(line).collect() }
    }

    /// Adds to a counter; a shard that does not exist counts with the others.
    pub(crate) fn add(&self, shard: usize, counter: usize, count: u64) {
        if let Some(cell) = self.cell(shard, counter) {
            cell.fetch_add(count, RELAXED);
        }
    }

    /// Takes off a counter that is read by [`Sharded::sum`]. A cell may wrap below zero when
    /// another shard did the adding; the sum does not.
    pub(crate) fn sub(&self, shard: usize, counter: usize, count: u64) {
        if let Some(cell) = self.cell(shard, counter) {
            cell.fetch_sub(count, RELAXED);
        }
    }

    fn cell(&self, shard: usize, counter: usize) -> Option<&AtomicU64> {
        self.lines.get(shard % self.lines.len())?.0.get(counter)
    }

    /// What a counter stands at.
    pub(crate) fn sum(&self, counter: usize) -> u64 {
        let cells = self.lines.iter().filter_map(|line| line.0.get(counter));
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(RELAXED)))
    }

    /// Whether the first `count` counters, which are all read by [`Sharded::take`], have nothing
    /// to take.
    pub(crate) fn is_quiet(&self, count: usize) -> bool {
        let cells = self.lines.iter().flat_map(|line| line.0.iter().take(count));
        cells.into_iter().all(|cell| cell.load(RELAXED) == 0)
    }

    /// What was added since the last call. One that counts at this moment is in this call or in
    /// the next one.
    pub(crate) fn take(&self, counter: usize) -> u64 {
        let cells = self.lines.iter().filter_map(|line| line.0.get(counter));
        // A cell at zero is left alone: writing it would pull its line away from its thread.
        let filled = cells.filter(|cell| cell.load(RELAXED) > 0);
        filled.map(|cell| cell.swap(0, RELAXED)).sum()
    }
}
