//! The judge itself: holds every rule of a policy against the ticks of both releases.
//! It must never say *advance* while anything it was told to look at is missing, and must depend
//! on nothing but its policy and the ticks it was given.

use crate::blast::Charge;
use crate::evidence::{Evidence, EvidenceReport, interval::Interval};
use crate::guard::Guard;
use crate::histogram::Cells;
use crate::inputs::Log;
use crate::policy::{Floor, Policy, PolicyError};
use crate::rule::{Measured, Metric, Op, Rule};
use crate::sentence;
use crate::tick::{Arm, Tick};
use crate::verdict::{
    Alarm, Blast, Call, Eta, HoldReason, Inputs, Literal, MetricVerdict, Verdict,
};
use crate::window::{RuleState, TICKS_MISSING_MAX, Trail};
use crate::words;
use crate::zone::{self, Placement, Standing, Zone};

/// Failed probes in a row, without a good one, after which the counts of a release are not
/// believed to be the whole story: a dead process serves no slow or failed requests.
const DEAD_PROBES: u64 = 3;

/// All of the traffic, in basis points.
const SHARE_ALL_BP: u16 = 10_000;

/// Judges one rollout. Feed it every tick in order, also those in which nothing was heard.
#[derive(Clone, Debug)]
pub struct Judge {
    policy: Policy,
    cells: Cells,
    goals: Vec<Goal>,
    guards: Vec<Guard>,
    step: Step,
    evidence: Option<Evidence>,
    missing: Missing,
    dead_probes: u64,
    charge: Charge,
    log: Log,
    // The end of the last tick that was taken, and the rule that fired first, with its time.
    last_ms: Option<u64>,
    fired: Option<(Rule, u64)>,
}

/// One advance rule; levels are read from trails, shares from the sums of the step.
#[derive(Clone, Debug)]
struct Goal {
    rule: Rule,
    candidate: Trail,
    live: Trail,
    candidate_now: Measured,
    live_now: Measured,
}

#[derive(Clone, Debug, Default)]
struct Step {
    began_ms: u64,
    share_bp: u16,
    candidate: Option<Arm>,
    live: Option<Arm>,
}

/// Ticks in a row without a word of an arm.
#[derive(Clone, Copy, Debug, Default)]
struct Missing {
    candidate: u64,
    candidate_ms: u64,
    live: u64,
}

impl Judge {
    /// A judge for one rollout. `cells` must be those the histograms are counted in.
    ///
    /// # Errors
    /// [`PolicyError`] when a rule cannot be decided exactly.
    pub fn new(policy: Policy, cells: Cells) -> Result<Judge, PolicyError> {
        policy.check(&cells)?;
        let goals = policy.advance.iter().map(|rule| Goal {
            rule: *rule,
            candidate: Trail::new(rule, policy.span_ms, policy.tick_ms),
            live: Trail::new(rule, policy.span_ms, policy.tick_ms),
            candidate_now: Measured::Nothing,
            live_now: Measured::Nothing,
        });
        let guards = policy.rollback.iter().map(|rule| Guard::new(rule, &policy));
        let tolerance = policy.evidence.unwrap_or_default();
        let log = Log::new(&policy);
        Ok(Judge {
            charge: Charge::new(tolerance.objective, tolerance.rho, policy.blast_radius),
            log,
            last_ms: None,
            fired: None,
            goals: goals.collect(),
            guards: guards.collect(),
            evidence: policy.evidence.map(|evidence| Evidence::new(evidence, &policy)),
            policy,
            cells,
            step: Step::default(),
            missing: Missing::default(),
            dead_probes: 0,
        })
    }

    /// The policy this judge goes by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Tells that a step began: `share_bp` basis points of the traffic were read back at `at_ms`.
    ///
    /// Samples for advance rules count from here, and only ticks that lie wholly after it.
    /// The windows of rollback rules run on across steps.
    pub fn step_began(&mut self, at_ms: u64, share_bp: u16) {
        self.log.step(at_ms, share_bp);
        self.step = Step { began_ms: at_ms, share_bp, candidate: None, live: None };
        if let Some(evidence) = &mut self.evidence {
            evidence.step_began();
        }
    }

    /// Takes a tick and answers with a verdict.
    ///
    /// *Idempotency*: a tick with the same `at_ms` as the one before is a repeat and changes
    /// nothing. A tick from before it means that the clock went back: windows start again.
    pub fn tick(&mut self, tick: &Tick) -> Verdict {
        self.feed(tick);
        self.verdict_at(tick.at_ms)
    }

