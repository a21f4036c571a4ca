//! Latency of the candidate against live: are its answers shifted to slower cells?
//! It must never assume a shape of the latencies: only that requests were assigned at random.
//!
//! With `p` the law of live (any guess from the past will do), `A` the law of the candidate under
//! an alternative and `w` its share, a request in cell `x` scores `A(x)/m(x)` in the candidate and
//! `p(x)/m(x)` in live, `m = w*A + (1-w)*p`. As `w*A/m + (1-w)*p/m = 1` in every cell, the expected
//! score of a request is 1 while both releases have the same law, whatever that law is. Scores of
//! the candidate are made to rise with the cell (so a faster candidate is expected to score less)
//! and are read `margin` cells lower (so a candidate slower by less than the margin does too).
//!
//! By hand: two cells, p = (0.8, 0.2), A = (0.4, 0.6), w = 1/2: m = (0.6, 0.4); the candidate scores
//! (0.667, 1.5), live (1.333, 0.5); in each cell the mean of both is 1.

use std::collections::VecDeque;

use super::dispersion::{BLOCK_MS, Dispersion, deviations};
use super::process::Process;
use crate::histogram::{Cells, EDGE_RATIO, Histogram, LOG_CELLS};

/// Logarithmic cells with the first and the overflow.
pub const CELLS: usize = LOG_CELLS + 2;

/// Shares of the requests that an alternative makes slower.
const FRACTIONS: [f64; 3] = [1.0, 0.2, 0.05];

/// Factors by which it makes them slower.
const FACTORS: [f64; 6] = [1.1, 1.25, 1.5, 2.0, 4.0, 10.0];

/// Share of live's own law in every alternative, so that no cell is impossible.
const MIXED_IN: f64 = 0.001;

/// Minutes of live that its law is learnt from.
const MINUTES: usize = 10;

/// Tables are built again after this many milliseconds.
const TABLES_MS: u64 = 60_000;

/// Fewest requests of live before its law is used at all.
const LEARNT_MIN: u64 = 200;

/// A logarithmic shift in cells for a factor: a factor of 1.06 is one cell.
#[must_use]
pub fn cells_of(factor: f64) -> f64 {
    libm::log(factor) / libm::log(EDGE_RATIO)
}

/// Counts by logarithmic cell; the policy's limits do not matter here. `None` when not measured.
#[must_use]
pub fn log_counts(histogram: &Histogram, cells: &Cells) -> Option<Vec<u64>> {
    if histogram.counts().len() != cells.len() {
        return None;
    }
    let mut counts = vec![0_u64; CELLS];
    for (cell, count) in histogram.counts().iter().enumerate() {
        if let Some(sum) = counts.get_mut(cells.log_cell(cell)) {
            *sum += u64::from(*count);
        }
    }
    Some(counts)
}

/// Logarithms of the scores by cell, for the candidate and for live.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Of a request of the candidate.
    pub candidate: Vec<f64>,
    /// Of a request of live.
    pub live: Vec<f64>,
}

impl Scores {
    /// Scores for "slower": `law` is live's law, `other` the candidate's under the alternative.
    #[must_use]
    pub fn slower(law: &[f64], other: &[f64], share: f64, margin: usize) -> Scores {
        let mut scores = raw(law, other, share);
        let mut highest = 0.0_f64;
        for score in &mut scores {
            highest = highest.max(*score);
            *score = highest;
        }
        Scores::finish(&scores, share, margin)
    }

    /// Scores for "not slower by `margin` cells": they fall with the cell.
    #[must_use]
    pub fn not_slower(law: &[f64], other: &[f64], share: f64, margin: usize) -> Scores {
        let mut scores = raw(law, other, share);
        let mut highest = 0.0_f64;
        for score in scores.iter_mut().rev() {
            highest = highest.max(*score);
            *score = highest;
        }
        // Above the last full margin both releases end up in the overflow cell alike.
        let flat = scores.len().saturating_sub(1 + margin);
        let level = scores.get(flat).copied().unwrap_or(1.0);
        for score in scores.iter_mut().skip(flat) {
            *score = level;
        }
        Scores::finish(&scores, share, margin)
    }

