//! Between the declared rules of a plan and the judge's types, both ways.
//! Must never change a number on the way.

use tidegate_core::plan::{Comparison, Floor, Metric, Part, PartKind, Plan, Rule};
use tidegate_core::verdict::{Call, HoldReason, Reading, Verdict, Zone};
use tidegate_judge::policy::{Floor as JudgedFloor, Policy};
use tidegate_judge::rule::{Metric as Judged, Op, Quantile, Rule as JudgedRule};
use tidegate_judge::verdict as judged;
use tidegate_judge::zone::Zone as JudgedZone;

/// The latency limits that must be exact edges of the histogram: the same in the data plane.
pub(super) fn limits_ms(plan: &Plan) -> Vec<f64> {
    let rules = plan.traffic.advance_if.iter().chain(&plan.traffic.rollback_if);
    rules.filter(|rule| rule.metric.unit() == "ms").map(|rule| rule.limit).collect()
}

/// The policy that a part is judged by. A worker serves no requests, so only its load and its
/// probes can be judged.
pub(super) fn policy(plan: &Plan, part: &Part) -> Policy {
    let worker = part.kind == PartKind::Worker;
    let applies = |rule: &&Rule| {
        !worker || matches!(rule.metric, Metric::Cpu | Metric::Memory | Metric::Sick)
    };
    Policy {
        advance: plan.traffic.advance_if.iter().filter(applies).map(rule).collect(),
        rollback: plan.traffic.rollback_if.iter().filter(applies).map(rule).collect(),
        confidence: plan.traffic.confidence.unwrap_or(0.0),
        at_least: if worker { 0 } else { plan.traffic.at_least },
        floor: match plan.traffic.floor {
            Floor::Literal => JudgedFloor::Literal,
            Floor::Attributed => JudgedFloor::Attributed,
        },
        ..Policy::default()
    }
}

fn rule(rule: &Rule) -> JudgedRule {
    let metric = match rule.metric {
        Metric::Errors => Judged::ErrorRate,
        Metric::P50 => Judged::LatencyMs(Quantile::P50),
        Metric::P95 => Judged::LatencyMs(Quantile::P95),
        Metric::P99 => Judged::LatencyMs(Quantile::P99),
        Metric::Cpu => Judged::Cpu,
        Metric::Memory => Judged::Memory,
        Metric::Sick => Judged::ProbeFailures,
    };
    let op = match rule.comparison {
        Comparison::Below => Op::Below,
        Comparison::AtMost => Op::AtMost,
        Comparison::Above => Op::Above,
        Comparison::AtLeast => Op::AtLeast,
    };
    let sustained_ms = u64::try_from(rule.sustained.as_millis()).unwrap_or(0);
    if sustained_ms == 0 {
        JudgedRule::at_once(metric, op, rule.limit)
    } else {
        JudgedRule::sustained(metric, op, rule.limit, sustained_ms)
    }
}

/// The judge's word in core's types.
pub(super) fn translate(verdict: &judged::Verdict) -> Verdict {
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
    let readings = verdict.metrics.iter().filter_map(|line| {
        Some(Reading {
            metric: metric(line.metric)?,
            live: line.live,
            candidate: line.candidate,
            zone: match line.zone {
                JudgedZone::Advance => Zone::Advance,
                JudgedZone::Hold => Zone::Hold,
                JudgedZone::Rollback => Zone::Rollback,
                JudgedZone::NoData => Zone::NoData,
            },
            sample: line.sample,
            needed: line.needed,
        })
    });
    Verdict { call, sentence: verdict.sentence.clone(), readings: readings.collect() }
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
    })
}

/// Rules that the judge refuses say nothing: that is missing, not good.
pub(super) fn unjudgeable() -> Verdict {
    Verdict {
        call: Call::Hold(HoldReason::Telemetry),
        sentence: "the rules of this plan cannot be judged".to_owned(),
        readings: Vec::new(),
    }
}

/// Order of zones from good to bad; what is missing is worse than what is between.
pub(super) fn severity(zone: Zone) -> u8 {
    match zone {
        Zone::Advance => 0,
        Zone::Hold => 1,
        Zone::NoData => 2,
        Zone::Rollback => 3,
    }
}
