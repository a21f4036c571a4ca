//! The hash of what a verdict follows from, so that a replay can be told to be one.
//! It must never be taken for a signature: it tells inputs apart, it does not stop a forger.
//!
//! Two lanes of multiply and fold over 64-bit words, after the construction of wyhash; a float
//! goes in by its bits, an absent value and a zero differ.

use crate::histogram::Histogram;
use crate::policy::Policy;
use crate::tick::{Arm, Stratum, Stream, Tick};
use crate::verdict::Inputs;

/// Odd constants without structure: the fractional parts of the golden ratio and of roots.
const LANES: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xE703_7ED1_A0B4_28DB];
const STIR: [u64; 2] = [0xA076_1D64_78BD_642F, 0x8EBC_6AF0_9C88_C6E3];

/// A word that stands for "absent".
const ABSENT: u64 = 0xA5A5_5A5A_C3C3_3C3C;

/// A running hash of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash([u64; 2]);

impl Default for Hash {
    fn default() -> Hash {
        Hash(LANES)
    }
}

impl Hash {
    /// Takes a word.
    pub fn word(&mut self, word: u64) {
        for (lane, stir) in self.0.iter_mut().zip(STIR) {
            let wide = u128::from(*lane ^ word) * u128::from(stir);
            // Folded with a rotation of itself, so that a product of zero forgets nothing.
            *lane = lane.rotate_left(23) ^ (wide as u64) ^ ((wide >> 64) as u64);
        }
    }

    /// Takes a float by its bits.
    pub fn float(&mut self, value: f64) {
        self.word(value.to_bits());
    }

    fn maybe(&mut self, value: Option<f64>) {
        self.word(value.map_or(ABSENT, f64::to_bits));
    }

    /// 128 bits.
    #[must_use]
    pub fn value(&self) -> u128 {
        (u128::from(self.0[0]) << 64) | u128::from(self.0[1])
    }
}

/// The inputs of one rollout, as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    inputs: Inputs,
    hash: Hash,
}

impl Log {
    pub(crate) fn new(policy: &Policy) -> Log {
        let mut hash = Hash::default();
        take_policy(&mut hash, policy);
        let inputs = Inputs { policy: hash.value() as u64, ..Inputs::default() };
        Log { inputs, hash: Hash::default() }
    }

    pub(crate) fn step(&mut self, at_ms: u64, share_bp: u16) {
        self.hash.word(at_ms);
        self.hash.word(u64::from(share_bp));
    }

    pub(crate) fn tick(&mut self, tick: &Tick) {
        if self.inputs.count == 0 {
            self.inputs.from_ms = tick.at_ms;
        }
        self.inputs.count = self.inputs.count.saturating_add(1);
        self.inputs.to_ms = tick.at_ms;
        self.hash.word(tick.at_ms);
        self.hash.word(tick.length_ms);
        for arm in [&tick.candidate, &tick.live] {
            match arm {
                Some(arm) => take_arm(&mut self.hash, arm),
                None => self.hash.word(ABSENT),
            }
        }
    }

    pub(crate) fn inputs(&self) -> Inputs {
        Inputs { ticks: self.hash.value(), ..self.inputs }
    }
}

fn take_arm(hash: &mut Hash, arm: &Arm) {
    for count in [arm.requests, arm.failures, arm.probes, arm.probes_failed] {
        hash.word(count);
    }
    hash.word(arm.failed_users.unwrap_or(ABSENT));
    hash.maybe(arm.cpu);
    hash.maybe(arm.memory);
    for gauge in &arm.gauges {
        hash.maybe(*gauge);
    }
    take_histogram(hash, &arm.latency);
    hash.word(arm.streams.len() as u64);
    for Stream { requests, failures, latency, cpu, memory } in &arm.streams {
        hash.word(*requests);
        hash.word(*failures);
        take_histogram(hash, latency);
        hash.maybe(*cpu);
        hash.maybe(*memory);
    }
    hash.word(arm.strata.len() as u64);
    for Stratum { requests, failures, latency } in &arm.strata {
        hash.word(*requests);
        hash.word(*failures);
        take_histogram(hash, latency);
    }
}

// The empty cells are left out: most are.
fn take_histogram(hash: &mut Hash, histogram: &Histogram) {
    hash.word(((histogram.counts().len() as u64) << 48) ^ histogram.total());
    if histogram.total() == 0 {
        return;
    }
    for (cell, count) in histogram.counts().iter().enumerate() {
        if *count > 0 {
            hash.word(((cell as u64) << 32) | u64::from(*count));
        }
    }
}

// By its debug text, which names every field: a field that is added cannot be forgotten here.
fn take_policy(hash: &mut Hash, policy: &Policy) {
    let text = format!("{policy:?}");
    for chunk in text.as_bytes().chunks(8) {
        let mut word = [0_u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.word(u64::from_le_bytes(word));
    }
}
