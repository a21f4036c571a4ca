//! Verdicts in plain English, with the numbers that led to them.
//! It must never compute a number that the verdict does not hold.

use crate::evidence::{EvidenceReport, Part, PartEvidence};
use crate::rule::{Measured, Metric, Rule};
use crate::tick::Arm;
use crate::verdict::{Blast, HoldReason, MetricVerdict};
use crate::window::RuleState;
use crate::words::{amount, at_most_ms, count, percent, plain, share, span};
use crate::zone::{Standing, Zone};

/// A rollback rule in breach, with what both releases counted since it began.
pub(crate) struct Breach<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) state: RuleState,
    pub(crate) candidate: Measured,
    pub(crate) live: Measured,
}

fn subject(metric: Metric) -> String {
    match metric {
        Metric::ErrorRate | Metric::ProbeFailures => format!("{metric} of the new version are"),
        Metric::LatencyMs(_) | Metric::Cpu | Metric::Memory | Metric::Gauge(_) => {
            format!("{metric} of the new version is")
        }
    }
}

/// What a rollback rule counted: "4.9 % (14 of 280)".
fn counted(rule: &Rule, measured: Measured) -> String {
    let Some(value) = measured.percent() else {
        return "unknown".to_owned();
    };
    match (rule.metric, measured) {
        (Metric::LatencyMs(_), Measured::Share { bad, of }) => {
            let limit = plain(rule.limit);
            format!("over {limit} ms ({} of {} took that or more)", count(bad), count(of))
        }
        (_, Measured::Share { bad, of }) => {
            format!("{} ({} of {})", percent(value), count(bad), count(of))
        }
        (Metric::Gauge(_), _) => amount(value, rule.metric.unit()),
        (_, Measured::Level(_) | Measured::Nothing) => percent(value),
    }
}

/// What live counted under the same rule, which it need not breach.
fn live_counted(rule: &Rule, measured: Measured) -> String {
    match (rule.metric, measured) {
        (_, Measured::Nothing | Measured::Share { of: 0, .. }) => "live is not known".to_owned(),
        (Metric::LatencyMs(_), Measured::Share { bad, of }) => {
            format!("in live {} of {} took that or more", count(bad), count(of))
        }
        (_, Measured::Share { .. } | Measured::Level(_)) => {
            format!("in live {}", counted(rule, measured))
        }
    }
}

/// "limit 1 % for 5m"
fn limit(rule: &Rule) -> String {
    let bound = amount(rule.limit, rule.metric.unit());
    match rule.sustained_ms {
        0 => bound,
        sustained_ms => format!("{bound} for {}", span(sustained_ms)),
    }
}

/// "< 200 ms", "> 500 ms for 5m"
fn bound(rule: &Rule) -> String {
    format!("{} {}", rule.op.sign(), limit(rule))
}

/// "errors of the new version are 4.9 % (14 of 280), limit 1 % for 5m, breaching for 3m, ..."
pub(crate) fn breach(breach: &Breach<'_>, at_ms: u64) -> String {
    let rule = breach.rule;
    let mut parts = vec![
        format!("{} {}", subject(rule.metric), counted(rule, breach.candidate)),
        format!("limit {}", limit(rule)),
    ];
    match breach.state {
        RuleState::Breaching { since_ms, needs_ms } => {
            parts.push(format!("breaching for {}", span(at_ms.saturating_sub(since_ms))));
            parts.push(format!("rolls back in {} unless it ends", span(needs_ms)));
        }
        RuleState::Fired { since_ms, .. } if at_ms > since_ms => {
            parts.push(format!("breached for {}", span(at_ms - since_ms)));
        }
        RuleState::Fired { .. } | RuleState::Clear | RuleState::NoData => {}
    }
    format!("{}; {}", parts.join(", "), live_counted(rule, breach.live))
}

/// The number of a metric since the step began: "errors of the new version are 0 % (0 of 500)".
fn number(metric: &MetricVerdict) -> String {
    let Some(value) = metric.candidate else {
        return "unknown".to_owned();
    };
    match metric.metric {
        Metric::LatencyMs(_) => {
            format!("{} ({} requests)", at_most_ms(value), count(metric.sample))
        }
        Metric::Cpu | Metric::Memory => percent(value),
        Metric::Gauge(_) => amount(value, metric.metric.unit()),
        Metric::ErrorRate | Metric::ProbeFailures => {
            format!("{} ({} of {})", percent(value), count(metric.bad), count(metric.sample))
        }
    }
}

/// Why a metric keeps the rollout where it is: names both limits where there are two.
pub(crate) fn between(metric: &MetricVerdict, at_ms: u64) -> String {
    if let (Zone::Rollback, Some(rule)) = (metric.zone, &metric.rollback) {
        let (candidate, live) = (metric.run, metric.live_run);
        return breach(&Breach { rule, state: metric.state, candidate, live }, at_ms);
    }
    let mut parts = vec![format!("{} {}", subject(metric.metric), number(metric))];
    if let Some(rule) = &metric.advance {
        if let (Metric::LatencyMs(_), Some(allowed)) = (rule.metric, rule.allowed_share()) {
            parts.push(format!(
                "{} took {} ms or more where {} may",
                count(metric.bad),
                plain(rule.limit),
                share(allowed)
            ));
        }
        parts.push(format!("must be {} to go on", bound(rule)));
    }
    if let Some(rule) = &metric.rollback {
        parts.push(format!("{} rolls back", bound(rule)));
    }
    parts.join(", ")
}

