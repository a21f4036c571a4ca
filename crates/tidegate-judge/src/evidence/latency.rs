//! Latency of the candidate against live: are its answers shifted to slower cells, or are they not?
//! It must never compare latencies of different routes while they are told apart.
//!
//! The scores are those of `scores.rs`; routes (strata) are scored each against its own past, and
//! their gains are added: what is expected to be at most one in every route is so in their product.

use super::advance::{POSITIONS, safe_scores};
use super::dispersion::{BLOCK_MS, Dispersion, deviations};
use super::law::{Baseline, CELLS, Sparse, add_to, cells_of, law_of, shifted, total};
use super::process::Process;
use super::scores::{Scores, Table};

/// Shares of the requests that an alternative makes slower.
const FRACTIONS: [f64; 3] = [1.0, 0.2, 0.05];

/// What part of each stake goes to the alternatives of each share: most faults slow everything.
const PARTS: [f64; 3] = [0.7, 0.15, 0.15];

/// The most that one request scores under the alternatives of each share. Where everything gets
/// slower no single request has to be convincing; where only a few do, they are all there is.
const MOST: [f64; 3] = [2.0, f64::INFINITY, f64::INFINITY];

/// Factors by which it makes them slower.
const FACTORS: [f64; 6] = [1.1, 1.25, 1.5, 2.0, 4.0, 10.0];

/// Alternatives of the test for "slower".
pub const ALTERNATIVES: usize = FRACTIONS.len() * FACTORS.len();

/// Share of live's own law in every alternative, so that no cell is impossible.
const MIXED_IN: f64 = 0.001;

/// Tables are built again after this many milliseconds. Any law of the past will do; an old one
/// only notices a little later.
const TABLES_MS: u64 = 180_000;

/// Fewest requests of live before its law is used at all.
const LEARNT_MIN: u64 = 200;

/// The share that noise is learnt at before the candidate has one.
const SHARE_BEFORE: f64 = 0.05;

/// A share that was only estimated has to move by this much before tables are built for it again.
const SHARE_MOVED: f64 = 0.1;

/// Routes whose latencies are kept apart; each costs 50 kB. Further ones are taken together.
pub const LAYERS_MAX: usize = 4;

/// One tick of both releases by logarithmic cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Of the candidate.
    pub candidate: Sparse,
    /// Of live.
    pub live: Sparse,
    /// Of live, split by instance or cohort; may be empty.
    pub streams: Vec<Sparse>,
    /// Of the candidate and live by route, with the candidate's share of it; may be empty.
    pub strata: Vec<(Sparse, Sparse, f64)>,
}

/// One route, or all of them: its past and what is made of it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Layer {
    baseline: Baseline,
    slower: Table,
    safe: Table,
    built_ms: Option<u64>,
    built_for: (f64, usize),
    built_from: u64,
}

impl Layer {
    fn build(&mut self, at_ms: u64, share: f64, margin: usize, slack: f64) {
        let moved = (share - self.built_for.0).abs() > slack * share;
        let fresh =
            self.built_ms.is_some_and(|built_ms| at_ms >= built_ms && at_ms - built_ms < TABLES_MS);
        // A law guessed from few requests is guessed again as soon as there are twice as many.
        let learnt = self.baseline.total();
        let few = learnt >= self.built_from.saturating_mul(2);
        if !moved && margin == self.built_for.1 && fresh && !few {
            return;
        }
        if learnt < LEARNT_MIN {
            self.slower = Table::default();
            self.safe = Table::default();
            return;
        }
        let law = law_of(&self.baseline.counts());
        let slower = alternatives(&law);
        let most = |at: usize| MOST[at / FACTORS.len()];
        let slower: Vec<Scores> = (slower.iter().enumerate())
            .map(|(at, other)| Scores::slower(&law, other, share, margin, most(at)))
            .collect();
        self.slower = Table::of(&slower);
        self.safe = Table::of(&safe_scores(&law, share));
        self.built_ms = Some(at_ms);
        self.built_for = (share, margin);
        self.built_from = learnt;
    }
}

fn alternatives(law: &[f64]) -> Vec<Vec<f64>> {
    let mut all = Vec::with_capacity(ALTERNATIVES);
    for fraction in FRACTIONS {
        for factor in FACTORS {
            let slow = shifted(law, cells_of(factor));
            let mixed = law.iter().zip(&slow).map(|(p, s)| {
                let other = (1.0 - fraction) * p + fraction * s;
                (1.0 - MIXED_IN) * other + MIXED_IN * p
            });
            all.push(mixed.collect());
        }
    }
    all
}

