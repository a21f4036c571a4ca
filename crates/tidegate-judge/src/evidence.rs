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
pub mod law;
pub mod outlook;
pub mod policy;
pub mod process;
pub mod relative;
pub mod report;
pub mod saturation;
pub mod scores;
pub mod spread;
pub mod srm;
pub mod strata;

use crate::histogram::{Cells, EDGE_RATIO};
use crate::policy::Policy;
use crate::rule::{Measured, Metric, Rule};
use crate::tick::{Arm, Tick};
use absolute::Absolute;
use advance::{Safe, mean_exp};
use dispersion::{BLOCK_MS, Blocks};
use interval::{Interval, Ratios};
use latency::{Counts, Latency};
use law::log_counts;
pub use policy::EvidencePolicy;
use process::Starts;
use relative::Relative;
pub use report::{Counted, EvidenceReport, Part, PartEvidence};
use saturation::Saturation;
use spread::Spread;
use srm::Mismatch;
use strata::Shares;

/// Most nats a second that one alternative can gain: a factor of 20, so that no single second,
/// whatever happened in it, decides a rollout, and three in which everything fails do.
pub const CAP: f64 = 3.0;

/// The same for one tick however long: no single scrape decides, two may.
pub const CAP_TICK: f64 = 4.6;

/// Parts of the error budget.
const WEIGHT_ERRORS: f64 = 0.4;
const WEIGHT_LATENCY: f64 = 0.3;
const WEIGHT_HEALTH: f64 = 0.1;
const WEIGHT_SATURATION: f64 = 0.1;
const WEIGHT_MISMATCH: f64 = 0.1;

/// Of the weight of errors and of latency, the part that is kept for the step without a live
/// release to compare with.
const ALONE: f64 = 0.1;

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

/// Counts since the step began, for the report and for the outlook.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    ms: u64,
    candidate: Counted,
    live: Counted,
    probes: Counted,
    live_probes: Counted,
    ticks: u64,
}

impl Seen {
    fn add(&mut self, length_ms: u64, candidate: &Arm, live: &Arm) {
        let add = |sum: &mut Counted, bad: u64, of: u64| {
            *sum = Counted { bad: sum.bad.saturating_add(bad), of: sum.of.saturating_add(of) };
        };
        self.ms = self.ms.saturating_add(length_ms);
        self.ticks = self.ticks.saturating_add(1);
        add(&mut self.candidate, candidate.distinct_failures(), candidate.requests);
        add(&mut self.live, live.distinct_failures(), live.requests);
        add(&mut self.probes, candidate.probes_failed, candidate.probes);
        add(&mut self.live_probes, live.probes_failed, live.probes);
    }
}

