//! Kayenta's judge: `MannWhitney.scala`, `MannWhitneyClassifier.scala`, `WeightedSumScorer.scala`
//! (spinnaker/kayenta, commit a69573b, Apache-2.0) as NetflixACAJudge wires them: tolerance 0.25,
//! confidence 98 %, one point a minute.
//!
//! Metrics are the error rate and the mean latency in milliseconds, both of the canary and of one
//! instance of live as its baseline, in one group, direction increase. A look below the marginal
//! score of 75 ends it; so does a last look, after an hour, below the pass score of 95. Brent's
//! solver is a bisection here, with the same absolute accuracy of 1e-4.

use tidegate_judge::Arm;

use super::Rival;
use crate::world::CELLS;

/// Effect sizes (ratio of means) that a decrease must fall to and an increase must reach, by default.
pub(crate) const ANY_EFFECT: (f64, f64) = (1.0, 1.0);

const TOLERANCE: f64 = 0.25;
/// The 99 % quantile of the normal law: 98 % two-sided.
const Z_98: f64 = 2.326_347_874_040_841;
const MARGINAL: f64 = 75.0;
const PASS: f64 = 95.0;
const LIFETIME_MINUTES: usize = 60;
const ACCURACY: f64 = 1e-4;

/// What is held against a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "the benchmark looks for increases only"))]
pub(crate) enum Direction {
    Increase,
    Decrease,
    Either,
}

/// A metric's classification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Pass,
    High,
    Low,
    NoData,
    /// The test threw: all observations are tied, or there is only one.
    Error,
}