/// The evidence that the candidate answers more slowly than live by more than a margin, and the
/// evidence of this step that it does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    whole: Layer,
    layers: Vec<Layer>,
    noise: Noise,
    process: Process,
    safe: [f64; POSITIONS.len()],
    gained: [f64; ALTERNATIVES],
    compared: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        let each = FACTORS.len();
        let parts = PARTS.iter().flat_map(|part| vec![part / each as f64; each]);
        Latency {
            whole: Layer::default(),
            layers: Vec::new(),
            noise: Noise::default(),
            process: Process::weighted(parts.collect()),
            safe: [0.0; POSITIONS.len()],
            gained: [0.0; ALTERNATIVES],
            compared: 0,
        }
    }
}

impl Latency {
    /// Forgets the evidence for safety, and the pace: each step proves itself.
    pub fn step_began(&mut self) {
        self.safe = [0.0; POSITIONS.len()];
        self.gained = [0.0; ALTERNATIVES];
        self.compared = 0;
    }

    /// Takes one tick. `share` is the candidate's as it was set; at 0 or 1, and without `thinning`,
    /// live's law and noise are learnt and nothing is compared. `thinning` is how many requests an
    /// instance of the candidate gets for each one that a part of live gets, by which noise was
    /// learnt: a pause that hits ten requests there may hit only one here.
    pub fn update(
        &mut self,
        step: &super::Step,
        share: f64,
        thinning: Option<f64>,
        margin: usize,
        counts: &Counts,
    ) {
        let open = share > 0.0 && share < 1.0;
        let built_for = if open { share } else { SHARE_BEFORE };
        self.whole.build(step.at_ms, built_for, margin, 0.0);
        let split = counts.strata.len() >= 2;
        if split && self.layers.len() != counts.strata.len().min(LAYERS_MAX) {
            self.layers = vec![Layer::default(); counts.strata.len().min(LAYERS_MAX)];
        }
        let mut gains = [0.0; ALTERNATIVES];
        if let Some(thinning) = thinning.filter(|_| open) {
            let mut safe = [0.0; POSITIONS.len()];
            if split {
                for (at, (candidate, live, share)) in counts.strata.iter().enumerate() {
                    let Some(layer) = self.layers.get_mut(at.min(LAYERS_MAX - 1)) else { continue };
                    layer.build(step.at_ms, *share, margin, SHARE_MOVED);
                    layer.slower.add(candidate, live, &mut gains);
                    layer.safe.add(candidate, live, &mut safe);
                }
            } else {
                self.whole.slower.add(&counts.candidate, &counts.live, &mut gains);
                self.whole.safe.add(&counts.candidate, &counts.live, &mut safe);
            }
            self.compared = self.compared.saturating_add(total(&counts.candidate));
            let phi = dispersion_here(self.noise.largest(), share, thinning);
            for (sum, gain) in self.safe.iter_mut().zip(safe) {
                *sum += gain / phi;
            }
            for (k, (sum, gain)) in self.gained.iter_mut().zip(&mut gains).enumerate() {
                *gain /= dispersion_here(self.noise.phi(k), share, thinning);
                *sum += *gain;
            }
        }
        self.process.step(step.at_ms, step.stake, step.cap, |k| gains[k]);
        self.noise.tick(step.at_ms, counts, &self.whole.slower);
        // Only now: a law guessed from the very requests that it scores would not be a guess.
        self.whole.baseline.add(step.at_ms, &counts.live);
        if split {
            for (at, (_, live, _)) in counts.strata.iter().enumerate() {
                if let Some(layer) = self.layers.get_mut(at.min(LAYERS_MAX - 1)) {
                    layer.baseline.add(step.at_ms, live);
                }
            }
        }
    }

    /// The running process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The largest dispersion of any alternative.
    #[must_use]
    pub fn phi(&self) -> f64 {
        self.noise.largest()
    }

    /// Requests of the candidate that were compared since the step began.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// What each alternative gained since the step began, in nats.
    #[must_use]
    pub fn gained(&self) -> &[f64] {
        &self.gained
    }