    /// Takes a tick and answers only with what cannot wait: a tenth of the work of a verdict.
    pub fn feed(&mut self, tick: &Tick) -> Alarm {
        if self.last_ms != Some(tick.at_ms) {
            self.last_ms = Some(tick.at_ms);
            self.log.tick(tick);
            self.note_arms(tick);
            for goal in &mut self.goals {
                let candidate = measure(&goal.rule, tick.candidate.as_ref(), &self.cells);
                let live = measure(&goal.rule, tick.live.as_ref(), &self.cells);
                goal.candidate_now = goal.candidate.push(tick.at_ms, candidate);
                goal.live_now = goal.live.push(tick.at_ms, live);
            }
            for guard in &mut self.guards {
                let candidate = measure(&guard.rule, tick.candidate.as_ref(), &self.cells);
                let live = measure(&guard.rule, tick.live.as_ref(), &self.cells);
                guard.observe(tick, candidate, live);
                if guard.fired() && self.fired.is_none() {
                    self.fired = Some((guard.rule, tick.at_ms));
                }
            }
            self.note_evidence(tick);
        }
        self.alarm()
    }

    /// The verdict on the last tick; `None` before the first.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.last_ms.map(|at_ms| self.verdict_at(at_ms))
    }

    fn verdict_at(&self, at_ms: u64) -> Verdict {
        let metrics = self.metrics();
        let evidence = self.evidence.as_ref().map(Evidence::report);
        let (call, sentence) = self.call(at_ms, &metrics, evidence.as_ref());
        Verdict {
            at_ms,
            call,
            evidence,
            literal: self.literal(),
            blast: self.charge.blast(),
            eta: self.eta(&metrics),
            inputs: self.log.inputs(),
            metrics,
            sentence,
        }
    }

    // Must say brake or rollback exactly where `call` does.
    fn alarm(&self) -> Alarm {
        let evidence = self.evidence.as_ref();
        let (total, mismatched) = evidence.map_or((0.0, true), Evidence::total);
        let relative = evidence.map(Evidence::relative);
        let policy = self.policy.evidence.unwrap_or_default();
        let rule = self.guards.iter().any(|guard| self.rolls_back(guard, relative));
        let hard = rule || self.charge.blast().is_exceeded() || self.silent_too_long();
        if hard || (!mismatched && total >= 1.0 / policy.alpha) {
            Alarm::Rollback
        } else if !mismatched && total >= 1.0 / policy.brake_alpha {
            Alarm::Brake
        } else {
            Alarm::None
        }
    }

    fn note_arms(&mut self, tick: &Tick) {
        let counts = |arm: &Option<Arm>, missing: u64| match arm {
            Some(_) => 0,
            None => missing.saturating_add(1),
        };
        self.missing.candidate = counts(&tick.candidate, self.missing.candidate);
        self.missing.candidate_ms = match &tick.candidate {
            None if self.step.share_bp > 0 => {
                self.missing.candidate_ms.saturating_add(tick.length_ms)
            }
            Some(_) | None => 0,
        };
        if self.step.share_bp > 0 {
            self.charge.add(tick.length_ms, tick.candidate.as_ref(), tick.live.as_ref());
        }
        self.missing.live = counts(&tick.live, self.missing.live);
        if let Some(arm) = &tick.candidate {
            if arm.probes > arm.probes_failed {
                self.dead_probes = 0;
            } else {
                self.dead_probes = self.dead_probes.saturating_add(arm.probes);
            }
        }
        if tick.from_ms() >= self.step.began_ms {
            absorb(&mut self.step.candidate, tick.candidate.as_ref());
            absorb(&mut self.step.live, tick.live.as_ref());
        }
    }

    fn note_evidence(&mut self, tick: &Tick) {
        let whole = tick.from_ms() >= self.step.began_ms;
        if let (true, Some(evidence)) = (whole, &mut self.evidence) {
            let share_bp = self.step.share_bp.min(SHARE_ALL_BP);
            evidence.update(tick, f64::from(share_bp) / f64::from(SHARE_ALL_BP), &self.cells);
        }
    }

    fn literal(&self) -> Option<Literal> {
        let fired_ms = self.fired.map(|(_, at_ms)| at_ms);
        let now = self.guards.iter().filter_map(|guard| {
            let in_ms = match guard.state() {
                RuleState::Breaching { needs_ms, .. } => needs_ms,
                RuleState::Fired { .. } => 0,
                RuleState::Clear | RuleState::NoData => return None,
            };
            Some(Literal { rule: guard.rule, in_ms, fired_ms })
        });
        now.min_by_key(|literal| literal.in_ms)
            .or_else(|| self.fired.map(|(rule, _)| Literal { rule, in_ms: 0, fired_ms }))
    }

    fn silent_too_long(&self) -> bool {
        self.policy.silence_ms.is_some_and(|silence_ms| self.missing.candidate_ms >= silence_ms)
    }

    fn eta(&self, metrics: &[MetricVerdict]) -> Eta {
        let evidence = self.evidence.as_ref();
        let requests = self.step.candidate.as_ref().map_or(0, |arm| arm.requests);
        let lasted_ms = self.last_ms.unwrap_or_default().saturating_sub(self.step.began_ms);
        let outside = metrics.iter().any(|metric| {
            matches!(metric.zone, Zone::Hold | Zone::Rollback)
                || metric.standing == Standing::Unmeasured
        });
        let short = metrics.iter().map(|metric| metric.needed.saturating_sub(metric.sample));
        let missing = short.max().unwrap_or(0);
        let missing = missing.max(self.policy.at_least.saturating_sub(requests));
        let sample_ms = match (missing, requests) {
            (0, _) => Some(0),
            (_, 0) => None,
            (missing, requests) => {
                Some((missing as f64 / requests as f64 * lasted_ms as f64) as u64)
            }
        };
        let gated = self.policy.evidence.is_some_and(|policy| policy.gates_advance);
        let proof_ms = if gated { evidence.and_then(Evidence::proven_in_ms) } else { Some(0) };
        let both = sample_ms.zip(proof_ms).filter(|_| !outside);
        let rule_ms = self.literal().map(|literal| literal.in_ms);
        let shown_ms = evidence.and_then(Evidence::rollback_in_ms);
        Eta {
            advance_ms: both.map(|(sample_ms, proof_ms)| sample_ms.max(proof_ms)),
            rollback_ms: rule_ms.into_iter().chain(shown_ms).min(),
        }
    }

    /// What the verdicts so far follow from.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        self.log.inputs()
    }

    /// What the candidate has cost users so far.
    #[must_use]
    pub fn blast(&self) -> Blast {
        self.charge.blast()
    }

    /// The running evidence, where the policy asks for it.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }

    /// When the rollback rules, read literally, fired first in this rollout.
    #[must_use]
    pub fn literal_fired_ms(&self) -> Option<u64> {
        self.fired.map(|(_, at_ms)| at_ms)
    }

    /// How many times as often the candidate fails as live, with its 99 % range; `None` without
    /// evidence in the policy or before the first error.
    #[must_use]
    pub fn ratio(&self) -> Option<Interval> {
        self.evidence.as_ref().and_then(Evidence::ratio)
    }

    fn metrics(&self) -> Vec<MetricVerdict> {
        let mut order: Vec<Metric> = Vec::new();
        let goals = self.goals.iter().map(|goal| goal.rule.metric);
        for metric in goals.chain(self.guards.iter().map(|guard| guard.rule.metric)) {
            if !order.contains(&metric) {
                order.push(metric);
            }
        }
        order.into_iter().map(|metric| self.metric(metric)).collect()
    }

    fn metric(&self, metric: Metric) -> MetricVerdict {
        let goal = self
            .goals
            .iter()
            .filter(|goal| goal.rule.metric == metric)
            .map(|goal| (goal, self.place(goal)))
            .max_by_key(|(_, placement)| (placement.standing, placement.needed));
        let guard = self
            .guards
            .iter()
            .filter(|guard| guard.rule.metric == metric)
            .max_by_key(|guard| guard.state().severity());
        let state = guard.map_or(RuleState::Clear, |guard| guard.state());
        let standing = goal.map_or(Standing::Pass, |(_, placement)| placement.standing);
        let zone = match (standing, state) {
            (_, RuleState::Breaching { .. } | RuleState::Fired { .. }) => Zone::Rollback,
            (Standing::Outside, _) => Zone::Hold,
            (Standing::TooFew | Standing::Unmeasured, _) | (_, RuleState::NoData) => Zone::NoData,
            (Standing::Pass, RuleState::Clear) => Zone::Advance,
        };
        let counted = goal.map(|(goal, _)| goal.rule).or_else(|| guard.map(|guard| guard.rule));
        let (bad, sample) = match counted.map(|rule| self.step_measure(&rule).0) {
            Some(Measured::Share { bad, of }) => (bad, of),
            Some(Measured::Nothing | Measured::Level(_)) | None => (0, 0),
        };
        let (candidate, live) = self.values(metric, goal.map(|(goal, _)| goal), guard);
        MetricVerdict {
            metric,
            live,
            candidate,
            zone,
            standing,
            bad,
            sample,
            needed: goal.map_or(0, |(_, placement)| placement.needed),
            state,
            advance: goal.map(|(goal, _)| goal.rule),
            rollback: guard.map(|guard| guard.rule),
            run: guard.map_or(Measured::Nothing, |guard| guard.runs().0),
            live_run: guard.map_or(Measured::Nothing, |guard| guard.runs().1),
        }
    }

    fn place(&self, goal: &Goal) -> Placement {
        let measured = match goal.rule.metric {
            Metric::Cpu | Metric::Memory | Metric::Gauge(_) => goal.candidate_now,
            Metric::ErrorRate | Metric::LatencyMs(_) | Metric::ProbeFailures => {
                self.step_measure(&goal.rule).0
            }
        };
        zone::place(&goal.rule, measured, self.policy.confidence, self.policy.at_least)
    }

    fn step_measure(&self, rule: &Rule) -> (Measured, Measured) {
        (
            of_step(rule, self.step.candidate.as_ref(), &self.cells),
            of_step(rule, self.step.live.as_ref(), &self.cells),
        )
    }

    // What is shown of both releases: (candidate, live).
    fn values(
        &self,
        metric: Metric,
        goal: Option<&Goal>,
        guard: Option<&Guard>,
    ) -> (Option<f64>, Option<f64>) {
        match metric {
            Metric::LatencyMs(quantile) => {
                let at = |arm: &Option<Arm>| {
                    let arm = arm.as_ref()?;
                    arm.latency.quantile_ms(quantile.fraction(), &self.cells)
                };
                (at(&self.step.candidate), at(&self.step.live))
            }
            Metric::Cpu | Metric::Memory | Metric::Gauge(_) => {
                let pair = match (goal, guard) {
                    (Some(goal), _) => (goal.candidate_now, goal.live_now),
                    (None, Some(guard)) => guard.recent(),
                    (None, None) => (Measured::Nothing, Measured::Nothing),
                };
                (pair.0.percent(), pair.1.percent())
            }
            Metric::ErrorRate | Metric::ProbeFailures => {
                let rule = Rule::at_once(metric, Op::Above, 0.0);
                let (candidate, live) = self.step_measure(&rule);
                (candidate.percent(), live.percent())
            }
        }
    }

    // In order of weight: what rolls back, what is not known, what is not to blame, what is not
    // good enough, what is not sure.
    fn call(
        &self,
        at_ms: u64,
        metrics: &[MetricVerdict],
        evidence: Option<&EvidenceReport>,
    ) -> (Call, String) {
        let relative = evidence.map(|evidence| evidence.relative);
        if let Some(guard) = self.guards.iter().find(|guard| self.rolls_back(guard, relative)) {
            let because = sentence::breach(&guard.breach(), at_ms);
            return (Call::Rollback, format!("Roll back: {because}."));
        }
        let blast = self.charge.blast();
        if blast.is_exceeded() {
            return (Call::Rollback, format!("Roll back: {}.", sentence::blast(&blast)));
        }
        if self.silent_too_long() {
            let because = sentence::silence(self.missing.candidate_ms);
            return (Call::Rollback, format!("Roll back: {because}."));
        }
        // Counts that arrive in the wrong ratio prove nothing against anyone.
        if let Some(report) = evidence.filter(|report| report.brakes && !report.mismatched) {
            let (call, word) = match report.rolls_back {
                true => (Call::Rollback, "Roll back"),
                false => (Call::Brake, "Brake"),
            };
            let (candidate, live) = (self.step.candidate.as_ref(), self.step.live.as_ref());
            let because = sentence::evidence(report, candidate, live, at_ms);
            return (call, format!("{word}: {because}."));
        }
        let held = self
            .telemetry(metrics)
            .map(|because| (HoldReason::Telemetry, because))
            .or_else(|| evidence.and_then(sentence::mismatched))
            .or_else(|| self.environment(at_ms))
            .or_else(|| between(metrics, at_ms))
            .or_else(|| full_soon(evidence))
            .or_else(|| self.insufficient(metrics))
            .or_else(|| self.unproven(evidence));
        match held {
            Some((reason, because)) => (Call::Hold { reason }, format!("Hold: {because}.")),
            None => (Call::Advance, sentence::advance(metrics)),
        }
    }

    fn rolls_back(&self, guard: &Guard, relative: Option<f64>) -> bool {
        let spares = || self.policy.floor == Floor::Attributed && guard.spares_candidate(relative);
        guard.fired() && !spares()
    }

    fn telemetry(&self, metrics: &[MetricVerdict]) -> Option<String> {
        let silent = |who: &str, ticks: u64| {
            let ticks = words::count(ticks);
            format!("nothing was heard of the {who} version for {ticks} ticks, which is no pass")
        };
        if self.step.share_bp > 0 && self.missing.candidate > TICKS_MISSING_MAX {
            return Some(silent("new", self.missing.candidate));
        }
        let live_serves = (1..SHARE_ALL_BP).contains(&self.step.share_bp);
        if live_serves && self.missing.live > TICKS_MISSING_MAX {
            return Some(silent("live", self.missing.live));
        }
        if self.dead_probes >= DEAD_PROBES {
            let probes = words::count(self.dead_probes);
            return Some(format!(
                "the last {probes} health probes of the new version all failed, so its counts \
                 cannot be the whole story"
            ));
        }
        let lost = metrics.iter().find(|metric| {
            let level = metric.metric.is_level();
            let unmeasured = metric.standing == Standing::Unmeasured;
            let no_level = level && metric.state == RuleState::NoData;
            self.missing.candidate == 0 && (unmeasured || no_level)
        })?;
        Some(format!("{} of the new version cannot be read, which is no pass", lost.metric))
    }

    fn environment(&self, at_ms: u64) -> Option<(HoldReason, String)> {
        let both = self.guards.iter().find(|guard| guard.fired());
        let alone = self.guards.iter().find(|guard| guard.live_alone_is_full());
        let guard = both.or(alone)?;
        let cause = "so the new version is not the cause";
        let because = if guard.fired() {
            let numbers = sentence::breach(&guard.breach(), at_ms);
            format!("{numbers}: live breaches the same rule, {cause}")
        } else {
            format!("live alone breaches {}, {cause}", guard.rule)
        };
        Some((HoldReason::Environment, because))
    }

    fn insufficient(&self, metrics: &[MetricVerdict]) -> Option<(HoldReason, String)> {
        let reason = HoldReason::InsufficientEvidence;
        if let Some(metric) = metrics
            .iter()
            .filter(|metric| metric.zone == Zone::NoData)
            .max_by_key(|metric| metric.needed)
        {
            return Some((reason, sentence::too_few(metric, self.policy.confidence)));
        }
        let requests = self.step.candidate.as_ref().map_or(0, |arm| arm.requests);
        if requests < self.policy.at_least {
            let (had, needs) = (words::count(requests), words::count(self.policy.at_least));
            return Some((reason, format!("the new version had {had} of {needs} requests")));
        }
        if self.missing.candidate > 0 || self.step.candidate.is_none() {
            return Some((reason, "the new version was not heard of in this tick".to_owned()));
        }
        None
    }

    fn unproven(&self, evidence: Option<&EvidenceReport>) -> Option<(HoldReason, String)> {
        let policy = self.policy.evidence.filter(|policy| policy.gates_advance)?;
        let safe = evidence.map_or(0.0, |report| report.safe);
        let needed = 1.0 / policy.beta;
        (safe < needed).then(|| {
            let because = format!("the proof of safety stands at {safe:.1} of {needed:.0}");
            (HoldReason::InsufficientEvidence, because)
        })
    }
}

