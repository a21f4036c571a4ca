//! Latency histograms with fixed logarithmic cells and the policy's limits as exact edges.
//! It must never interpolate: an answer is exact, or an upper bound that says so, or absent.

/// Upper edge of the first cell, in milliseconds.
/// Faster answers are all alike to a rule, so they share a cell.
pub const FIRST_EDGE_MS: f64 = 5.0;

/// Ratio of one logarithmic edge to the one before: a reading is at most 6 % too high.
pub const EDGE_RATIO: f64 = 1.06;

/// Logarithmic cells between the first edge (5 ms) and the last (about 9,745 ms).
pub const LOG_CELLS: usize = 130;

/// Policy limits that can be inserted as exact edges; real policies have two to six.
pub const LIMITS_MAX: usize = 16;

/// The edges of a histogram; two histograms can be added only when their cells are equal.
///
/// Cell `i` holds `edge[i - 1] <= ms < edge[i]`; cell 0 starts at 0 and the last cell has no end.
/// A latency that equals a limit therefore counts as *not faster* than the limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    edges: Vec<f64>,
    // For each cell the logarithmic cell it lies in, so that shifts by a ratio ignore limits.
    logs: Vec<usize>,
}

impl Cells {
    /// Builds the cells with `limits_ms` (milliseconds) as exact edges.
    ///
    /// Limits that are not finite or not above zero are left out, as are those past the first
    /// [`LIMITS_MAX`] in ascending order; [`Cells::has_edge`] tells what was taken.
    #[must_use]
    pub fn new(limits_ms: &[f64]) -> Cells {
        let mut limits: Vec<f64> =
            limits_ms.iter().copied().filter(|limit| limit.is_finite() && *limit > 0.0).collect();
        limits.sort_by(f64::total_cmp);
        limits.dedup_by(|a, b| a.total_cmp(b).is_eq());
        limits.truncate(LIMITS_MAX);
        let log_edges = log_edges();
        let mut edges = log_edges.clone();
        edges.extend(limits);
        edges.sort_by(f64::total_cmp);
        edges.dedup_by(|a, b| a.total_cmp(b).is_eq());
        let mut logs: Vec<usize> =
            edges.iter().map(|edge| log_edges.partition_point(|log| log < edge)).collect();
        logs.push(log_edges.len());
        Cells { edges, logs }
    }

    /// The cell of a latency in milliseconds.
    /// NaN goes to the overflow cell: an unreadable latency is never a fast one.
    #[must_use]
    pub fn index(&self, ms: f64) -> usize {
        if ms.is_nan() {
            return self.edges.len();
        }
        self.edges.partition_point(|edge| *edge <= ms)
    }

    /// Number of cells, the overflow cell included.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one cell")]
    pub fn len(&self) -> usize {
        self.edges.len() + 1
    }

    /// Upper edge of a cell in milliseconds; infinite for the overflow cell and beyond.
    #[must_use]
    pub fn upper_ms(&self, cell: usize) -> f64 {
        self.edges.get(cell).copied().unwrap_or(f64::INFINITY)
    }

    /// True when `limit_ms` is exactly an edge, so that rules on it can be decided exactly.
    #[must_use]
    pub fn has_edge(&self, limit_ms: f64) -> bool {
        self.edge_position(limit_ms).is_some()
    }

    /// The logarithmic cell (0 to 131) that a cell lies in; limits only cut these in pieces.
    #[must_use]
    pub fn log_cell(&self, cell: usize) -> usize {
        self.logs.get(cell).copied().unwrap_or(LOG_CELLS + 1)
    }

    fn edge_position(&self, limit_ms: f64) -> Option<usize> {
        self.edges.binary_search_by(|edge| edge.total_cmp(&limit_ms)).ok()
    }
}

// By repeated multiplication: each step is one correctly rounded operation on every machine,
// which `pow` would not promise.
fn log_edges() -> Vec<f64> {
    let mut edges = Vec::with_capacity(LOG_CELLS + 1);
    let mut edge = FIRST_EDGE_MS;
    for _ in 0..=LOG_CELLS {
        edges.push(edge);
        edge *= EDGE_RATIO;
    }
    edges
}

/// Two histograms were built over different cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellsDiffer {
    /// Cells of the histogram that was added to.
    pub ours: usize,
    /// Cells of the histogram that was to be added.
    pub theirs: usize,
}

impl std::fmt::Display for CellsDiffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "histogram has {} cells, the other has {}", self.ours, self.theirs)
    }
}

impl std::error::Error for CellsDiffer {}

/// Counts per cell. Without cells (the default) it means "latency was not measured".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u32>,
    // Kept beside the counts: most histograms of thin traffic are empty, and need no look.
    total: u64,
}

impl Histogram {
    /// An empty histogram over `cells`.
    #[must_use]
    pub fn new(cells: &Cells) -> Histogram {
        Histogram { counts: vec![0; cells.len()], total: 0 }
    }

    /// A histogram from counts that came over the wire.
    #[must_use]
    pub fn from_counts(counts: Vec<u32>) -> Histogram {
        let total = counts.iter().map(|count| u64::from(*count)).sum();
        Histogram { counts, total }
    }

    /// The counts, one a cell.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Counts one request in `cell`; saturates at `u32::MAX`. A cell that does not exist counts
    /// in the last one, so that nothing slow is ever lost.
    pub fn record(&mut self, cell: usize) {
        let last = self.counts.len().saturating_sub(1);
        if let Some(count) = self.counts.get_mut(cell.min(last)) {
            self.total += u64::from(*count < u32::MAX);
            *count = count.saturating_add(1);
        }
    }

    /// Adds the counts of `other`. An unmeasured histogram takes the shape of the other.
    ///
    /// # Errors
    /// [`CellsDiffer`] when both are measured over different numbers of cells.
    pub fn merge(&mut self, other: &Histogram) -> Result<(), CellsDiffer> {
        if other.counts.is_empty() {
            return Ok(());
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return Ok(());
        }
        if self.counts.len() != other.counts.len() {
            return Err(CellsDiffer { ours: self.counts.len(), theirs: other.counts.len() });
        }
        if other.total > 0 {
            for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
                *ours = ours.saturating_add(*theirs);
            }
            self.total = self.counts.iter().map(|count| u64::from(*count)).sum();
        }
        Ok(())
    }

    /// Requests counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// An upper bound of the `q`-quantile (0 < q <= 1) in milliseconds: the upper edge of the cell
    /// that holds it, so the true value is *below* it by at most 6 %.
    /// `None` without requests, for a foreign shape or a `q` out of range; infinite in overflow.
    #[must_use]
    pub fn quantile_ms(&self, q: f64, cells: &Cells) -> Option<f64> {
        let total = self.total();
        if total == 0 || self.counts.len() != cells.len() || !(q > 0.0 && q <= 1.0) {
            return None;
        }
        let rank = q * total as f64;
        let mut seen = 0_u64;
        let found = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen as f64 >= rank
        });
        Some(cells.upper_ms(found.unwrap_or(self.counts.len())))
    }

    /// Requests that took `limit_ms` or longer, and all requests.
    /// `None` when the limit is not an edge or the shape is foreign: no guess stands in for it.
    #[must_use]
    pub fn share_above(&self, limit_ms: f64, cells: &Cells) -> Option<(u64, u64)> {
        if self.counts.len() != cells.len() {
            return None;
        }
        let edge = cells.edge_position(limit_ms)?;
        let above = self.counts.iter().skip(edge + 1).map(|count| u64::from(*count)).sum();
        Some((above, self.total()))
    }
}
