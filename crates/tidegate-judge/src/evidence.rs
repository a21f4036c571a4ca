//! Sequential evidence beside the literal rules: it may be read at every tick, and errs in at most
//! the share `alpha` of rollouts of a release that is no worse.
//! It must never be the reason to advance where the literal rules would not.
//!
//! One file a formula, after section 5 of the design; all gains are in nats.

pub mod absolute;
pub mod advance;
pub mod dispersion;
pub mod interval;
pub mod latency;
pub mod process;
pub mod relative;
pub mod saturation;
pub mod spread;
pub mod srm;

use crate::histogram::Cells;
use crate::policy::{Policy, PolicyError};
use crate::rule::{Measured, Metric, Rule};
use crate::tick::{Arm, STREAMS_MAX, Tick};
use absolute::Absolute;
use advance::Safe;
use dispersion::Blocks;
use interval::{Interval, Ratios};
use latency::{Baseline, Counts, Slower};
use process::{Process, Starts};
use relative::Relative;
use saturation::Saturation;
use spread::Spread;
use srm::Mismatch;

/// Most nats that one tick can add to one alternative: a factor of ten, so that no single second,
/// whatever happened in it, decides a rollout.
const CAP: f64 = 2.3;

/// Parts of the error budget.
const WEIGHT_ERRORS: f64 = 0.4;
const WEIGHT_LATENCY: f64 = 0.3;
const WEIGHT_HEALTH: f64 = 0.1;
const WEIGHT_SATURATION: f64 = 0.1;
const WEIGHT_MISMATCH: f64 = 0.1;

/// Of the weight of errors and of latency, the part that is kept for the step without a live
/// release to compare with.
const ALONE: f64 = 0.2;

/// A probe fails by chance at most this often.
const HEALTH_OBJECTIVE: f64 = 0.5;

/// A level that reaches its limit within this time at its present slope holds the rollout.
const FULL_SOON_MS: u64 = 30 * 60 * 1_000;

/// What one tick has to spend: shared by all processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// End of the tick, in milliseconds.
    pub at_ms: u64,
    /// The stake that goes in at this tick (0 to 1).
    pub stake: f64,
    /// Most nats one alternative may gain.
    pub cap: f64,
}

/// How evidence is used. The defaults are the design's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvidencePolicy {
    /// Share of rollouts of an equal release that may be rolled back (0 < alpha < 1).
    pub alpha: f64,
    /// The same for a brake; not below `alpha`.
    pub brake_alpha: f64,
    /// Share of unsafe steps that may be passed by evidence.
    pub beta: f64,
    /// A candidate that fails up to this many times as often as live is no worse.
    pub rho: f64,
    /// Share of requests that may fail whatever live does (0 to 1): the objective.
    pub objective: f64,
    /// Slowness against live that is let pass, as a fraction.
    pub latency_margin: f64,
    /// Time after a candidate's first traffic in which latency and saturation are not compared.
    pub warm_up_ms: u64,
    /// How long the rollout is planned to take, in milliseconds.
    pub horizon_ms: u64,
    /// Changes of the traffic share that are planned.
    pub changes: u32,
    /// Instances of the candidate and of live.
    pub instances: (u32, u32),
    /// Spread of latency between equal instances where it cannot be measured, as a fraction.
    pub spread: f64,
    /// Also ask for evidence of safety before *advance*.
    pub gates_advance: bool,
}

impl Default for EvidencePolicy {
    fn default() -> EvidencePolicy {
        EvidencePolicy {
            alpha: 0.01,
            brake_alpha: 0.05,
            beta: 0.05,
            rho: 1.5,
            objective: 0.001,
            latency_margin: 0.06,
            warm_up_ms: 30_000,
            horizon_ms: 3_600_000,
            changes: 3,
            instances: (2, 2),
            spread: 0.05,
            gates_advance: false,
        }
    }
}

impl EvidencePolicy {
    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// [`PolicyError::Evidence`] with the name of the first one that is not.
    pub fn check(&self) -> Result<(), PolicyError> {
        let share = |value: f64| value > 0.0 && value < 1.0;
        let fields = [
            ("alpha", share(self.alpha)),
            ("brake_alpha", share(self.brake_alpha) && self.brake_alpha >= self.alpha),
            ("beta", share(self.beta)),
            ("rho", (1.0..=100.0).contains(&self.rho)),
            ("objective", self.objective > 0.0 && self.objective <= 0.5),
            ("latency_margin", (0.0..=10.0).contains(&self.latency_margin)),
            ("spread", (0.0..=1.0).contains(&self.spread)),
        ];
        match fields.iter().find(|(_, fits)| !fits) {
            Some((field, _)) => Err(PolicyError::Evidence { field }),
            None => Ok(()),
        }
    }
}

