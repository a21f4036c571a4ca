//! Reads `traffic` and `after`: the steps, the rules, and what happens between their limits.
//! Must never produce steps that do not grow to the whole, nor rules that nothing can measure.

use jiff::SignedDuration;
use tidegate_core::plan::{
    Bake, Comparison, Floor, HoldEnd, Judging, KeepPrevious, Limits, Metric, Otherwise, Part, Rule,
    STEPS_MAX, Source, Traffic,
};
use tidegate_core::weight::{WHOLE_BP, Weight};

use crate::codes;
use crate::fields::{Field, Fields, shorten};
use crate::judging;
use crate::read;
use crate::report::{Report, Span};
use crate::rule::{self, Purpose};
use crate::units;

/// Steps when nothing is said, in basis points.
const STEPS_BP: [u16; 4] = [500, 2_500, 5_000, WHOLE_BP];
/// How long a step lasts when nothing is said.
const DWELL: SignedDuration = SignedDuration::from_mins(15);
/// Requests that the candidate must have answered in a step when nothing is said.
const AT_LEAST: u64 = 100;
/// Most requests that may be demanded in one step.
const AT_LEAST_MAX: u64 = 1_000_000_000;
/// A hold between the limits ends after this when nothing is said.
const HOLD: SignedDuration = SignedDuration::from_mins(30);
/// The rules stay armed at 100 % for this long when nothing is said.
const WATCH: SignedDuration = SignedDuration::from_mins(30);
/// Bounds of a dwell: a tick of the proxy is one second.
const DWELL_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_hours(7 * 24));

/// `traffic` as read, with what the lints point at.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) traffic: Traffic,
    pub(crate) lease: SignedDuration,
    pub(crate) places: Places,
}

/// Where things stand, for findings about how they fit together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places {
    pub(crate) traffic: Option<Span>,
    pub(crate) steps: Option<Span>,
    pub(crate) dwell: Option<Span>,
    pub(crate) advance: Option<Span>,
    pub(crate) rollback: Option<Span>,
    pub(crate) otherwise: Option<Span>,
}

