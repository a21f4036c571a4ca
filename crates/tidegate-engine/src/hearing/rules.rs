//! Between the declared rules of a plan and the judge's types, both ways.
//! Must never change a number on the way.

use tidegate_core::ids::PartName;
use tidegate_core::plan::{Comparison, Evidence, Floor, Metric, PartKind, Plan, Rule};
use tidegate_core::verdict::{Call, HoldReason, Outlook, Proof, Reading, Verdict, Zone};
use tidegate_judge::evidence::{EvidencePolicy, EvidenceReport, Part as Proven};
use tidegate_judge::gauge::{Gauge, Label};
use tidegate_judge::policy::{Floor as JudgedFloor, Policy};
use tidegate_judge::rule::{Metric as Judged, Op, Quantile, Rule as JudgedRule};
use tidegate_judge::verdict as judged;
use tidegate_judge::window::RuleState;
use tidegate_judge::zone::{Standing, Zone as JudgedZone};

/// The largest number that a journal keeps as itself: evidence may grow past any use.
const MOST: f64 = 1e250;

/// The latency limits that must be exact edges of the histogram: the same in the data plane.
#[must_use]
pub fn limits_ms(plan: &Plan) -> Vec<f64> {
    let rules = plan.traffic.advance_if.iter().chain(&plan.traffic.rollback_if);
    rules.filter(|rule| rule.metric.is_latency()).map(|rule| rule.limit).collect()
}

/// The policy that a part is judged by, with `instances` of the candidate and of the live side.
/// A worker serves no requests, so only its load, its probes and other systems' numbers count.
#[must_use]
pub fn policy(plan: &Plan, part: &PartName, instances: (u32, u32)) -> Policy {
    let worker = plan.part(part).is_none_or(|part| part.kind == PartKind::Worker);
    let judging = &plan.traffic.judging;
    let applies = |rule: &&Rule| {
        let requests = rule.metric == Metric::Errors || rule.metric.is_latency();
        !(worker && requests)
    };
    let rules = |rules: &[Rule]| -> Vec<JudgedRule> {
        rules.iter().filter(applies).filter_map(|declared| rule(plan, declared)).collect()
    };
    Policy {
        advance: rules(&plan.traffic.advance_if),
        rollback: rules(&plan.traffic.rollback_if),
        confidence: plan.traffic.confidence.unwrap_or(0.0),
        at_least: if worker { 0 } else { plan.traffic.at_least },
        floor: match plan.traffic.floor {
            Floor::Literal => JudgedFloor::Literal,
            Floor::Attributed => JudgedFloor::Attributed,
        },
        blast_radius: judging.budget,
        evidence: judging
            .evidence
            .filter(|_| !worker)
            .map(|declared| evidence(plan, &declared, instances)),
        ..Policy::default()
    }
}

fn evidence(plan: &Plan, declared: &Evidence, instances: (u32, u32)) -> EvidencePolicy {
    let ms = |time: jiff::SignedDuration| u64::try_from(time.as_millis()).unwrap_or(0);
    EvidencePolicy {
        objective: declared.objective,
        rho: declared.worse,
        latency_margin: declared.slower,
        warm_up_ms: ms(declared.warm_up),
        horizon_ms: ms(plan.horizon()).max(1),
        changes: plan.share_changes(),
        instances,
        gates_advance: declared.proves_safety,
        ..EvidencePolicy::default()
    }
}

fn rule(plan: &Plan, rule: &Rule) -> Option<JudgedRule> {
    let metric = match &rule.metric {
        Metric::Errors => Judged::ErrorRate,
        Metric::P50 => Judged::LatencyMs(Quantile::P50),
        Metric::P95 => Judged::LatencyMs(Quantile::P95),
        Metric::P99 => Judged::LatencyMs(Quantile::P99),
        Metric::Cpu => Judged::Cpu,
        Metric::Memory => Judged::Memory,
        Metric::Sick => Judged::ProbeFailures,
        Metric::Named { name, unit } => {
            let sources = &plan.traffic.judging.sources;
            let index = sources.iter().position(|source| source.name == *name)?;
            Judged::Gauge(Gauge {
                index: u8::try_from(index).ok()?,
                name: Label::new(name.as_str()),
                unit: Label::new(unit),
            })
        }
    };
    let op = match rule.comparison {
        Comparison::Below => Op::Below,
        Comparison::AtMost => Op::AtMost,
        Comparison::Above => Op::Above,
        Comparison::AtLeast => Op::AtLeast,
    };
    let sustained_ms = u64::try_from(rule.sustained.as_millis()).unwrap_or(0);
    Some(if sustained_ms == 0 {
        JudgedRule::at_once(metric, op, rule.limit)
    } else {
        JudgedRule::sustained(metric, op, rule.limit, sustained_ms)
    })
}

/// Whether the candidate is kept from going on only by what keeps the live side from passing as
/// well: an incident of both, of now or of earlier in this step. The evidence, which asks whose
/// the errors are, must have been asked and must not speak against the candidate.
#[must_use]
pub fn is_shared(plan: &Plan, verdict: &Verdict) -> bool {
    let traffic = &plan.traffic;
    let is_asked = traffic.floor == Floor::Attributed && verdict.proof.is_some();
    if !is_asked || verdict.call != Call::Hold(HoldReason::BetweenLimits) {
        return false;
    }
    let live_fails = |reading: &&Reading| {
        let mut rules = traffic.advance_if.iter().filter(|rule| rule.metric == reading.metric);
        reading.live.is_some_and(|live| rules.any(|rule| !rule.comparison.holds(live, rule.limit)))
    };
    let bad = |reading: &&Reading| matches!(reading.zone, Zone::Hold | Zone::Rollback);
    let mut kept = verdict.readings.iter().filter(bad).peekable();
    kept.peek().is_some() && kept.all(|reading| live_fails(&reading))
}