/// The running evidence of one rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    policy: EvidencePolicy,
    starts: Starts,
    share: Option<f64>,
    first_ms: Option<u64>,
    // The margin in cells, and the block of time that it was worked out for.
    margin: usize,
    margin_of: u64,
    relative: Relative,
    absolute: Absolute,
    alone: Absolute,
    latency: Latency,
    slow_alone: Option<(Rule, Absolute)>,
    health: Absolute,
    levels: [(Metric, Option<Rule>, Saturation); 2],
    mismatch: Mismatch,
    error_blocks: Blocks,
    ratio_blocks: Blocks,
    spread: Spread,
    shares: Shares,
    safe: Safe,
    ratios: Ratios,
    seen: Seen,
    counts: Counts,
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
            margin: 1,
            margin_of: u64::MAX,
            relative: Relative::new(policy.rho),
            absolute: Absolute::new(policy.objective),
            alone: Absolute::new(policy.objective),
            latency: Latency::default(),
            slow_alone,
            health: Absolute::new(HEALTH_OBJECTIVE),
            levels: [level(Metric::Cpu), level(Metric::Memory)],
            mismatch: Mismatch::default(),
            error_blocks: Blocks::default(),
            ratio_blocks: Blocks::default(),
            spread: Spread::default(),
            shares: Shares::default(),
            safe: Safe::new(policy.objective),
            ratios: Ratios::default(),
            seen: Seen::default(),
            counts: Counts::default(),
            policy,
        }
    }

    /// Tells that a step began; proofs of safety start again, evidence against goes on.
    pub fn step_began(&mut self) {
        self.safe.step_began();
        self.latency.step_began();
        self.seen = Seen::default();
    }

    /// Takes a tick that lies wholly inside a step with the share `share` (0 <= share <= 1). With
    /// a share of 0, or without word of the candidate, only live's ways are learnt.
    /// A tick with counts that contradict themselves teaches nothing.
    pub fn update(&mut self, tick: &Tick, share: f64, cells: &Cells) {
        let unheard = Arm::default();
        let candidate = tick.candidate.as_ref().filter(|_| share > 0.0);
        let live = match &tick.live {
            Some(live) => live,
            None if share < 1.0 => return,
            None => &unheard,
        };
        if !live.is_readable() || candidate.is_some_and(|candidate| !candidate.is_readable()) {
            return;
        }
        let Some(candidate) = candidate else {
            let step = Step { at_ms: tick.at_ms, stake: 0.0, cap: 0.0 };
            self.count(&unheard, live, cells, 0.0);
            self.compare_latency(&step, 0.0, None);
            self.learn(tick.at_ms, 0.0, &unheard, live);
            return;
        };
        let changed = self.share.is_some_and(|before| (before - share).abs() > 0.0);
        self.share = Some(share);
        let stake = self.starts.stake(tick.at_ms, changed);
        let seconds = tick.length_ms as f64 / 1_000.0;
        let step = Step { at_ms: tick.at_ms, stake, cap: (CAP * seconds).min(CAP_TICK) };
        self.seen.add(tick.length_ms, candidate, live);
        self.errors(&step, share, candidate, live);
        let first_ms = *self.first_ms.get_or_insert_with(|| tick.from_ms());
        let warm = tick.at_ms.saturating_sub(first_ms) > self.policy.warm_up_ms;
        let readable = self.count(candidate, live, cells, share);
        let thinning = self.thinning(share, live);
        self.compare_latency(&step, share, thinning.filter(|_| warm && readable));
        self.slow_alone(&step, share, candidate, cells);
        self.health.update(&step, candidate.probes_failed, candidate.probes, 1.0);
        if warm {
            self.levels(tick.at_ms, candidate, live);
        }
        self.shares.add(share, candidate, live);
        self.learn(tick.at_ms, share, candidate, live);
    }

    fn errors(&mut self, step: &Step, share: f64, candidate: &Arm, live: &Arm) {
        let phi = self.error_blocks.phi();
        let errors = (candidate.distinct_failures(), live.distinct_failures());
        match self.shares.of_errors(share, candidate, live) {
            Some(strata) => self.relative.update_strata(step, &strata, phi),
            None => self.relative.update(step, share, errors, phi),
        }
        self.absolute.update(step, errors.0, candidate.requests, phi);
        // While there is a comparison the lone test only takes its stakes.
        let alone = if share < 1.0 { (0, 0) } else { (errors.0, candidate.requests) };
        self.alone.update(step, alone.0, alone.1, phi);
        let requests = (candidate.requests, live.requests);
        self.mismatch.update(step, share, requests, self.ratio_blocks.phi());
        self.safe.errors(share, (errors.0, candidate.requests), errors.1, phi);
        self.ratios.add(share, errors, phi);
    }

    // Fills `counts` from the tick. False when latencies were not measured in both arms.
    fn count(&mut self, candidate: &Arm, live: &Arm, cells: &Cells, share: f64) -> bool {
        let counts = &mut self.counts;
        let ours = log_counts(&candidate.latency, cells, &mut counts.candidate);
        let theirs = log_counts(&live.latency, cells, &mut counts.live);
        counts.streams.resize_with(live.streams.len(), Vec::new);
        let mut measured = theirs;
        for (sparse, stream) in counts.streams.iter_mut().zip(&live.streams) {
            measured &= log_counts(&stream.latency, cells, sparse);
        }
        if !measured {
            counts.streams.clear();
        }
        counts.strata.clear();
        for (at, (a, b)) in candidate.strata.iter().zip(&live.strata).enumerate() {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let both = log_counts(&a.latency, cells, &mut ours)
                && log_counts(&b.latency, cells, &mut theirs);
            match self.shares.of(share, at, candidate, live) {
                Some(part) if both => counts.strata.push((ours, theirs, part)),
                Some(_) | None => break,
            }
        }
        if counts.strata.len() != candidate.strata.len() {
            counts.strata.clear();
        }
        ours && theirs
    }

    fn compare_latency(&mut self, step: &Step, share: f64, thinning: Option<f64>) {
        let policy = &self.policy;
        if step.at_ms / BLOCK_MS != self.margin_of {
            self.margin_of = step.at_ms / BLOCK_MS;
            self.margin =
                self.spread.margin(policy.latency_margin, policy.spread, policy.instances);
        }
        self.latency.update(step, share, thinning, self.margin, &self.counts);
        // Only instances differ as machines do; cohorts of one instance would show no spread.
        if self.counts.streams.len() == self.policy.instances.1 as usize {
            self.spread.add(&self.counts.streams);
        }
    }

    // Instances hold requests together, so their pauses thin out with their traffic. What cohorts
    // have in common comes from users, and does not.
    fn thinning(&self, share: f64, live: &Arm) -> Option<f64> {
        let (ours, theirs) = self.policy.instances;
        let parts = live.streams.len() == theirs as usize && share < 1.0;
        let each = |part: f64, instances: u32| part / f64::from(instances.max(1));
        Some(if parts { each(share, ours) / each(1.0 - share, theirs) } else { 1.0 })
    }

    fn slow_alone(&mut self, step: &Step, share: f64, candidate: &Arm, cells: &Cells) {
        if let Some((rule, process)) = &mut self.slow_alone {
            let (bad, of) = match rule.measure(candidate, cells) {
                Measured::Share { bad, of } if share >= 1.0 => (bad, of),
                Measured::Share { .. } | Measured::Nothing | Measured::Level(_) => (0, 0),
            };
            process.update(step, bad, of, self.error_blocks.phi());
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
        let streams = live.streams.iter().map(|stream| (stream.requests, stream.failures));
        self.error_blocks.tick(at_ms, (live.requests, live.distinct_failures()), streams);
        if share > 0.0 && share < 1.0 {
            let all = candidate.requests.saturating_add(live.requests);
            self.ratio_blocks.tick(at_ms, (all, candidate.requests), [].into_iter());
        }
    }

    fn values(&self) -> Values {
        let relative = self.relative.process().value();
        let compared = relative.min(self.absolute.process().value());
        let slow_alone = self.slow_alone.as_ref().map_or(1.0, |(_, alone)| alone.process().value());
        Values {
            relative,
            errors: (1.0 - ALONE) * compared + ALONE * self.alone.process().value(),
            latency: (1.0 - ALONE) * self.latency.process().value() + ALONE * slow_alone,
            health: self.health.process().value(),
            saturation: self.levels.iter().map(|(_, _, level)| level.value()).sum::<f64>() / 2.0,
            mismatch: self.mismatch.process().value(),
        }
    }

    /// The weighted sum without the mismatch, and whether the mismatch speaks against the counts.
    #[must_use]
    pub fn total(&self) -> (f64, bool) {
        let values = self.values();
        (values.total(), WEIGHT_MISMATCH * values.mismatch >= 1.0 / self.policy.alpha)
    }

    /// Evidence of a worse error rate than live's alone; below 1 live is as bad.
    #[must_use]
    pub fn relative(&self) -> f64 {
        self.relative.process().value()
    }

    /// The weaker of the two proofs of safety (errors, latency) since the step began.
    #[must_use]
    pub fn safe(&self) -> f64 {
        self.safe.of_errors().min(mean_exp(self.latency.safe()))
    }

    /// The evidence as it stands.
    #[must_use]
    pub fn report(&self) -> EvidenceReport {
        let values = self.values();
        let total = values.total();
        let needed = 1.0 / self.policy.alpha;
        let brakes = total >= 1.0 / self.policy.brake_alpha;
        let safe = self.safe();
        EvidenceReport {
            alpha: self.policy.alpha,
            total,
            strength: (libm::log(total.max(1.0)) / libm::log(needed)).clamp(0.0, 1.0),
            odds: total.clamp(1.0, 1e15) as u64,
            parts: self.parts(&values),
            relative: values.relative,
            ratio: if brakes { self.ratio() } else { None },
            safe,
            proven: safe >= 1.0 / self.policy.beta,
            full_in_ms: self.full_in_ms(),
            rolls_back: total >= needed,
            brakes,
            mismatched: WEIGHT_MISMATCH * values.mismatch >= needed,
        }
    }

    fn parts(&self, values: &Values) -> Vec<PartEvidence> {
        let mut rows = vec![self.errors_row(values), self.latency_row(values)];
        rows.extend(self.other_rows(values));
        for row in &mut rows {
            row.since_ms = row.since_ms.filter(|_| row.value > 1.0);
        }
        rows
    }

    fn errors_row(&self, values: &Values) -> PartEvidence {
        let (policy, seen) = (&self.policy, &self.seen);
        let null_rate = policy.rho * seen.live.rate().unwrap_or(0.0);
        let objective = crate::words::share(policy.objective);
        let rho = crate::words::plain(policy.rho);
        let requests = seen.candidate.of;
        PartEvidence {
            part: Part::Errors,
            candidate: seen.candidate,
            live: seen.live,
            null: format!("at most {rho} times as often as live, or at most {objective}"),
            value: values.errors,
            weight: WEIGHT_ERRORS,
            phi: self.error_blocks.phi(),
            since_ms: self.relative.process().since_ms(),
            min_detectable: outlook::min_detectable(
                requests,
                policy.objective,
                null_rate,
                policy.alpha,
            ),
        }
    }

    fn latency_row(&self, values: &Values) -> PartEvidence {
        let slack = libm::pow(EDGE_RATIO, self.margin as f64) - 1.0;
        PartEvidence {
            part: Part::Latency,
            candidate: Counted { bad: 0, of: self.latency.compared() },
            live: Counted { bad: 0, ..self.seen.live },
            null: format!("at most {:.0} % slower than live", slack * 100.0),
            value: values.latency,
            weight: WEIGHT_LATENCY,
            phi: self.latency.phi(),
            since_ms: self.latency.process().since_ms(),
            min_detectable: Some(slack),
        }
    }

    fn other_rows(&self, values: &Values) -> [PartEvidence; 3] {
        let seen = &self.seen;
        let plain = |part, value, weight, null: String, since_ms| PartEvidence {
            part,
            candidate: Counted::default(),
            live: Counted::default(),
            null,
            value,
            weight,
            phi: 1.0,
            since_ms,
            min_detectable: None,
        };
        let health = format!("at most {} of probes fail", crate::words::share(HEALTH_OBJECTIVE));
        let levels = "CPU and memory grow as in live".to_owned();
        let routing = "requests arrive in the share that was set".to_owned();
        let full_since = self.levels.iter().find_map(|(_, _, level)| level.since_ms());
        let since_ms = self.health.process().since_ms();
        let mismatch_ms = self.mismatch.process().since_ms();
        [
            PartEvidence {
                candidate: seen.probes,
                live: seen.live_probes,
                ..plain(Part::Health, values.health, WEIGHT_HEALTH, health, since_ms)
            },
            plain(Part::Saturation, values.saturation, WEIGHT_SATURATION, levels, full_since),
            PartEvidence {
                candidate: Counted { bad: 0, ..seen.candidate },
                live: Counted { bad: 0, ..seen.live },
                phi: self.ratio_blocks.phi(),
                ..plain(Part::Mismatch, values.mismatch, WEIGHT_MISMATCH, routing, mismatch_ms)
            },
        ]
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

    /// Milliseconds until the evidence is enough for a rollback if the candidate goes on as it has
    /// since the step began; `None` when it does not speak against it.
    #[must_use]
    pub fn rollback_in_ms(&self) -> Option<u64> {
        let seen = &self.seen;
        if seen.ticks == 0 {
            return None;
        }
        let (share, ticks) = (self.share.unwrap_or(0.0), seen.ticks as f64);
        let needed = 1.0 / (self.policy.alpha * (1.0 - ALONE));
        let phi = self.error_blocks.phi();
        let (bad, of) = (seen.candidate.bad as f64 / ticks, seen.candidate.of as f64 / ticks);
        let pace = self.relative.pace(share, (bad, seen.live.bad as f64 / ticks), phi);
        let relative = self.relative.process().ticks_to(needed / WEIGHT_ERRORS, &pace);
        let pace = self.absolute.pace(bad, of, phi);
        let absolute = self.absolute.process().ticks_to(needed / WEIGHT_ERRORS, &pace);
        let errors = relative.zip(absolute).map(|(a, b)| a.max(b));
        let pace: Vec<f64> = self.latency.gained().iter().map(|gain| gain / ticks).collect();
        let slower = self.latency.process().ticks_to(needed / WEIGHT_LATENCY, &pace);
        let ticks_to = errors.into_iter().chain(slower).min_by(f64::total_cmp)?;
        Some((ticks_to * seen.ms as f64 / ticks) as u64)
    }

    /// Milliseconds until safety is proven if everything goes on as it has since the step began.
    #[must_use]
    pub fn proven_in_ms(&self) -> Option<u64> {
        let needed = 1.0 / self.policy.beta;
        let errors = self.safe.still(needed)?;
        let goal = libm::log(needed * self.latency.safe().len() as f64);
        let slow = self.latency.safe().iter().copied().fold(0.0, f64::max);
        let latency = match mean_exp(self.latency.safe()) >= needed {
            true => 0.0,
            false if slow > 0.0 => (goal / slow - 1.0).max(0.0),
            false => return None,
        };
        Some((errors.max(latency) * self.seen.ms as f64) as u64)
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

/// The evidence of every part.
struct Values {
    relative: f64,
    errors: f64,
    latency: f64,
    health: f64,
    saturation: f64,
    mismatch: f64,
}

impl Values {
    fn total(&self) -> f64 {
        WEIGHT_ERRORS * self.errors
            + WEIGHT_LATENCY * self.latency
            + WEIGHT_HEALTH * self.health
            + WEIGHT_SATURATION * self.saturation
    }
}