    // Live's score is what the candidate's leaves over, so that both are expected to be 1 together.
    fn finish(scores: &[f64], share: f64, margin: usize) -> Scores {
        let live = scores.iter().map(|score| libm::log((1.0 - share * score) / (1.0 - share)));
        let candidate = (0..scores.len()).map(|x| libm::log(scores[x.saturating_sub(margin)]));
        Scores { candidate: candidate.collect(), live: live.collect() }
    }

    /// The gain (nats) of one tick with these counts.
    #[must_use]
    pub fn gain(&self, candidate: &[u64], live: &[u64]) -> f64 {
        weigh(&self.candidate, candidate) + weigh(&self.live, live)
    }
}

fn weigh(scores: &[f64], counts: &[u64]) -> f64 {
    let touched = scores.iter().zip(counts).filter(|(_, count)| **count > 0);
    touched.map(|(score, count)| score * *count as f64).sum()
}

fn raw(law: &[f64], other: &[f64], share: f64) -> Vec<f64> {
    law.iter().zip(other).map(|(p, a)| a / (share * a + (1.0 - share) * p)).collect()
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
    if total == 0 { vec![1.0 / counts.len() as f64; counts.len()] } else { scale(&rough, sum) }
}

fn scale(law: &[f64], by: f64) -> Vec<f64> {
    law.iter().map(|p| p / by).collect()
}