/// A part of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Failed requests.
    Errors,
    /// Slow answers.
    Latency,
    /// Health probes.
    Health,
    /// CPU and memory.
    Saturation,
    /// Requests in another ratio than was set.
    Mismatch,
}

/// One part as it stands after a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartEvidence {
    /// Which.
    pub part: Part,
    /// Its evidence: expected to be at most 1 while nothing is wrong.
    pub value: f64,
    /// Its part of the error budget.
    pub weight: f64,
    /// Dispersion that gains were divided by, at least 1.
    pub phi: f64,
    /// Estimated onset, in milliseconds; only while the evidence is above 1.
    pub since_ms: Option<u64>,
}

/// The evidence after a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceReport {
    /// The weighted sum without the sample-ratio mismatch; 1 / alpha rolls back.
    pub total: f64,
    /// 0 to 1: how far towards a rollback, on a logarithmic scale.
    pub strength: f64,
    /// The parts in a fixed order.
    pub parts: Vec<PartEvidence>,
    /// Evidence of a worse error rate than live's alone; below 1 live is as bad.
    pub relative: f64,
    /// How many times as often the candidate fails, at 99 %. Worked out only with a brake or
    /// rollback, as it costs more than all the rest; [`Evidence::ratio`] gives it at any time.
    pub ratio: Option<Interval>,
    /// The weaker of the two proofs of safety (errors, latency) since the step began.
    pub safe: f64,
    /// The level that will be full soonest: its rule, and in how many milliseconds.
    pub full_in_ms: Option<(Rule, u64)>,
    /// Enough for a rollback.
    pub rolls_back: bool,
    /// Enough for a brake.
    pub brakes: bool,
    /// Requests do not arrive in the ratio that was set: nothing else here can be believed.
    pub mismatched: bool,
}

/// The running evidence of one rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    policy: EvidencePolicy,
    starts: Starts,
    share: Option<f64>,
    first_ms: Option<u64>,
    relative: Relative,
    absolute: Absolute,
    alone: Absolute,
    slower: Slower,
    slow_alone: Option<(Rule, Absolute)>,
    health: Absolute,
    levels: [(Metric, Option<Rule>, Saturation); 2],
    mismatch: Mismatch,
    error_blocks: Blocks,
    ratio_blocks: Blocks,
    baseline: Baseline,
    spread: Spread,
    safe: Safe,
    ratios: Ratios,
}

impl Evidence {
    /// Evidence for a rollout under `rules`, whose rollback rules give the limits of levels and
    /// of latency without a comparison.
    #[must_use]
    pub fn new(policy: EvidencePolicy, rules: &Policy) -> Evidence {
        let slow = rules.rollback.iter().find(|rule| matches!(rule.metric, Metric::LatencyMs(_)));
        let slow_alone = slow
            .map(|rule| (*rule, Absolute::new(rule.allowed_share().unwrap_or(HEALTH_OBJECTIVE))));
        let level = |metric| {
            let rule = rules.rollback.iter().find(|rule| rule.metric == metric).copied();
            // Two gauges share the budget of saturation.
            (metric, rule, Saturation::new(policy.alpha * WEIGHT_SATURATION / 2.0))
        };
        Evidence {
            starts: Starts::new(policy.horizon_ms, policy.changes),
            share: None,
            first_ms: None,
            relative: Relative::new(policy.rho),
            absolute: Absolute::new(policy.objective),
            alone: Absolute::new(policy.objective),
            slower: Slower::default(),
            slow_alone,
            health: Absolute::new(HEALTH_OBJECTIVE),
            levels: [level(Metric::Cpu), level(Metric::Memory)],
            mismatch: Mismatch::default(),
            error_blocks: Blocks::default(),
            ratio_blocks: Blocks::default(),
            baseline: Baseline::default(),
            spread: Spread::default(),
            safe: Safe::new(policy.objective),
            ratios: Ratios::default(),
            policy,
        }
    }