/// What is still missing to be sure.
pub(crate) fn too_few(metric: &MetricVerdict, confidence: f64) -> String {
    let (Standing::TooFew, Some(rule)) = (metric.standing, &metric.advance) else {
        return format!("there was nothing to count for {} of the new version", metric.metric);
    };
    let unit = if metric.metric == Metric::ProbeFailures { "probes" } else { "requests" };
    let to_go = count(metric.needed.saturating_sub(metric.sample));
    if metric.sample == 0 {
        return format!(
            "no {unit} were counted for {} of the new version, {} are needed",
            metric.metric,
            count(metric.needed)
        );
    }
    let sure =
        if confidence > 0.0 { format!(" to be {} sure", share(confidence)) } else { String::new() };
    format!(
        "{} {}, which is {}, but {} {unit} are needed{sure}: {to_go} to go",
        subject(metric.metric),
        number(metric),
        bound(rule),
        count(metric.needed)
    )
}

/// Sequential evidence that is enough: what was counted in this step, and how sure it is.
pub(crate) fn evidence(
    report: &EvidenceReport,
    candidate: Option<&Arm>,
    live: Option<&Arm>,
    at_ms: u64,
) -> String {
    let heaviest = |a: &&PartEvidence, b: &&PartEvidence| {
        (a.weight * a.value).total_cmp(&(b.weight * b.value))
    };
    let counted = report.parts.iter().filter(|part| part.part != Part::Mismatch);
    let Some(lead) = counted.max_by(heaviest) else { return "evidence is enough".to_owned() };
    let mut parts = vec![match lead.part {
        Part::Errors => failed(candidate, live, report),
        Part::Latency => "answers of the new version are slower than those of live".to_owned(),
        Part::Health => {
            let (bad, of) = candidate.map_or((0, 0), |arm| (arm.probes_failed, arm.probes));
            format!("{} of {} health probes of the new version failed", count(bad), count(of))
        }
        Part::Saturation | Part::Mismatch => {
            "CPU or memory of the new version grows faster than in any instance of live".to_owned()
        }
    }];
    if let Some(since_ms) = lead.since_ms {
        parts.push(format!("since about {} ago", span(at_ms.saturating_sub(since_ms))));
    }
    let odds = count(report.odds);
    parts.push(format!("an equal version does that in fewer than 1 of {odds} rollouts"));
    parts.join(", ")
}

fn failed(candidate: Option<&Arm>, live: Option<&Arm>, report: &EvidenceReport) -> String {
    let of = |arm: Option<&Arm>| {
        let (bad, of) = arm.map_or((0, 0), |arm| (arm.failures, arm.requests));
        let rate = Measured::Share { bad, of }.percent();
        let rate = rate.map_or_else(|| "no rate".to_owned(), percent);
        format!("{} of {} requests ({rate})", count(bad), count(of))
    };
    let text = format!("the new version failed {}, live {}", of(candidate), of(live));
    match &report.ratio {
        Some(ratio) => format!(
            "{text}, {:.0} times as often (99 % range {:.1} to {:.0})",
            ratio.estimate, ratio.low, ratio.high
        ),
        None => text,
    }
}

/// More failed requests than the policy allows the candidate to cost.
pub(crate) fn blast(blast: &Blast) -> String {
    format!(
        "{} of {} failed requests are charged to the new version, at most {} may be",
        count(blast.charged as u64),
        count(blast.failed),
        count(blast.limit.unwrap_or(0))
    )
}

/// The candidate was not heard of for longer than the policy allows.
pub(crate) fn silence(ms: u64) -> String {
    format!("nothing was heard of the new version for {}", span(ms))
}

/// Requests that do not arrive in the ratio that was set.
pub(crate) fn mismatched(report: &EvidenceReport) -> Option<(HoldReason, String)> {
    let text = "requests do not arrive in the ratio that was set, so no count can be believed";
    report.mismatched.then(|| (HoldReason::Telemetry, text.to_owned()))
}

/// A metric that passes.
fn passing(metric: &MetricVerdict) -> String {
    let number = format!("{} {}", metric.metric, number(metric));
    match (&metric.advance, &metric.rollback) {
        (Some(rule), _) => format!("{number} with limit {}", bound(rule)),
        (None, Some(rule)) => format!("{number} where {} rolls back", bound(rule)),
        (None, None) => number,
    }
}

/// All metrics pass.
pub(crate) fn advance(metrics: &[MetricVerdict]) -> String {
    if metrics.is_empty() {
        return "Advance: no rule asks for anything, and the new version is heard of.".to_owned();
    }
    let parts: Vec<String> = metrics.iter().map(passing).collect();
    format!("Advance: the new version has {}.", parts.join("; "))
}