/// The judge's word in core's types, `since_ms` after the step began.
#[must_use]
pub fn translate(verdict: &judged::Verdict, since_ms: u64) -> Verdict {
    let call = match verdict.call {
        judged::Call::Advance => Call::Advance,
        judged::Call::Hold { reason } => Call::Hold(match reason {
            judged::HoldReason::InsufficientEvidence => HoldReason::InsufficientEvidence,
            judged::HoldReason::Environment => HoldReason::Environment,
            judged::HoldReason::Telemetry => HoldReason::Telemetry,
            judged::HoldReason::BetweenLimits => HoldReason::BetweenLimits,
        }),
        judged::Call::Brake => Call::Brake,
        judged::Call::Rollback => Call::Rollback,
    };
    let report = verdict.evidence.as_ref();
    let readings = verdict.metrics.iter().filter_map(|line| {
        Some(Reading {
            metric: metric(line.metric)?,
            live: line.live.filter(|value| value.is_finite()),
            candidate: line.candidate.filter(|value| value.is_finite()),
            zone: match line.zone {
                JudgedZone::Advance => Zone::Advance,
                JudgedZone::Hold => Zone::Hold,
                JudgedZone::Rollback => Zone::Rollback,
                JudgedZone::NoData => Zone::NoData,
            },
            sample: line.sample,
            needed: line.needed,
            strength: report.and_then(|report| strength(report, line.metric)),
            due_in_ms: due_in_ms(line, since_ms),
        })
    });
    Verdict {
        call,
        sentence: verdict.sentence.clone(),
        readings: readings.collect(),
        proof: verdict.evidence.as_ref().map(proof),
        outlook: Some(outlook(verdict)),
        inputs: Vec::new(),
    }
}

fn outlook(verdict: &judged::Verdict) -> Outlook {
    Outlook {
        advance_in_ms: verdict.eta.advance_ms,
        rollback_in_ms: verdict.eta.rollback_ms,
        rules_in_ms: verdict.literal.map(|literal| literal.in_ms),
        rule: verdict.literal.map(|literal| literal.rule.to_string()),
        failed: verdict.blast.failed,
        charged: verdict.blast.charged,
    }
}

fn proof(report: &EvidenceReport) -> Proof {
    Proof {
        alpha: report.alpha,
        odds: report.odds,
        against: report.total.min(MOST),
        strength: report.strength,
        safe: report.safe.min(MOST),
        times_as_often: report
            .ratio
            .map(|ratio| (ratio.estimate, ratio.low, ratio.high))
            .filter(|(estimate, low, high)| (estimate + low + high).is_finite()),
    }
}

/// How far the part of the evidence that looks at a metric is from rolling back on its own.
fn strength(report: &EvidenceReport, metric: Judged) -> Option<f64> {
    let wanted = match metric {
        Judged::ErrorRate => Proven::Errors,
        Judged::LatencyMs(_) => Proven::Latency,
        Judged::ProbeFailures => Proven::Health,
        Judged::Cpu | Judged::Memory => Proven::Saturation,
        Judged::Gauge(_) => return None,
    };
    let part = report.parts.iter().find(|part| part.part == wanted)?;
    let needed = (1.0 / (report.alpha * part.weight)).ln();
    let share = part.value.max(1.0).ln() / needed;
    share.is_finite().then(|| share.clamp(0.0, 1.0))
}

/// When the metric's zone can change: its sample is enough, or its breach has lasted.
fn due_in_ms(line: &judged::MetricVerdict, since_ms: u64) -> Option<u64> {
    if let RuleState::Breaching { needs_ms, .. } = line.state {
        return Some(needs_ms);
    }
    let missing = line.needed.checked_sub(line.sample).filter(|missing| *missing > 0)?;
    if line.standing != Standing::TooFew || line.sample == 0 {
        return None;
    }
    let due = u128::from(missing) * u128::from(since_ms) / u128::from(line.sample);
    u64::try_from(due).ok()
}

fn metric(judged: Judged) -> Option<Metric> {
    Some(match judged {
        Judged::ErrorRate => Metric::Errors,
        Judged::LatencyMs(quantile) if quantile == Quantile::P50 => Metric::P50,
        Judged::LatencyMs(quantile) if quantile == Quantile::P95 => Metric::P95,
        Judged::LatencyMs(quantile) if quantile == Quantile::P99 => Metric::P99,
        Judged::LatencyMs(_) => return None,
        Judged::Cpu => Metric::Cpu,
        Judged::Memory => Metric::Memory,
        Judged::ProbeFailures => Metric::Sick,
        Judged::Gauge(gauge) => Metric::Named {
            name: tidegate_core::ids::MetricName::new(gauge.name.as_str()).ok()?,
            unit: gauge.unit.as_str().to_owned(),
        },
    })
}

/// Rules that the judge refuses say nothing: that is missing, not good.
#[must_use]
pub fn unjudgeable() -> Verdict {
    let call = Call::Hold(HoldReason::Telemetry);
    Verdict::plain(call, "the rules of this plan cannot be judged", Vec::new())
}

/// Order of zones from good to bad; what is missing is worse than what is between.
#[must_use]
pub fn severity(zone: Zone) -> u8 {
    match zone {
        Zone::Advance => 0,
        Zone::Hold => 1,
        Zone::NoData => 2,
        Zone::Rollback => 3,
    }
}