fn full_soon(evidence: Option<&EvidenceReport>) -> Option<(HoldReason, String)> {
    let (rule, in_ms) = evidence?.full_in_ms?;
    let because = format!(
        "{} of the new version grows and would reach {} % in {}",
        rule.metric,
        words::plain(rule.limit),
        words::span(in_ms)
    );
    Some((HoldReason::BetweenLimits, because))
}

fn between(metrics: &[MetricVerdict], at_ms: u64) -> Option<(HoldReason, String)> {
    let worst = metrics.iter().max_by_key(|metric| (metric.zone, metric.state.severity()))?;
    let outside = matches!(worst.zone, Zone::Hold | Zone::Rollback);
    outside.then(|| (HoldReason::BetweenLimits, sentence::between(worst, at_ms)))
}

fn measure(rule: &Rule, arm: Option<&Arm>, cells: &Cells) -> Measured {
    arm.map_or(Measured::Nothing, |arm| rule.measure(arm, cells))
}

// A step without a tick yet has counted nothing, which is not the same as being unreadable.
fn of_step(rule: &Rule, arm: Option<&Arm>, cells: &Cells) -> Measured {
    arm.map_or(Measured::Share { bad: 0, of: 0 }, |arm| rule.measure(arm, cells))
}

fn absorb(sum: &mut Option<Arm>, later: Option<&Arm>) {
    if let Some(later) = later {
        sum.get_or_insert_default().absorb(later);
    }
}
