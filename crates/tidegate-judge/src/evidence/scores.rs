//! What a request adds to the evidence, by the cell of its latency.
//! It must never assume a shape of the latencies: only that requests were assigned at random.
//!
//! A request in cell `x` scores `s(x)` in the candidate and `(1 - w*s(x)) / (1 - w)` in live, `w` the
//! candidate's share. In every cell the mean of both, weighted by the shares, is 1, so the expected
//! score of a request is 1 while both releases have the same law, whatever that law is. Scores of
//! the candidate rise with the cell (so a faster candidate is expected to score less) and are read
//! `margin` cells lower (so a candidate slower by less than the margin does too).
//!
//! With `p` the law of live (any guess from the past will do) and `A` the law of the candidate under
//! an alternative, the best score is `A/m`, `m = w*A + (1-w)*p`. Two things are made of it:
//!
//! - It is made to rise by taking together neighbours that fall (isotonic regression): cells taken
//!   together have the ratio `A/p` that one cell over them would have. A running maximum rises too,
//!   but lifts all cells to what is found where there is nothing, and so is deaf to requests that
//!   speak for the candidate.
//! - It is tilted, `A/p` becomes `t*A/p`, so that a request of either release is expected to score 1
//!   under `p` by itself, also where no score may exceed a limit. How many requests a release got
//!   then says nothing: a share that is not quite what was set is no slowness.
//!
//! By hand: two cells, p = (0.5, 0.5), A = (0.2, 0.8), w = 1/2: the ratios are 0.4 and 1.6. Tilted
//! by t = 1.25 they are 0.5 and 2, the candidate scores 0.5/0.75 = 2/3 and 2/1.5 = 4/3, live 4/3
//! and 2/3; both means under p are 1.

/// Halvings of the interval that a tilt is looked for in: then it is exact to a part in 10^12.
const HALVINGS: u32 = 48;

/// Logarithm of the largest tilt that is looked for, and of its inverse.
const TILT_LN_MAX: f64 = 30.0;

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
    /// No request of the candidate scores more than `most`, so that a pause, which makes a few very
    /// slow, does not look like a release that makes all of them a little slower.
    #[must_use]
    pub fn slower(law: &[f64], other: &[f64], share: f64, margin: usize, most: f64) -> Scores {
        let ratios = rising(law.iter().zip(other));
        let scores = tilted(law, &ratios, share, most);
        Scores::finish(&scores, share, margin)
    }

    /// Scores for "not slower by `margin` cells": they fall with the cell.
    #[must_use]
    pub fn not_slower(law: &[f64], other: &[f64], share: f64, margin: usize) -> Scores {
        let mut ratios = rising(law.iter().zip(other).rev());
        ratios.reverse();
        let mut scores = tilted(law, &ratios, share, f64::INFINITY);
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

/// The ratios `A/p` of cells given as (`p`, `A`), made to rise: a cell that would fall is taken
/// together with those before it.
///
/// By hand: (0.2, 0.2), (0.6, 0.4), (0.2, 0.4) have 1, 0.667 and 2; the first two together have
/// 0.6/0.8: 0.75, 0.75, 2. The mean under p stays 1.
fn rising<'a>(cells: impl Iterator<Item = (&'a f64, &'a f64)>) -> Vec<f64> {
    // Of each run of cells that are taken together: the sums of p and of A, and how many there are.
    let mut runs: Vec<(f64, f64, usize)> = Vec::new();
    for (p, a) in cells {
        let mut run = (*p, *a, 1);
        while let Some((p, a, count)) = runs.pop_if(|before| before.1 * run.0 >= run.1 * before.0) {
            run = (run.0 + p, run.1 + a, run.2 + count);
        }
        runs.push(run);
    }
    let ratios = runs.into_iter().map(|(p, a, count)| std::iter::repeat_n(a / p, count));
    ratios.flatten().collect()
}

/// The scores of the candidate for these ratios, none above `most`, with the tilt under which a
/// request of live's law is expected to score 1. Where no tilt does it is expected to score less.
fn tilted(law: &[f64], ratios: &[f64], share: f64, most: f64) -> Vec<f64> {
    let score = |tilt: f64, ratio: f64| {
        let odds = tilt * ratio;
        (odds / (share * odds + 1.0 - share)).min(most)
    };
    let mean = |tilt: f64| law.iter().zip(ratios).map(|(p, r)| p * score(tilt, *r)).sum::<f64>();
    let (mut low, mut high) = (-TILT_LN_MAX, TILT_LN_MAX);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if mean(libm::exp(middle)) < 1.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let tilt = libm::exp(low);
    ratios.iter().map(|ratio| score(tilt, *ratio)).collect()
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
