//! Errors of the candidate against live: given an error, whose was it?
//! It must never look at the error rate itself: two counts suffice, and a common incident moves
//! both of them.
//!
//! Under the null (candidate's rate at most `rho` times live's) an error is the candidate's with a
//! chance of at most `th0 = w*rho / (w*rho + 1 - w)`, `w` being its share of the traffic. The
//! alternative with ratio `r*rho` has `th` likewise, and one tick with `y_c` and `y_b` errors gains
//! `y_c*ln(th/th0) + y_b*ln((1-th)/(1-th0))`.
//!
//! By hand: w = 1/2, rho = 1.5, r = 2: th0 = 0.6, th = 0.75; one error of the candidate gains
//! ln 1.25 = 0.2231, one of live ln 0.625 = -0.4700; expected at th0: 0.6*1.25 + 0.4*0.625 = 1.

use super::process::{Process, ladder};

/// Alternatives: ratios from 1.5 to 1,000 times the allowed one.
pub const RATIOS: u32 = 16;

const RATIO_FIRST: f64 = 1.5;
const RATIO_LAST: f64 = 1_000.5;

/// The chance that an error is the candidate's when its rate is `ratio` times live's and it has
/// the share `share` (0 < share < 1) of the traffic.
#[must_use]
pub fn chance(share: f64, ratio: f64) -> f64 {
    share * ratio / (share * ratio + 1.0 - share)
}

/// What one error of the candidate, and one of live, adds (nats) for the alternative `ratio`
/// against the null `null`.
#[must_use]
pub fn gains(share: f64, null: f64, ratio: f64) -> (f64, f64) {
    let (th0, th) = (chance(share, null), chance(share, ratio));
    (libm::log(th / th0), libm::log((1.0 - th) / (1.0 - th0)))
}

/// The evidence that the candidate fails more than `rho` times as often as live.
#[derive(Clone, Debug, PartialEq)]
pub struct Relative {
    rho: f64,
    ratios: Vec<f64>,
    gains: Vec<(f64, f64)>,
    share: f64,
    process: Process,
}

impl Relative {
    /// Evidence against "at most `rho` times live's rate".
    #[must_use]
    pub fn new(rho: f64) -> Relative {
        let ratios = ladder(RATIO_FIRST, RATIO_LAST, RATIOS);
        Relative {
            rho,
            process: Process::new(ratios.len()),
            gains: vec![(0.0, 0.0); ratios.len()],
            ratios,
            share: 0.0,
        }
    }

    /// Takes the errors `(candidate, live)` of one tick. `share` is the candidate's share of the
    /// traffic as it was set, not as it was observed; at 0 or 1 there is no comparison.
    pub fn update(&mut self, step: &super::Step, share: f64, errors: (u64, u64), phi: f64) {
        self.build(share);
        let (candidate, live) = (errors.0 as f64, errors.1 as f64);
        let gains = &self.gains;
        self.process.step(step.at_ms, step.stake, step.cap, |k| {
            (candidate * gains[k].0 + live * gains[k].1) / phi
        });
    }

    /// The same with the errors of each stratum beside the candidate's share of that stratum.
    pub fn update_strata(&mut self, step: &super::Step, strata: &[(f64, (u64, u64))], phi: f64) {
        let failing = strata.iter().filter(|(share, errors)| {
            (errors.0 > 0 || errors.1 > 0) && *share > 0.0 && *share < 1.0
        });
        let failing: Vec<&(f64, (u64, u64))> = failing.collect();
        let (rho, ratios) = (self.rho, &self.ratios);
        self.process.step(step.at_ms, step.stake, step.cap, |k| {
            let gain = |(share, errors): &&(f64, (u64, u64))| {
                let (candidate, live) = gains(*share, rho, rho * ratios[k]);
                errors.0 as f64 * candidate + errors.1 as f64 * live
            };
            failing.iter().map(gain).sum::<f64>() / phi
        });
    }

    /// Nats a tick would gain for each alternative with these mean errors `(candidate, live)`.
    #[must_use]
    pub fn pace(&self, share: f64, errors: (f64, f64), phi: f64) -> Vec<f64> {
        if share <= 0.0 || share >= 1.0 {
            return vec![0.0; self.ratios.len()];
        }
        let pace = |ratio: &f64| {
            let (candidate, live) = gains(share, self.rho, self.rho * ratio);
            (errors.0 * candidate + errors.1 * live) / phi
        };
        self.ratios.iter().map(pace).collect()
    }

    fn build(&mut self, share: f64) {
        if (share - self.share).abs() > 0.0 {
            self.share = share;
            let open = share > 0.0 && share < 1.0;
            for (gain, ratio) in self.gains.iter_mut().zip(&self.ratios) {
                *gain = if open { gains(share, self.rho, self.rho * ratio) } else { (0.0, 0.0) };
            }
        }
    }

    /// The running process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}
