//! The common step of all evidence: start weights, capped gains, a running value.
//! It must never gain on a tick what was not staked before it: that is what keeps the expected
//! value at most one while the releases are equal, whenever one looks.
//!
//! By Ville's inequality a value of 100 is reached in at most 1 of 100 rollouts of a release that
//! is no worse, over the whole rollout and however often it is read.

/// Stake at the start of the rollout.
const START: f64 = 0.5;

/// Stake for all changes of the traffic share together: 0.05 each for the usual three.
const CHANGES: f64 = 0.15;

/// Stake spread evenly over the planned time, for faults that begin later.
const PLANNED: f64 = 0.30;

/// Stake for the time after the plan: half of what is left goes into every further hour.
const BEYOND: f64 = 0.05;

/// Stakes are placed every so many milliseconds.
const EPOCH_MS: u64 = 5_000;

/// An hour in epochs.
const EPOCHS_IN_HOUR: u64 = 720;

/// Values saturate here, far above any threshold and far below the largest `f64`.
const VALUE_MAX: f64 = 1e250;

/// Says how much of the stake goes in at each tick; all ticks together give at most 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Starts {
    epochs: u64,
    change: f64,
    changes_left: f64,
    began_ms: Option<u64>,
    due: f64,
}

impl Starts {
    /// Starts for a rollout planned to take `horizon_ms` with `changes` changes of the share.
    #[must_use]
    pub fn new(horizon_ms: u64, changes: u32) -> Starts {
        Starts {
            epochs: (horizon_ms / EPOCH_MS).max(1),
            change: CHANGES / f64::from(changes.max(3)),
            changes_left: CHANGES,
            began_ms: None,
            due: 0.0,
        }
    }

    /// The stake of the tick that ended at `at_ms`; `changed` when it is the first of a new share.
    pub fn stake(&mut self, at_ms: u64, changed: bool) -> f64 {
        let mut stake = 0.0;
        let began_ms = *self.began_ms.get_or_insert_with(|| {
            stake += START;
            at_ms
        });
        if changed {
            let change = self.change.min(self.changes_left);
            self.changes_left -= change;
            stake += change;
        }
        let due = self.due_by(at_ms.saturating_sub(began_ms) / EPOCH_MS);
        // A clock that went back makes nothing due twice.
        stake += (due - self.due).max(0.0);
        self.due = self.due.max(due);
        stake
    }

    fn due_by(&self, epoch: u64) -> f64 {
        let planned = PLANNED * (epoch.min(self.epochs) as f64 / self.epochs as f64);
        let over = epoch.saturating_sub(self.epochs);
        // After 60 hours nothing is left that an `f64` could tell from nothing.
        let hours = (over / EPOCHS_IN_HOUR).min(60) as i32;
        let part = (over % EPOCHS_IN_HOUR) as f64 / EPOCHS_IN_HOUR as f64;
        let left = libm::ldexp(1.0, -hours);
        planned + BEYOND * (1.0 - left * (1.0 - part / 2.0))
    }
}

/// Evidence spread over several alternatives, each started anew at every tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    cash: f64,
    stakes: Vec<f64>,
    since_ms: Vec<u64>,
}

impl Process {
    /// A process over so many alternatives. Its value is 1 until something is counted.
    #[must_use]
    pub fn new(alternatives: usize) -> Process {
        Process { cash: 1.0, stakes: vec![0.0; alternatives], since_ms: vec![0; alternatives] }
    }

    /// `R := (R + stake / K) * exp(min(gain, cap))` for each alternative; gains are in nats and
    /// already divided by the dispersion. A gain that is NaN counts as none.
    pub fn step(&mut self, at_ms: u64, stake: f64, cap: f64, mut gain: impl FnMut(usize) -> f64) {
        let stake = stake.min(self.cash);
        self.cash -= stake;
        let share = stake / self.stakes.len().max(1) as f64;
        let alternatives = self.stakes.iter_mut().zip(&mut self.since_ms);
        for (k, (value, since_ms)) in alternatives.enumerate() {
            // Where the new stake outweighs what is left of the old ones, the fault began here.
            if share > *value {
                *since_ms = at_ms;
            }
            let gain = gain(k);
            let gain = if gain.is_nan() { 0.0 } else { gain.min(cap) };
            let staked = *value + share;
            // Most ticks of a good release bring no error at all, and exp(0) is 1.
            *value = if gain == 0.0 { staked } else { (staked * libm::exp(gain)).min(VALUE_MAX) };
        }
    }

    /// The evidence: expected to be at most 1 while the release is no worse.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.cash + self.stakes.iter().sum::<f64>()
    }

    /// Ticks until the value reaches `needed` if each gains `pace` nats an alternative: 0 when it
    /// has, `None` when none of them grows.
    #[must_use]
    pub fn ticks_to(&self, needed: f64, pace: &[f64]) -> Option<f64> {
        if self.value() >= needed {
            return Some(0.0);
        }
        let ticks = self
            .stakes
            .iter()
            .zip(pace)
            .filter(|(value, pace)| **value > 0.0 && **pace > 0.0 && pace.is_finite());
        ticks.map(|(value, pace)| libm::log(needed / value) / pace).min_by(f64::total_cmp)
    }

    /// When the strongest alternative was last started: an estimate of the onset.
    #[must_use]
    pub fn since_ms(&self) -> Option<u64> {
        let strongest = self.stakes.iter().zip(&self.since_ms).max_by(|a, b| a.0.total_cmp(b.0))?;
        (*strongest.0 > 0.0).then_some(*strongest.1)
    }
}

/// `count` points from `first` to `last` at equal ratios.
pub(crate) fn ladder(first: f64, last: f64, count: u32) -> Vec<f64> {
    let step = libm::log(last / first) / f64::from(count.max(2) - 1);
    (0..count).map(|k| first * libm::exp(step * f64::from(k))).collect()
}
