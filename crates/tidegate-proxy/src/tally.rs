//! Counts in many cells of which few are filled, a copy a thread that counts: the latency histogram
//! of one revision. Each copy marks the cells it has filled, so that a reader looks at those alone.
//!
//! It must never lose or double a count: every one is in exactly one [`Tally::take`]. The tests run
//! this very file under `loom`, which is why it names its atomics through `super`.

use super::sync::{AtomicU32, AtomicU64, Ordering};

/// Cells that one word of marks stands for.
const WORD: usize = 64;

/// Two cache lines: processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Copy {
    marks: Box<[AtomicU64]>,
    counts: Box<[AtomicU32]>,
}

/// Counts in cells, a copy of them on every shard.
#[derive(Debug)]
pub(crate) struct Tally {
    copies: Box<[Copy]>,
}

impl Tally {
    /// At least one shard.
    pub(crate) fn new(cells: usize, shards: usize) -> Self {
        let copy = |_| Copy {
            marks: (0..cells.div_ceil(WORD)).map(|_| AtomicU64::new(0)).collect(),
            counts: (0..cells).map(|_| AtomicU32::new(0)).collect(),
        };
        Self { copies: (0..shards.max(1)).map(copy).collect() }
    }

    /// Counts one in a cell; a shard that does not exist counts with the others.
    pub(crate) fn add(&self, shard: usize, cell: usize) {
        let Some(copy) = self.copies.get(shard % self.copies.len()) else { return };
        if let Some((count, mark)) = copy.counts.get(cell).zip(copy.marks.get(cell / WORD)) {
            count.fetch_add(1, Ordering::Relaxed);
            // After the count: whoever takes this mark away sees the count. A mark that is set
            // already is set again, or the count might be left behind by a reader who is between
            // marks and counts.
            mark.fetch_or(1 << (cell % WORD), Ordering::Release);
        }
    }

    /// The filled cells and what was counted there since the last call, in order.
    pub(crate) fn take(&self) -> Vec<(u16, u32)> {
        let mut filled = Vec::new();
        let words = self.copies.first().map_or(0, |copy| copy.marks.len());
        for word in 0..words {
            let marks = self.copies.iter().filter_map(|copy| copy.marks.get(word));
            // A word without marks is left alone: writing it would pull its line away.
            let marked = marks.filter(|mark| mark.load(Ordering::Relaxed) > 0);
            let mut cells = marked.fold(0, |all, mark| all | mark.swap(0, Ordering::Acquire));
            while cells > 0 {
                let cell = word * WORD + cells.trailing_zeros() as usize;
                cells &= cells - 1;
                let counts = self.copies.iter().filter_map(|copy| copy.counts.get(cell));
                let counted = counts.filter(|count| count.load(Ordering::Relaxed) > 0);
                // Zero when an earlier call took the count before its mark was set.
                match counted.map(|count| count.swap(0, Ordering::Relaxed)).sum() {
                    0 => {}
                    sum => filled.extend(u16::try_from(cell).map(|cell| (cell, sum))),
                }
            }
        }
        filled
    }
}