/// Reads `traffic`; its `route` is read with the part it belongs to.
pub(crate) fn traffic(
    fields: &mut Fields<'_>,
    parts: &[&Part],
    sources: Vec<Source>,
    report: &mut Report<'_>,
) -> Read {
    let serves = parts.iter().any(|part| part.route().is_some());
    let steps_field = fields.get("steps");
    let mut places = Places {
        traffic: Some(fields.at()),
        steps: steps_field.as_ref().map(Field::at),
        ..Places::default()
    };
    let steps = steps_field.and_then(|field| steps(&field, report)).unwrap_or_else(default_steps);
    let each = each(fields.get("each"), serves, &mut places, report);
    let advance_if = fields
        .get("advance_if")
        .map(|field| list(&field, Purpose::Advance, (parts, &sources), &mut places, report));
    let rollback_if = fields
        .get("rollback_if")
        .map(|field| list(&field, Purpose::Rollback, (parts, &sources), &mut places, report));
    if let (Some(advance), Some(rollback)) = (&advance_if, &rollback_if) {
        refuse_overlap(advance, rollback, report);
    }
    let plain = |rules: Vec<(Rule, Field<'_>)>| rules.into_iter().map(|(rule, _)| rule).collect();
    let advance_if = advance_if.map_or_else(|| default_rules(Purpose::Advance, parts), plain);
    let rollback_if = rollback_if.map_or_else(|| default_rules(Purpose::Rollback, parts), plain);
    let judging = judging::judging(fields, &advance_if, sources, report);
    let otherwise_field = fields.get("otherwise");
    places.otherwise = otherwise_field.as_ref().map(Field::at);
    let otherwise = otherwise(otherwise_field, report);
    let floors = [("attributed", Floor::Attributed), ("literal", Floor::Literal)];
    let floor = read::choice(fields.get("floor"), &floors, Floor::Attributed, report);
    let lease_bounds = (SignedDuration::from_secs(5), SignedDuration::from_hours(1));
    let lease =
        read::duration(fields.get("lease"), Limits::default().traffic_lease, lease_bounds, report);
    let traffic = Traffic {
        steps,
        dwell: each.dwell,
        confidence: each.confidence,
        at_least: each.at_least,
        advance_if,
        rollback_if,
        otherwise,
        floor,
        judging,
    };
    Read { traffic, lease, places }
}

/// What stands for `traffic` when it is not given.
pub(crate) fn unsaid(parts: &[&Part], sources: Vec<Source>) -> Read {
    let serves = parts.iter().any(|part| part.route().is_some());
    let advance_if = default_rules(Purpose::Advance, parts);
    let evidence = Some(judging::unsaid(&advance_if));
    let traffic = Traffic {
        steps: default_steps(),
        dwell: DWELL,
        confidence: None,
        at_least: if serves { AT_LEAST } else { 0 },
        advance_if,
        rollback_if: default_rules(Purpose::Rollback, parts),
        otherwise: Otherwise { hold: HOLD, then: HoldEnd::Rollback },
        floor: Floor::Attributed,
        judging: Judging { evidence, budget: None, sources },
    };
    Read { traffic, lease: Limits::default().traffic_lease, places: Places::default() }
}

fn default_steps() -> Vec<Weight> {
    STEPS_BP.iter().filter_map(|bp| Weight::from_bp(*bp).ok()).collect()
}

/// Rules when a list is left away. An empty list that is written stays empty.
fn default_rules(purpose: Purpose, parts: &[&Part]) -> Vec<Rule> {
    let serves = parts.iter().any(|part| part.route().is_some());
    let probed = parts.iter().any(|part| !part.probes.is_empty());
    let rule = |metric, comparison, limit, sustained| Rule { metric, comparison, limit, sustained };
    let mut rules = Vec::new();
    match purpose {
        Purpose::Advance => {
            if serves {
                rules.push(rule(Metric::Errors, Comparison::Below, 1.0, SignedDuration::ZERO));
            }
            if probed {
                rules.push(rule(Metric::Sick, Comparison::Below, 50.0, SignedDuration::ZERO));
            }
        }
        Purpose::Rollback => {
            if serves {
                let minute = SignedDuration::from_mins(1);
                rules.push(rule(Metric::Errors, Comparison::Above, 5.0, minute));
            }
            if probed {
                let minutes = SignedDuration::from_mins(3);
                rules.push(rule(Metric::Sick, Comparison::Above, 50.0, minutes));
            }
        }
    }
    rules
}

/// Shares of the candidate. Every way to be wrong has its own sentence.
fn steps(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<Weight>> {
    let items = read::list(field, report)?;
    if items.is_empty() || items.len() > STEPS_MAX {
        let message =
            format!("`{}` has {} steps: it needs 1 to {STEPS_MAX}", field.path, items.len());
        report.error(codes::BAD_STEPS, field.at(), message);
        return None;
    }
    let mut steps: Vec<Weight> = Vec::with_capacity(items.len());
    let mut sound = true;
    for (index, node) in items.iter().enumerate() {
        let item = read::item(&field.path, index, node);
        let Some(weight) = step(&item, report) else {
            sound = false;
            continue;
        };
        if let Some(last) = steps.last()
            && weight <= *last
        {
            let message = if weight == *last {
                format!("`{}` repeats {weight}", item.path)
            } else {
                format!("`{}` falls from {last} to {weight}", item.path)
            };
            report.error(codes::BAD_STEPS, item.at(), message).help(
                "each step is the candidate's whole share and must be larger than the one before",
            );
            sound = false;
        }
        steps.push(weight);
    }
    if sound
        && let (Some(last), Some(node)) = (steps.last(), items.last())
        && *last != Weight::WHOLE
    {
        let message = format!("`{}` ends at {last}, not at 100 %", field.path);
        report.error(codes::BAD_STEPS, node.at, message).help(
            "add `100%` as the last step: a release is in production when it has all traffic",
        );
        sound = false;
    }
    sound.then_some(steps)
}

fn step(item: &Field<'_>, report: &mut Report<'_>) -> Option<Weight> {
    let text = read::text(item, report)?;
    let number = match units::percent(text) {
        Ok(number) => number,
        Err(refused) => {
            read::refuse(codes::BAD_PERCENT, item, refused, report);
            return None;
        }
    };
    let Some(bp) = number.scaled(2) else {
        let message = format!("`{}` is `{}`: finer than 0.01 %", item.path, shorten(text));
        report
            .error(codes::BAD_STEPS, item.at(), message)
            .help("traffic is divided in hundredths of a percent");
        return None;
    };
    let weight =
        u16::try_from(bp).ok().filter(|bp| *bp > 0).and_then(|bp| Weight::from_bp(bp).ok());
    if weight.is_none() {
        let message = if bp == 0 {
            format!("`{}` is 0 %: a step moves some traffic", item.path)
        } else {
            format!("`{}` is `{}`: more than 100 %", item.path, shorten(text))
        };
        report.error(codes::BAD_STEPS, item.at(), message);
    }
    weight
}

struct Each {
    dwell: SignedDuration,
    confidence: Option<f64>,
    at_least: u64,
}

fn each(
    field: Option<Field<'_>>,
    serves: bool,
    places: &mut Places,
    report: &mut Report<'_>,
) -> Each {
    let at_least = if serves { AT_LEAST } else { 0 };
    let Some(field) = field else {
        return Each { dwell: DWELL, confidence: None, at_least };
    };
    let mut fields = Fields::of(&field, report);
    places.dwell = fields.key_at("for");
    let dwell = read::duration(fields.get("for"), DWELL, DWELL_BOUNDS, report);
    let confidence = fields.get("confidence").and_then(|field| confidence(&field, report));
    let at_least = match fields.get("at_least") {
        None => at_least,
        Some(field) => requests(&field, report).unwrap_or(at_least),
    };
    fields.finish(&[], report);
    Each { dwell, confidence, at_least }
}

/// A percentage as a fraction, 0.5 to 0.9999.
fn confidence(field: &Field<'_>, report: &mut Report<'_>) -> Option<f64> {
    let text = read::text(field, report)?;
    let number = match units::percent(text) {
        Ok(number) => number,
        Err(mut refused) => {
            // People write the fraction: to add a sign to `0.95` would be poor advice.
            "write it as a percentage, as in `95%`".clone_into(&mut refused.help);
            read::refuse(codes::BAD_PERCENT, field, refused, report);
            return None;
        }
    };
    let hundredths = number.scaled(2).and_then(|value| u16::try_from(value).ok());
    let value = hundredths.filter(|value| (5_000..=9_999).contains(value));
    if value.is_none() {
        let message = format!("`{}` is `{}`: it must be 50% to 99.99%", field.path, shorten(text));
        report
            .error(codes::BAD_PERCENT, field.at(), message)
            .help("95% is usual; remove the key to compare the plain value");
    }
    value.map(|value| f64::from(value) / 10_000.0)
}

/// `100 requests`.
fn requests(field: &Field<'_>, report: &mut Report<'_>) -> Option<u64> {
    let text = read::text(field, report)?;
    let digits = text
        .trim()
        .strip_suffix("requests")
        .or_else(|| text.trim().strip_suffix("request"))
        .map(str::trim_end)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let count = digits.and_then(|digits| digits.parse().ok()).filter(|n| *n <= AT_LEAST_MAX);
    if count.is_none() {
        let message = format!("`{}` is `{}`, not a number of requests", field.path, shorten(text));
        report
            .error(codes::BAD_NUMBER, field.at(), message)
            .help("write for example `100 requests`");
    }
    count
}

fn list<'n>(
    field: &Field<'n>,
    purpose: Purpose,
    (parts, sources): (&[&Part], &[Source]),
    places: &mut Places,
    report: &mut Report<'_>,
) -> Vec<(Rule, Field<'n>)> {
    match purpose {
        Purpose::Advance => places.advance = Some(field.at()),
        Purpose::Rollback => places.rollback = Some(field.at()),
    }
    let rules = rule::rules(field, purpose, sources, report);
    for (rule, item) in &rules {
        refuse_unmeasured(rule, item, parts, report);
    }
    rules
}

/// A rule whose metric has no source would hold every deployment, or never fire.
fn refuse_unmeasured(rule: &Rule, item: &Field<'_>, parts: &[&Part], report: &mut Report<'_>) {
    // When the parts themselves were refused there is nothing to compare with.
    if parts.is_empty() {
        return;
    }
    let name = rule.metric.name();
    let missing = match &rule.metric {
        Metric::Errors | Metric::P50 | Metric::P95 | Metric::P99 => {
            let serves = parts.iter().any(|part| part.route().is_some());
            (!serves).then_some("no part takes requests: use `cpu`, `memory` or `sick`")
        }
        Metric::Sick => {
            let probed = parts.iter().any(|part| !part.probes.is_empty());
            (!probed).then_some("no part has a probe: add one under `probes`")
        }
        Metric::Cpu | Metric::Memory | Metric::Named { .. } => None,
    };
    if let Some(help) = missing {
        let message = format!("`{}`: nothing here measures `{name}`", item.path);
        report.error(codes::NO_READINGS, item.at(), message).help(help);
    }
}

/// No value may both advance and roll back.
fn refuse_overlap(
    advance: &[(Rule, Field<'_>)],
    rollback: &[(Rule, Field<'_>)],
    report: &mut Report<'_>,
) {
    for (good, _) in advance {
        for (bad, item) in rollback.iter().filter(|(bad, _)| bad.metric == good.metric) {
            let both_include =
                good.comparison == Comparison::AtMost && bad.comparison == Comparison::AtLeast;
            // Which of its directions is good is in the eye of who declared it.
            if good.comparison.points_up() {
                if good.limit < bad.limit {
                    let message = format!(
                        "`{}` and `{}` can both be true",
                        rule::show(good),
                        rule::show(bad)
                    );
                    report
                        .error(codes::ZONES_OVERLAP, item.at(), message)
                        .help("where high is good, the limit to advance must lie above the other");
                }
                continue;
            }
            let touching = good.limit.total_cmp(&bad.limit).is_eq() && both_include;
            if good.limit > bad.limit || touching {
                let message =
                    format!("`{}` and `{}` can both be true", rule::show(good), rule::show(bad));
                report
                    .error(codes::ZONES_OVERLAP, item.at(), message)
                    .help("the limit to advance must lie below the limit to roll back");
            }
        }
    }
}

fn otherwise(field: Option<Field<'_>>, report: &mut Report<'_>) -> Otherwise {
    let default = Otherwise { hold: HOLD, then: HoldEnd::Rollback };
    let Some(field) = field else { return default };
    let mut fields = Fields::of(&field, report);
    let bounds = (SignedDuration::from_secs(1), SignedDuration::from_hours(7 * 24));
    let hold = read::duration(fields.get("hold"), HOLD, bounds, report);
    let ends = [("rollback", HoldEnd::Rollback), ("page", HoldEnd::Page)];
    let then = fields.get("then");
    if let Some(then) = &then
        && let Some("advance" | "promote" | "continue") = read::text(then, report)
    {
        report
            .error(codes::BAD_CHOICE, then.at(), "a hold never advances by itself")
            .help("write `rollback`, or `page` to keep the traffic as it is and call a person");
        fields.finish(&["tell"], report);
        return default;
    }
    let then = read::choice(then, &ends, HoldEnd::Rollback, report);
    fields.finish(&["tell"], report);
    Otherwise { hold, then }
}

/// `after`: watching at 100 %.
pub(crate) fn after(field: Option<Field<'_>>, report: &mut Report<'_>) -> (Bake, Option<Span>) {
    let default = Bake { watch: WATCH, keep_previous: KeepPrevious::Warm };
    let Some(field) = field else {
        return (default, None);
    };
    let mut fields = Fields::of(&field, report);
    let Some(watch) = fields.get("watch") else {
        fields.finish(&["verify", "then"], report);
        return (default, None);
    };
    let at = watch.at();
    let mut inner = Fields::of(&watch, report);
    let bounds = (SignedDuration::ZERO, SignedDuration::from_hours(7 * 24));
    let length = read::duration(inner.get("for"), WATCH, bounds, report);
    let keeps = [("warm", KeepPrevious::Warm), ("cold", KeepPrevious::Cold)];
    let keep_previous =
        read::choice(inner.get("keep_previous"), &keeps, KeepPrevious::Warm, report);
    inner.finish(&[], report);
    fields.finish(&["verify", "then"], report);
    let finding = Bake { watch: length, keep_previous };
    (finding, Some(at))
}
