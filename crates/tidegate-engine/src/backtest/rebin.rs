//! Puts recorded latencies into the cells of another policy, and recorded numbers into its order.
//! Must never make an answer faster than it was: where a cell is cut by a new limit, all of it
//! counts as slower than the limit, which is at most 6 % too slow.

use tidegate_core::plan::{Rule, Traffic};
use tidegate_judge::histogram::Cells;

use crate::recording::{Entry, Side};

/// From the cells and sources of one policy to those of another.
#[derive(Debug)]
pub(super) struct Map {
    cells: Option<Vec<u16>>,
    gauges: Vec<Option<usize>>,
}

impl Map {
    pub(super) fn new(from: &Traffic, to: &Traffic) -> Self {
        let (old, new) = (Cells::new(&limits_ms(from)), Cells::new(&limits_ms(to)));
        let cells = (old != new).then(|| {
            let place = |cell: usize| {
                let upper_ms = old.upper_ms(cell);
                // The cell of the new ones that ends where the old one ends.
                let found = (0..new.len()).find(|cell| new.upper_ms(*cell) >= upper_ms);
                u16::try_from(found.unwrap_or(new.len() - 1)).unwrap_or(u16::MAX)
            };
            (0..old.len()).map(place).collect()
        });
        let (had, wants) = (&from.judging.sources, &to.judging.sources);
        let gauges = wants
            .iter()
            .map(|source| had.iter().position(|known| known.name == source.name))
            .collect();
        Self { cells, gauges }
    }

    pub(super) fn entry(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        if let Entry::Tick(counted) = &mut entry {
            for side in [&mut counted.candidate, &mut counted.live].into_iter().flatten() {
                self.side(side);
            }
        }
        entry
    }

    fn side(&self, side: &mut Side) {
        if let Some(cells) = &self.cells {
            let streams = side.streams.iter_mut().flat_map(|stream| &mut stream.latency);
            for (cell, _) in side.latency.iter_mut().chain(streams) {
                let slowest = cells.last().copied().unwrap_or(*cell);
                *cell = cells.get(usize::from(*cell)).copied().unwrap_or(slowest);
            }
        }
        let gauge = |index: &Option<usize>| side.gauges.get((*index)?).copied().flatten();
        side.gauges = self.gauges.iter().map(gauge).collect();
    }
}

fn limits_ms(traffic: &Traffic) -> Vec<f64> {
    let rules = traffic.advance_if.iter().chain(&traffic.rollback_if);
    let limits = |rule: &Rule| rule.metric.is_latency().then_some(rule.limit);
    rules.filter_map(limits).collect()
}

#[cfg(test)]
mod tests {
    use tidegate_judge::histogram::Cells;

    #[test]
    fn a_cell_that_is_cut_counts_as_slower_than_the_limit() {
        let (old, new) = (Cells::new(&[]), Cells::new(&[300.0]));
        let cell = old.index(299.0);
        let upper_ms = old.upper_ms(cell);
        let found = (0..new.len()).find(|cell| new.upper_ms(*cell) >= upper_ms);
        assert!(found.is_some_and(|found| new.upper_ms(found) > 300.0));
    }
}
