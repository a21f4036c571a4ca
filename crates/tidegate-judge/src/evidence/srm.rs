//! Sample-ratio mismatch: does the candidate get the share of requests that was set?
//! It must never speak for or against the release: it says that counts or routing are broken.
//!
//! By hand: w = 0.1, v = 0.2: a request of the candidate gains ln 2 = 0.6931, one of live
//! ln(8/9) = -0.1178; expected at w: 0.1*2 + 0.9*8/9 = 1.

use super::process::Process;

/// Alternatives, as multiples of the share that was set.
const MULTIPLES: [f64; 6] = [0.5, 0.8, 0.9, 1.1, 1.25, 2.0];

/// No alternative share reaches 1, where a single request of live would settle everything.
const SHARE_MAX: f64 = 0.999;

/// The evidence that requests do not arrive in the share that was set.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    share: f64,
    gains: [(f64, f64); MULTIPLES.len()],
    process: Process,
}

impl Default for Mismatch {
    fn default() -> Mismatch {
        Mismatch {
            share: 0.0,
            gains: [(0.0, 0.0); MULTIPLES.len()],
            process: Process::new(MULTIPLES.len()),
        }
    }
}

impl Mismatch {
    /// Takes the requests `(candidate, live)` of one tick under the share that was set.
    pub fn update(&mut self, step: &super::Step, share: f64, requests: (u64, u64), phi: f64) {
        if (share - self.share).abs() > 0.0 {
            self.share = share;
            let open = share > 0.0 && share < 1.0;
            self.gains = MULTIPLES.map(|multiple| {
                let other = (share * multiple).min(SHARE_MAX);
                let gains = (libm::log(other / share), libm::log((1.0 - other) / (1.0 - share)));
                if open { gains } else { (0.0, 0.0) }
            });
        }
        let (candidate, live) = (requests.0 as f64, requests.1 as f64);
        let gains = &self.gains;
        self.process.step(step.at_ms, step.stake, step.cap, |k| {
            (candidate * gains[k].0 + live * gains[k].1) / phi
        });
    }

    /// The running process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}