/// Live's latencies of the last ten minutes, the running one left out until it is over.
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
    pub fn add(&mut self, at_ms: u64, counts: &[u64]) {
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
        self.total = self.total.saturating_add(counts.iter().sum());
        if let Some(minute) = self.minutes.back_mut() {
            for (sum, count) in minute.iter_mut().zip(counts) {
                *sum += count;
            }
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

/// One tick of both releases by logarithmic cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Of the candidate.
    pub candidate: Vec<u64>,
    /// Of live.
    pub live: Vec<u64>,
    /// Of live, split by instance or cohort; may be empty.
    pub streams: Vec<Vec<u64>>,
}

/// The evidence that the candidate answers more slowly than live by more than a margin.
#[derive(Clone, Debug, PartialEq)]
pub struct Slower {
    tables: Vec<Scores>,
    built_ms: Option<u64>,
    built_for: (f64, usize),
    built_from: u64,
    noise: Noise,
    process: Process,
}

impl Default for Slower {
    fn default() -> Slower {
        let alternatives = FRACTIONS.len() * FACTORS.len();
        Slower {
            tables: Vec::new(),
            built_ms: None,
            built_for: (0.0, 0),
            built_from: 0,
            noise: Noise::new(alternatives),
            process: Process::new(alternatives),
        }
    }
}

impl Slower {
    /// Takes one tick. `baseline` must not hold this tick yet: a law guessed from the very
    /// requests it scores would not be a guess.
    pub fn update(
        &mut self,
        step: &super::Step,
        share: f64,
        margin: usize,
        counts: &Counts,
        baseline: &Baseline,
    ) {
        let open = share > 0.0 && share < 1.0;
        if open {
            self.build(step.at_ms, share, margin, baseline);
        }
        let ready = open && !self.tables.is_empty();
        let (tables, noise) = (&self.tables, &self.noise);
        self.process.step(step.at_ms, step.stake, step.cap, |k| {
            if !ready {
                return 0.0;
            }
            tables[k].gain(&counts.candidate, &counts.live) / noise.phi(k)
        });
        if ready {
            self.noise.tick(step.at_ms, counts, &self.tables);
        }
    }

    /// The running process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The largest dispersion of any alternative.
    #[must_use]
    pub fn phi(&self) -> f64 {
        (0..self.noise.factors.len()).map(|k| self.noise.phi(k)).fold(1.0, f64::max)
    }

    fn build(&mut self, at_ms: u64, share: f64, margin: usize, baseline: &Baseline) {
        let same = (share - self.built_for.0).abs() <= 0.0 && margin == self.built_for.1;
        let fresh =
            self.built_ms.is_some_and(|built_ms| at_ms >= built_ms && at_ms - built_ms < TABLES_MS);
        // A law guessed from few requests is guessed again as soon as there are twice as many.
        let learnt = baseline.total();
        if same && fresh && learnt < self.built_from.saturating_mul(2) {
            return;
        }
        if learnt < LEARNT_MIN {
            self.tables.clear();
            return;
        }
        let counts = baseline.counts();
        let law = law_of(&counts);
        self.tables = alternatives(&law)
            .iter()
            .map(|other| Scores::slower(&law, other, share, margin))
            .collect();
        self.built_ms = Some(at_ms);
        self.built_for = (share, margin);
        self.built_from = learnt;
    }
}

fn alternatives(law: &[f64]) -> Vec<Vec<f64>> {
    let mut all = Vec::with_capacity(FRACTIONS.len() * FACTORS.len());
    for fraction in FRACTIONS {
        for factor in FACTORS {
            let slow = shifted(law, cells_of(factor));
            let mixed = law.iter().zip(&slow).map(|(p, s)| {
                let other = (1.0 - fraction) * p + fraction * s;
                (1.0 - MIXED_IN) * other + MIXED_IN * p
            });
            all.push(mixed.collect());
        }
    }
    all
}

/// Dispersion of the scores in live, one factor an alternative.
#[derive(Clone, Debug, PartialEq)]
struct Noise {
    factors: Vec<Dispersion>,
    began_ms: Option<u64>,
    whole: Vec<u64>,
    streams: Vec<Vec<u64>>,
    before: Option<Vec<u64>>,
}

impl Noise {
    fn new(alternatives: usize) -> Noise {
        Noise {
            factors: vec![Dispersion::default(); alternatives],
            began_ms: None,
            whole: vec![0; CELLS],
            streams: Vec::new(),
            before: None,
        }
    }

    fn phi(&self, k: usize) -> f64 {
        self.factors.get(k).map_or(1.0, Dispersion::phi)
    }

    fn tick(&mut self, at_ms: u64, counts: &Counts, tables: &[Scores]) {
        let began_ms = *self.began_ms.get_or_insert(at_ms);
        let over = at_ms < began_ms || at_ms - began_ms >= BLOCK_MS;
        if over || self.streams.len() != counts.streams.len() {
            self.close(tables);
            self.began_ms = Some(at_ms);
            self.streams = vec![vec![0; CELLS]; counts.streams.len()];
        }
        add(&mut self.whole, &counts.live);
        for (sum, stream) in self.streams.iter_mut().zip(&counts.streams) {
            add(sum, stream);
        }
    }

    fn close(&mut self, tables: &[Scores]) {
        let parts: Vec<&Vec<u64>> = if self.streams.len() >= 2 {
            self.streams.iter().collect()
        } else {
            self.before.iter().chain([&self.whole]).collect()
        };
        for (factor, table) in self.factors.iter_mut().zip(tables) {
            let (observed, expected) = spread(&parts, table);
            factor.add(observed, expected);
        }
        self.before = Some(std::mem::replace(&mut self.whole, vec![0; CELLS]));
    }
}

// A request counts by what it would add in the candidate rather than in live: that is the swing
// which noise can bring about.
fn spread(parts: &[&Vec<u64>], table: &Scores) -> (f64, f64) {
    let swing: Vec<f64> = table.candidate.iter().zip(&table.live).map(|(c, l)| c - l).collect();
    let squares: Vec<f64> = swing.iter().map(|score| score * score).collect();
    let sized: Vec<(f64, f64)> =
        parts.iter().map(|part| (part.iter().sum::<u64>() as f64, weigh(&swing, part))).collect();
    let size: f64 = sized.iter().map(|part| part.0).sum();
    if size <= 0.0 {
        return (0.0, 0.0);
    }
    let mean = sized.iter().map(|part| part.1).sum::<f64>() / size;
    let square = parts.iter().map(|part| weigh(&squares, part)).sum::<f64>() / size;
    deviations(&sized, (square - mean * mean).max(0.0))
}

fn add(sum: &mut [u64], counts: &[u64]) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}