    /// What each hypothesis of safety gained since the step began, in nats.
    #[must_use]
    pub fn safe(&self) -> &[f64] {
        &self.safe
    }
}

/// The dispersion of a comparison, where that of live's parts is `phi`.
///
/// A pause of an instance slows all requests that it holds at that moment, so the excess over a
/// coin grows with their number: the candidate's is `1 + thinning * (phi - 1)`. What is compared
/// are two means, that of the candidate over `w` and that of live over `1 - w` of the requests; the
/// variance of their difference is `(1 - w)` times the one and `w` times the other dispersion.
///
/// By hand: phi = 7, w = 0.05, as many instances on both sides: thinning 1/19, the candidate's
/// dispersion 1.316; 0.95 * 1.316 + 0.05 * 7 = 1.6.
#[must_use]
pub fn dispersion_here(phi: f64, share: f64, thinning: f64) -> f64 {
    let candidate = 1.0 + thinning * (phi - 1.0);
    ((1.0 - share) * candidate + share * phi).max(1.0)
}

/// Dispersion of the scores in live, one factor an alternative.
#[derive(Clone, Debug, PartialEq)]
struct Noise {
    factors: [Dispersion; ALTERNATIVES],
    phis: [f64; ALTERNATIVES],
    began_ms: Option<u64>,
    whole: Vec<u64>,
    streams: Vec<Vec<u64>>,
    before: Option<Vec<u64>>,
}

impl Default for Noise {
    fn default() -> Noise {
        Noise {
            factors: [Dispersion::default(); ALTERNATIVES],
            phis: [1.0; ALTERNATIVES],
            began_ms: None,
            whole: vec![0; CELLS],
            streams: Vec::new(),
            before: None,
        }
    }
}

impl Noise {
    fn phi(&self, k: usize) -> f64 {
        self.phis.get(k).copied().unwrap_or(1.0)
    }

    fn largest(&self) -> f64 {
        self.phis.iter().copied().fold(1.0, f64::max)
    }

    fn tick(&mut self, at_ms: u64, counts: &Counts, table: &Table) {
        let began_ms = *self.began_ms.get_or_insert(at_ms);
        let over = at_ms < began_ms || at_ms - began_ms >= BLOCK_MS;
        if over || self.streams.len() != counts.streams.len() {
            self.close(table);
            self.began_ms = Some(at_ms);
            self.streams.resize(counts.streams.len(), vec![0; CELLS]);
        }
        add_to(&mut self.whole, &counts.live);
        for (sum, stream) in self.streams.iter_mut().zip(&counts.streams) {
            add_to(sum, stream);
        }
    }

    fn close(&mut self, table: &Table) {
        if !table.is_empty() {
            let parts: Vec<&Vec<u64>> = if self.streams.len() >= 2 {
                self.streams.iter().collect()
            } else {
                self.before.iter().chain([&self.whole]).collect()
            };
            let spreads = spreads(&parts, table);
            for ((factor, phi), (observed, expected)) in
                self.factors.iter_mut().zip(&mut self.phis).zip(spreads)
            {
                factor.add(observed, expected);
                *phi = factor.phi();
            }
        }
        self.before = Some(std::mem::replace(&mut self.whole, vec![0; CELLS]));
        for stream in &mut self.streams {
            stream.fill(0);
        }
    }
}

fn spreads(parts: &[&Vec<u64>], table: &Table) -> Vec<(f64, f64)> {
    let mut squares = [0.0; ALTERNATIVES];
    let mut sums = vec![[0.0; ALTERNATIVES]; parts.len()];
    let sizes: Vec<f64> = parts.iter().map(|part| part.iter().sum::<u64>() as f64).collect();
    for (part, sums) in parts.iter().zip(&mut sums) {
        table.swings(part, sums, &mut squares);
    }
    let size: f64 = sizes.iter().sum();
    let spread = |k: usize| {
        let sized: Vec<(f64, f64)> = sizes.iter().copied().zip(sums.iter().map(|s| s[k])).collect();
        let mean = sized.iter().map(|part| part.1).sum::<f64>() / size;
        deviations(&sized, (squares[k] / size - mean * mean).max(0.0))
    };
    if size <= 0.0 {
        return vec![(0.0, 0.0); ALTERNATIVES];
    }
    (0..ALTERNATIVES).map(spread).collect()
}