/// How far the statistic at the shift `mu` lies from the quantile; `None` when all are tied.
fn difference(x: &[f64], y: &[f64], mu: f64, quantile: f64) -> Option<f64> {
    let (m, n) = (x.len() as f64, y.len() as f64);
    let moved = x.iter().map(|value| (value - mu, true));
    let mut all: Vec<(f64, bool)> = moved.chain(y.iter().map(|value| (*value, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut ties) = (0.0, 0.0);
    let mut at = 0;
    while at < all.len() {
        let same = all[at..].iter().take_while(|(value, _)| value.total_cmp(&all[at].0).is_eq());
        let ours = same.clone().filter(|(_, is_x)| *is_x).count() as f64;
        let tied = same.count();
        ranks += ours * (at as f64 + (tied as f64 + 1.0) / 2.0);
        ties += (tied as f64).powi(3) - tied as f64;
        at += tied;
    }
    let dz = ranks - m * (m + 1.0) / 2.0 - m * n / 2.0;
    let sign = if dz > 0.0 {
        1.0
    } else if dz < 0.0 {
        -1.0
    } else {
        0.0
    };
    let sigma = ((m * n / 12.0) * (m + n + 1.0 - ties / ((m + n) * (m + n - 1.0)))).sqrt();
    (sigma > 0.0).then(|| (dz - 0.5 * sign) / sigma - quantile)
}

fn root(x: &[f64], y: &[f64], quantile: f64) -> Option<f64> {
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut low, mut high) = (least(x) - most(y), most(x) - least(y));
    if difference(x, y, low, quantile)? <= 0.0 {
        return Some(low);
    }
    if difference(x, y, high, quantile)? >= 0.0 {
        return Some(high);
    }
    while high - low > ACCURACY {
        let middle = f64::midpoint(low, high);
        if difference(x, y, middle, quantile)? > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(f64::midpoint(low, high))
}

/// `MannWhitneyClassifier.classify`; `z` is the normal quantile of the confidence.
pub(crate) fn classify(
    control: &[f64],
    experiment: &[f64],
    direction: Direction,
    tolerance: f64,
    z: f64,
    effects: (f64, f64),
) -> Class {
    if control.is_empty() || experiment.is_empty() {
        return Class::NoData;
    }
    if control == experiment {
        return Class::Pass;
    }
    let test = |quantile| root(experiment, control, quantile);
    let (Some(low), Some(high), Some(estimate)) = (test(z), test(-z), test(0.0)) else {
        return Class::Error;
    };
    let bound = tolerance * estimate.abs();
    // `calculateDeviation`: 1 where the control's mean is 0.
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let effect = if mean(control) == 0.0 { 1.0 } else { mean(experiment) / mean(control) };
    if direction != Direction::Decrease && low > bound && effect >= effects.1 {
        Class::High
    } else if direction != Direction::Increase && high < -bound && effect <= effects.0 {
        Class::Low
    } else {
        Class::Pass
    }
}

/// A metric in the scorer: classification, group, whether it is critical or only reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    pub(crate) class: Class,
    pub(crate) group: &'static str,
    pub(crate) is_critical: bool,
    pub(crate) is_reported_only: bool,
}

/// `WeightedSumScorer.score`.
pub(crate) fn score(metrics: &[Scored], weights: &[(&'static str, f64)]) -> f64 {
    let failed = |metric: &Scored| metric.is_critical && metric.class != Class::Pass;
    if metrics.iter().any(failed) {
        return 0.0;
    }
    let counted = metrics.iter().filter(|metric| !metric.is_reported_only);
    let mut groups: Vec<&str> = counted.clone().map(|metric| metric.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let weight = |group: &str| weights.iter().find(|(name, _)| *name == group).map(|(_, w)| *w);
    let unweighted = groups.iter().filter(|group| weight(group).is_none()).count();
    let rest = 100.0 - weights.iter().map(|(_, weight)| weight).sum::<f64>();
    let of_group = |group: &&str| {
        let classes = counted.clone().filter(|metric| metric.group == *group);
        let classes: Vec<Class> = classes.map(|metric| metric.class).collect();
        let count = |class| classes.iter().filter(|found| **found == class).count() as f64;
        let passed = count(Class::Pass);
        let total = passed + count(Class::High) + count(Class::Low);
        let score = if total > 0.0 { 100.0 * passed / total } else { 0.0 };
        score * weight(group).unwrap_or(rest / unweighted as f64) / 100.0
    };
    groups.iter().map(of_group).sum()
}

#[derive(Debug)]
pub(crate) struct Kayenta {
    look: usize,
    lookback: usize,
    increase: f64,
    /// Of the canary and the baseline: requests, failures, latency in milliseconds.
    minute: [(f64, f64, f64); 2],
    errors: [Vec<f64>; 2],
    latency: [Vec<f64>; 2],
}

impl Kayenta {
    /// Looks every `look` minutes over all of them, or the last `lookback` when that is not 0.
    /// An increase counts from `increase` times the baseline's mean on (`allowedIncrease`).
    pub(crate) fn new(look: usize, lookback: usize, increase: f64) -> Kayenta {
        let empty = || [Vec::new(), Vec::new()];
        let minute = Default::default();
        Kayenta { look, lookback, increase, minute, errors: empty(), latency: empty() }
    }

    fn fails(&self, is_last: bool) -> bool {
        let tail = |values: &Vec<f64>| -> Vec<f64> {
            let length = if self.lookback > 0 { self.lookback } else { values.len() };
            values[values.len().saturating_sub(length)..].to_vec()
        };
        let effects = (ANY_EFFECT.0, self.increase);
        let metric = |pair: &[Vec<f64>; 2]| {
            let (experiment, control) = (tail(&pair[0]), tail(&pair[1]));
            let class =
                classify(&control, &experiment, Direction::Increase, TOLERANCE, Z_98, effects);
            Scored { class, group: "all", is_critical: false, is_reported_only: false }
        };
        let score = score(&[metric(&self.errors), metric(&self.latency)], &[]);
        score < if is_last { PASS } else { MARGINAL }
    }
}

impl Rival for Kayenta {
    fn second(&mut self, second: u64, candidate: &Arm, live: &Arm) -> bool {
        // Live's first part is about as large as the canary: its equal baseline.
        let baseline = live.streams.first();
        let baseline = baseline.map(|part| (part.requests, part.failures, &part.latency));
        let canary = (candidate.requests, candidate.failures, &candidate.latency);
        for (sum, part) in self.minute.iter_mut().zip([Some(canary), baseline]) {
            let Some((requests, failures, latency)) = part else { continue };
            sum.0 += requests as f64;
            sum.1 += failures as f64;
            let counts = latency.counts().iter().enumerate().filter(|(_, count)| **count > 0);
            let ms = |cell| CELLS.upper_ms(cell).min(10_000.0);
            sum.2 += counts.map(|(cell, count)| ms(cell) * f64::from(*count)).sum::<f64>();
        }
        if !second.is_multiple_of(60) {
            return false;
        }
        for (at, sum) in self.minute.iter_mut().enumerate() {
            // A minute without requests is no point: nanStrategy remove.
            if sum.0 > 0.0 {
                self.errors[at].push(100.0 * sum.1 / sum.0);
                self.latency[at].push(sum.2 / sum.0);
            }
            *sum = (0.0, 0.0, 0.0);
        }
        let minutes = second as usize / 60;
        minutes.is_multiple_of(self.look) && self.fails(minutes >= LIFETIME_MINUTES)
    }
}

#[cfg(test)]
#[path = "kayenta_vectors.rs"]
mod vectors;
