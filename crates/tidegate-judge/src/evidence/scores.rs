//! What a request adds to the evidence, by the cell of its latency.
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
}

fn raw(law: &[f64], other: &[f64], share: f64) -> Vec<f64> {
    law.iter().zip(other).map(|(p, a)| a / (share * a + (1.0 - share) * p)).collect()
}

/// The scores of several alternatives, those of one cell side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    width: usize,
    candidate: Vec<f64>,
    live: Vec<f64>,
}

impl Table {
    /// A table of these alternatives, which must be over the same cells.
    #[must_use]
    pub fn of(alternatives: &[Scores]) -> Table {
        let cells = alternatives.first().map_or(0, |scores| scores.live.len());
        let rows = |pick: fn(&Scores) -> &Vec<f64>| -> Vec<f64> {
            let cell = |x: usize| alternatives.iter().map(move |scores| pick(scores)[x]);
            (0..cells).flat_map(cell).collect()
        };
        Table {
            width: alternatives.len(),
            candidate: rows(|scores| &scores.candidate),
            live: rows(|scores| &scores.live),
        }
    }

    /// True while nothing was learnt that scores could be made of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.width == 0
    }

    /// Adds the gains (nats) of one tick with these sparse counts, one number an alternative.
    pub fn add(&self, candidate: &[(usize, u64)], live: &[(usize, u64)], gains: &mut [f64]) {
        weigh(&self.candidate, self.width, candidate, gains);
        weigh(&self.live, self.width, live, gains);
    }

    /// What a request adds in the candidate rather than in live: the swing that noise can bring
    /// about. Adds the swings of these counts, and their squares.
    pub(crate) fn swings(&self, counts: &[u64], sums: &mut [f64], squares: &mut [f64]) {
        let width = self.width;
        for (cell, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let at = cell * width..(cell + 1) * width;
            let (Some(candidate), Some(live)) = (self.candidate.get(at.clone()), self.live.get(at))
            else {
                continue;
            };
            let count = *count as f64;
            let both = candidate.iter().zip(live);
            for ((sum, square), (c, l)) in sums.iter_mut().zip(&mut *squares).zip(both) {
                *sum += count * (c - l);
                *square += count * (c - l) * (c - l);
            }
        }
    }
}

fn weigh(rows: &[f64], width: usize, counts: &[(usize, u64)], gains: &mut [f64]) {
    for (cell, count) in counts {
        let Some(row) = rows.get(cell * width..(cell + 1) * width) else { continue };
        let count = *count as f64;
        for (gain, score) in gains.iter_mut().zip(row) {
            *gain += count * score;
        }
    }
}