    /// Tells that a step began; proofs of safety start again, evidence against goes on.
    pub fn step_began(&mut self) {
        self.safe.step_began();
    }

    /// Takes a tick that lies wholly inside a step with the share `share` (0 < share <= 1).
    /// A tick with an arm missing, or with counts that contradict themselves, teaches nothing.
    pub fn update(&mut self, tick: &Tick, share: f64, cells: &Cells) {
        let (Some(candidate), live) = (&tick.candidate, &tick.live) else { return };
        let compared = share < 1.0;
        let unheard = Arm::default();
        let live = match live {
            Some(live) => live,
            None if compared => return,
            None => &unheard,
        };
        if !readable(candidate) || !readable(live) {
            return;
        }
        let changed = self.share.is_some_and(|before| (before - share).abs() > 0.0);
        self.share = Some(share);
        let stake = self.starts.stake(tick.at_ms, changed);
        let step = Step { at_ms: tick.at_ms, stake, cap: CAP };
        self.errors(&step, share, candidate, live);
        let first_ms = *self.first_ms.get_or_insert_with(|| tick.from_ms());
        let warm = tick.at_ms.saturating_sub(first_ms) > self.policy.warm_up_ms;
        self.latency(&step, if warm { share } else { 0.0 }, candidate, live, cells);
        self.health.update(&step, candidate.probes_failed, candidate.probes, 1.0);
        if warm {
            self.levels(tick.at_ms, candidate, live);
        }
        self.learn(tick.at_ms, share, candidate, live);
    }

    fn errors(&mut self, step: &Step, share: f64, candidate: &Arm, live: &Arm) {
        let phi = self.error_blocks.phi();
        let errors = (candidate.failures, live.failures);
        let requests = (candidate.requests, live.requests);
        self.relative.update(step, share, errors, phi);
        self.absolute.update(step, candidate.failures, candidate.requests, phi);
        // While there is a comparison the lone test only takes its stakes.
        let alone = if share < 1.0 { (0, 0) } else { (candidate.failures, candidate.requests) };
        self.alone.update(step, alone.0, alone.1, phi);
        self.mismatch.update(step, share, requests, self.ratio_blocks.phi());
        self.safe.errors(share, (candidate.failures, candidate.requests), live.failures, phi);
        self.ratios.add(share, errors, phi);
    }

    fn latency(&mut self, step: &Step, share: f64, candidate: &Arm, live: &Arm, cells: &Cells) {
        if let Some((rule, process)) = &mut self.slow_alone {
            let (bad, of) = match rule.measure(candidate, cells) {
                Measured::Share { bad, of } if share >= 1.0 => (bad, of),
                Measured::Share { .. } | Measured::Nothing | Measured::Level(_) => (0, 0),
            };
            process.update(step, bad, of, self.error_blocks.phi());
        }
        let empty = || vec![0; latency::CELLS];
        let of = |arm: &Arm| latency::log_counts(&arm.latency, cells);
        let streams: Option<Vec<Vec<u64>>> =
            live.streams.iter().map(|stream| latency::log_counts(&stream.latency, cells)).collect();
        let both = of(candidate).zip(of(live));
        let share = if both.is_some() { share } else { 0.0 };
        let (candidate, live) = both.unwrap_or_else(|| (empty(), empty()));
        let counts = Counts { candidate, live, streams: streams.unwrap_or_default() };
        let margin = self.spread.margin(
            self.policy.latency_margin,
            self.policy.spread,
            self.policy.instances,
        );
        self.slower.update(step, share, margin, &counts, &self.baseline);
        self.safe.latency(share, &counts, &self.baseline, self.slower.phi());
        self.baseline.add(step.at_ms, &counts.live);
        // Only instances differ as machines do; cohorts of one instance would show no spread.
        if counts.streams.len() == self.policy.instances.1 as usize {
            self.spread.add(&counts.streams);
        }
    }

    fn levels(&mut self, at_ms: u64, candidate: &Arm, live: &Arm) {
        for (metric, _, saturation) in &mut self.levels {
            // The hottest of several instances is no match for each single one of live.
            let single = !candidate.streams.is_empty() || self.policy.instances.0 == 1;
            let of = |arm: &Arm| -> Vec<Option<f64>> {
                let cpu = *metric == Metric::Cpu;
                let whole = if cpu { arm.cpu } else { arm.memory };
                if arm.streams.is_empty() {
                    return vec![whole];
                }
                let streams = arm.streams.iter();
                streams.map(|stream| if cpu { stream.cpu } else { stream.memory }).collect()
            };
            let live = if single { of(live) } else { Vec::new() };
            saturation.update(at_ms, &of(candidate), &live);
        }
    }

