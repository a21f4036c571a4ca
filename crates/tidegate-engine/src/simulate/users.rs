//! Synthetic users: how many requests, how they are answered, second by second.
//! Must never look at a clock: the same seed and the same plan are the same run.

use jiff::SignedDuration;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tidegate_judge::histogram::Cells;

use super::scenario::{Fault, Scenario};
use crate::recording::{Counted, Side};

/// What users do and how a good release answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Users {
    /// Requests a second over both sides, 1 to 10,000.
    pub rate: u32,
    /// Share of requests that fail on a good day, 0 to 1.
    pub errors: f64,
    /// Median of the latency, in milliseconds.
    pub median_ms: f64,
    /// Standard deviation of the logarithm of the latency: 0.5 puts the 95th percentile at 2.3
    /// times the median.
    pub spread: f64,
}

impl Default for Users {
    /// 100 requests a second, 0.05 % of them fail, median 80 ms, 95th percentile 182 ms.
    fn default() -> Self {
        Self { rate: 100, errors: 0.000_5, median_ms: 80.0, spread: 0.5 }
    }
}

/// How one side answers in one second.
#[derive(Debug, Clone, Copy)]
struct Manner {
    errors: f64,
    slow_share: f64,
    slow_by: f64,
    memory: f64,
    sick: bool,
    silent: bool,
}

impl Users {
    /// One second: `(at_ms, share_bp, serves)` of the part, and `(live, scenario, age)` of the
    /// fault, which has not begun where its age is negative or absent.
    pub(super) fn second(
        &self,
        rng: &mut StdRng,
        limits_ms: &[f64],
        (at_ms, share_bp, serves): (u64, u16, bool),
        (live, scenario, age): (bool, &Scenario, Option<SignedDuration>),
    ) -> Counted {
        let cells = Cells::new(limits_ms);
        let share = if live { f64::from(share_bp) / 10_000.0 } else { 1.0 };
        let rate = if serves { self.rate } else { 0 };
        let of_candidate =
            u32::try_from((0..rate).filter(|_| rng.random::<f64>() < share).count()).unwrap_or(0);
        let begun = age.filter(|age| !age.is_negative());
        let (candidate, other) = manners(self.errors, scenario, begun);
        Counted {
            number: at_ms / 1_000,
            at_ms,
            length_ms: 1_000,
            candidate: (!candidate.silent).then(|| self.side(rng, &cells, of_candidate, candidate)),
            live: live.then(|| self.side(rng, &cells, rate - of_candidate, other)),
        }
    }

    fn side(&self, rng: &mut StdRng, cells: &Cells, requests: u32, manner: Manner) -> Side {
        let mut counts = vec![0_u32; cells.len()];
        let mut failures = 0;
        for _ in 0..requests {
            if rng.random::<f64>() < manner.errors {
                failures += 1;
            }
            let slow = rng.random::<f64>() < manner.slow_share;
            let factor = if slow { manner.slow_by } else { 1.0 };
            let ms = self.median_ms * (self.spread * normal(rng)).exp() * factor;
            if let Some(count) = counts.get_mut(cells.index(ms)) {
                *count += 1;
            }
        }
        let filled = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
        let latency =
            filled.filter_map(|(cell, count)| Some((u16::try_from(cell).ok()?, count))).collect();
        Side {
            requests: u64::from(requests),
            failures,
            latency,
            cpu: Some(30.0 + 4.0 * rng.random::<f64>()),
            memory: Some(manner.memory + rng.random::<f64>()),
            probes: 1,
            probes_failed: u64::from(manner.sick),
            gauges: Vec::new(),
            streams: Vec::new(),
        }
    }
}

/// How the candidate and the live side answer when the fault has lasted for `age`.
fn manners(errors: f64, scenario: &Scenario, age: Option<SignedDuration>) -> (Manner, Manner) {
    let good =
        Manner { errors, slow_share: 0.0, slow_by: 1.0, memory: 40.0, sick: false, silent: false };
    let Some(age) = age else { return (good, good) };
    let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
    let candidate = match scenario.fault {
        Fault::Nothing => good,
        Fault::Errors(share) => Manner { errors: errors + share, ..good },
        Fault::Flapping(share, on, period) if seconds % period.max(1) < on => {
            Manner { errors: errors + share, ..good }
        }
        Fault::Flapping(..) => good,
        Fault::Slow(slow_share, slow_by) => Manner { slow_share, slow_by, ..good },
        Fault::Leak(a_minute) => {
            let memory = (40.0 + a_minute * f64::from(seconds) / 60.0).min(100.0);
            Manner { memory, ..good }
        }
        Fault::Crash => Manner { errors: 1.0, sick: true, ..good },
        Fault::Incident(_, lasts) if seconds >= lasts => good,
        Fault::Incident(share, _) => {
            let bad = Manner { errors: errors + share, ..good };
            return (bad, bad);
        }
        Fault::Blind => Manner { silent: true, ..good },
    };
    (candidate, good)
}

/// A standard normal number, after Box and Muller.
fn normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * rng.random::<f64>().max(1e-300).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
