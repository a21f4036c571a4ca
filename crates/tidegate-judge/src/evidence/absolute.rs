//! Bad ones against an objective: more than the share `a` that was promised?
//! It must never be the only ground for a rollback while live is there to compare with.
//!
//! Null: each of `n` is bad with a chance of at most `a`. The alternative `p` gains
//! `y*ln(p/a) + (n-y)*ln((1-p)/(1-a))` in a tick with `y` bad ones.
//!
//! By hand: a = 0.5, p = 0.75: a bad one gains ln 1.5 = 0.4055, a good one ln 0.5 = -0.6931;
//! expected at a: 0.5*1.5 + 0.5*0.5 = 1.

use super::process::{Process, ladder};

/// Alternatives, as multiples of the objective.
const ALTERNATIVES: u32 = 16;

/// No alternative says that more than this share is bad, so that one good answer is not the end.
const SHARE_MAX: f64 = 0.9;

/// What a bad one, and a good one, adds (nats) for the alternative `p` against the objective `a`.
#[must_use]
pub fn gains(a: f64, p: f64) -> (f64, f64) {
    (libm::log(p / a), libm::log((1.0 - p) / (1.0 - a)))
}

/// The evidence that more than the share `a` is bad.
#[derive(Clone, Debug, PartialEq)]
pub struct Absolute {
    gains: Vec<(f64, f64)>,
    process: Process,
}

impl Absolute {
    /// Evidence against "at most the share `a` is bad", 0 < a < 0.9.
    #[must_use]
    pub fn new(a: f64) -> Absolute {
        let a = a.clamp(1e-9, SHARE_MAX - 0.01);
        let alternatives = ladder(1.5, 1_000.5, ALTERNATIVES).into_iter();
        let gains: Vec<(f64, f64)> =
            alternatives.map(|ratio| gains(a, (a * ratio).min(SHARE_MAX))).collect();
        Absolute { process: Process::new(gains.len()), gains }
    }

    /// Takes `bad` of `of` in one tick.
    pub fn update(&mut self, step: &super::Step, bad: u64, of: u64, phi: f64) {
        let (bad_ones, good_ones) = (bad as f64, of.saturating_sub(bad) as f64);
        let gains = &self.gains;
        self.process.step(step.at_ms, step.stake, step.cap, |k| {
            (bad_ones * gains[k].0 + good_ones * gains[k].1) / phi
        });
    }

    /// Nats that so many bad ones of so many, on average, gain for each alternative.
    #[must_use]
    pub fn pace(&self, bad: f64, of: f64, phi: f64) -> Vec<f64> {
        let good = (of - bad).max(0.0);
        self.gains.iter().map(|gains| (bad * gains.0 + good * gains.1) / phi).collect()
    }

    /// The running process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}