    fn learn(&mut self, at_ms: u64, share: f64, candidate: &Arm, live: &Arm) {
        let streams: Vec<(u64, u64)> =
            live.streams.iter().map(|stream| (stream.requests, stream.failures)).collect();
        self.error_blocks.tick(at_ms, (live.requests, live.failures), &streams);
        if share < 1.0 {
            let all = candidate.requests.saturating_add(live.requests);
            self.ratio_blocks.tick(at_ms, (all, candidate.requests), &[]);
        }
    }

    /// The evidence as it stands.
    #[must_use]
    pub fn report(&self) -> EvidenceReport {
        let relative = self.relative.process().value();
        let compared = relative.min(self.absolute.process().value());
        let errors = (1.0 - ALONE) * compared + ALONE * self.alone.process().value();
        let slow_alone = self.slow_alone.as_ref().map_or(1.0, |(_, alone)| alone.process().value());
        let slower = (1.0 - ALONE) * self.slower.process().value() + ALONE * slow_alone;
        let saturation = self.levels.iter().map(|(_, _, level)| level.value()).sum::<f64>() / 2.0;
        let full_since = self.levels.iter().find_map(|(_, _, level)| level.since_ms());
        let phi = self.error_blocks.phi();
        let onset = Process::since_ms;
        let row = |part, value: f64, weight, phi, since_ms: Option<u64>| PartEvidence {
            part,
            value,
            weight,
            phi,
            since_ms: since_ms.filter(|_| value > 1.0),
        };
        let mismatch = row(
            Part::Mismatch,
            self.mismatch.process().value(),
            WEIGHT_MISMATCH,
            self.ratio_blocks.phi(),
            onset(self.mismatch.process()),
        );
        let health = self.health.process();
        let parts = vec![
            row(Part::Errors, errors, WEIGHT_ERRORS, phi, onset(self.relative.process())),
            row(
                Part::Latency,
                slower,
                WEIGHT_LATENCY,
                self.slower.phi(),
                onset(self.slower.process()),
            ),
            row(Part::Health, health.value(), WEIGHT_HEALTH, 1.0, onset(health)),
            row(Part::Saturation, saturation, WEIGHT_SATURATION, 1.0, full_since),
        ];
        let total: f64 = parts.iter().map(|part| part.weight * part.value).sum();
        self.conclude(total, parts, mismatch, relative)
    }

    /// How many times as often the candidate fails as live; `None` before the first error.
    #[must_use]
    pub fn ratio(&self) -> Option<Interval> {
        self.ratios.interval()
    }

    /// The policy it goes by.
    #[must_use]
    pub fn policy(&self) -> &EvidencePolicy {
        &self.policy
    }

    fn conclude(
        &self,
        total: f64,
        mut parts: Vec<PartEvidence>,
        mismatch: PartEvidence,
        relative: f64,
    ) -> EvidenceReport {
        parts.push(mismatch);
        let needed = 1.0 / self.policy.alpha;
        let brakes = total >= 1.0 / self.policy.brake_alpha;
        EvidenceReport {
            total,
            strength: (libm::log(total.max(1.0)) / libm::log(needed)).clamp(0.0, 1.0),
            relative,
            ratio: if brakes { self.ratio() } else { None },
            safe: self.safe.of_errors().min(self.safe.of_latency()),
            full_in_ms: self.full_in_ms(),
            rolls_back: total >= needed,
            brakes,
            mismatched: mismatch.weight * mismatch.value >= needed,
            parts,
        }
    }

    fn full_in_ms(&self) -> Option<(Rule, u64)> {
        let soon = self.levels.iter().filter_map(|(_, rule, level)| {
            let rule = (*rule)?;
            let in_ms = level.reaches_in_ms(rule.limit)?;
            (in_ms < FULL_SOON_MS).then_some((rule, in_ms))
        });
        soon.min_by_key(|(_, in_ms)| *in_ms)
    }
}

fn readable(arm: &Arm) -> bool {
    arm.failures <= arm.requests
        && arm.probes_failed <= arm.probes
        && arm.streams.len() <= STREAMS_MAX
}
