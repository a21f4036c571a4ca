//! How much noisier than a coin requests are, learnt from live: bursts, retries, sick instances.
//! It must never be learnt from the candidate, and never be below one.
//!
//! Evidence is divided by it, which keeps the expected value at most one (a power below one of a
//! value expected to be at most one) and keeps a burst from counting as many independent errors.

/// Length of a block in milliseconds; bursts and pauses fit in it, drift does not.
pub const BLOCK_MS: u64 = 10_000;

/// Blocks of a perfect coin that are assumed beforehand.
const PRIOR_BLOCKS: f64 = 15.0;

/// Each block takes this share of the old ones away: memory of about an hour.
const FADING: f64 = 1.0 / 360.0;

/// Observed over expected variance, faded, with a prior of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dispersion {
    observed: f64,
    expected: f64,
    blocks: f64,
}

impl Dispersion {
    /// Adds one block: the sum of squared deviations and what a coin would have given.
    pub fn add(&mut self, observed: f64, expected: f64) {
        // Blocks in which nothing could vary teach nothing, not even that things are calm.
        if !(observed.is_finite() && expected > 0.0 && expected.is_finite()) {
            return;
        }
        let keep = 1.0 - FADING;
        self.observed = self.observed * keep + observed;
        self.expected = self.expected * keep + expected;
        self.blocks = self.blocks * keep + 1.0;
    }

    /// The factor, at least 1.
    ///
    /// By hand: one block with observed 31 and expected 1 counts as 46 over 16: 2.875.
    #[must_use]
    pub fn phi(&self) -> f64 {
        if self.blocks <= 0.0 {
            return 1.0;
        }
        let prior = PRIOR_BLOCKS * self.expected / self.blocks;
        ((self.observed + prior) / (self.expected + prior)).max(1.0)
    }
}

/// Deviations of parts from their common mean: each part is (size, sum of its scores), `variance`
/// that of a single score. Answers (observed, expected), as [`Dispersion::add`] takes them.
///
/// By hand: parts (10, 0) and (10, 10), a coin at 1/2, variance 1/4: deviations 5 and 5, observed
/// 50; expected 2 * 10 * 1/4 * (1 - 1/2) = 2.5.
#[must_use]
pub fn deviations(parts: &[(f64, f64)], variance: f64) -> (f64, f64) {
    let size: f64 = parts.iter().map(|part| part.0).sum();
    let sum: f64 = parts.iter().map(|part| part.1).sum();
    if size <= 0.0 {
        return (0.0, 0.0);
    }
    let mean = sum / size;
    let observed = parts.iter().map(|(n, s)| (s - n * mean) * (s - n * mean)).sum();
    let expected = parts.iter().map(|(n, _)| n * variance * (1.0 - n / size)).sum();
    (observed, expected)
}

/// The dispersion of a yes-or-no count (errors of live, or requests that went to the candidate).
///
/// Parts are the sub-streams of one block where there are at least two; else one block and the
/// block before it, which a slow drift hardly moves apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocks {
    dispersion: Dispersion,
    began_ms: Option<u64>,
    streams: Vec<(u64, u64)>,
    whole: (u64, u64),
    before: Option<(u64, u64)>,
}

impl Blocks {
    /// Takes one tick: `whole` is (all, yes) and `streams` its parts in an order that stays.
    pub fn tick(
        &mut self,
        at_ms: u64,
        whole: (u64, u64),
        streams: impl ExactSizeIterator<Item = (u64, u64)>,
    ) {
        let began_ms = *self.began_ms.get_or_insert(at_ms);
        if at_ms < began_ms || at_ms - began_ms >= BLOCK_MS || streams.len() != self.streams.len() {
            self.close();
            self.began_ms = Some(at_ms);
            self.streams.clear();
            self.streams.resize(streams.len(), (0, 0));
        }
        let add = |sum: (u64, u64), more: (u64, u64)| {
            (sum.0.saturating_add(more.0), sum.1.saturating_add(more.1))
        };
        self.whole = add(self.whole, whole);
        for (sum, stream) in self.streams.iter_mut().zip(streams) {
            *sum = add(*sum, stream);
        }
    }

    /// The factor, at least 1.
    #[must_use]
    pub fn phi(&self) -> f64 {
        self.dispersion.phi()
    }

    fn close(&mut self) {
        let parts: Vec<(f64, f64)> = if self.streams.len() >= 2 {
            self.streams.iter().map(|(n, s)| (*n as f64, *s as f64)).collect()
        } else {
            let pair = self.before.into_iter().chain([self.whole]);
            pair.map(|(n, s)| (n as f64, s as f64)).collect()
        };
        let size: f64 = parts.iter().map(|part| part.0).sum();
        let yes: f64 = parts.iter().map(|part| part.1).sum();
        if size > 0.0 {
            let mean = yes / size;
            let (observed, expected) = deviations(&parts, mean * (1.0 - mean));
            self.dispersion.add(observed, expected);
        }
        self.before = Some(self.whole);
        self.whole = (0, 0);
    }
}
