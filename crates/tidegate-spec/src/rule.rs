//! Reads rules as people say them: `errors < 0.1%`, `p95 > 500ms for 5m`.
//! Must never accept a limit without its unit, nor a rule that points the wrong way: it would send
//! good releases back, or bad ones on.

use jiff::SignedDuration;
use tidegate_core::plan::{Comparison, Metric, Rule, Source};

use crate::codes;
use crate::fields::{Field, shorten};
use crate::read;
use crate::report::Report;
use crate::units::{self, Decimal, Refused};
use crate::words;

/// Most rules of one list.
pub(crate) const RULES_MAX: usize = 32;
/// Highest latency limit: an answer later than this has no reader.
const LATENCY_MAX_US: u32 = 600_000_000;
/// Longest time for which a breach may have to last.
const SUSTAINED_MAX: SignedDuration = SignedDuration::from_hours(24);

/// What a list of rules is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// All must hold.
    Advance,
    /// Any of them acts.
    Rollback,
}

/// The rules of a list, each with its place in the file.
pub(crate) fn rules<'n>(
    field: &Field<'n>,
    purpose: Purpose,
    sources: &[Source],
    report: &mut Report<'_>,
) -> Vec<(Rule, Field<'n>)> {
    let Some(items) = read::list(field, report) else {
        return Vec::new();
    };
    if items.len() > RULES_MAX {
        let message = format!("`{}` has more than {RULES_MAX} rules", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let mut rules = Vec::with_capacity(items.len());
    for (index, node) in items.iter().enumerate() {
        let item = read::item(&field.path, index, node);
        let Some(text) = read::text(&item, report) else {
            continue;
        };
        match rule(text, purpose, sources) {
            Ok(rule) => rules.push((rule, item)),
            Err((code, refused)) => read::refuse(code, &item, refused, report),
        }
    }
    rules
}

type Refusal = (&'static str, Refused);

fn rule(text: &str, purpose: Purpose, sources: &[Source]) -> Result<Rule, Refusal> {
    let example = match purpose {
        Purpose::Advance => "write a comparison, as in `errors < 0.1%` or `p95 < 200ms`",
        Purpose::Rollback => {
            "write a comparison, as in `errors > 1% for 5m` or `p95 > 500ms for 5m`"
        }
    };
    let refuse = |message: String| (codes::BAD_RULE, Refused::new(message, example));
    let text = text.trim();
    let Some(at) = text.find(['<', '>', '=', '!', '≤', '≥']) else {
        return Err(refuse(format!("`{}` compares nothing", shorten(text))));
    };
    let (name, rest) = text.split_at(at);
    let metric = metric(name.trim(), sources)?;
    let (comparison, rest) = comparison(rest)
        .ok_or_else(|| refuse(format!("`{}` needs one of < <= > >=", shorten(text))))?;
    // Of a number that somebody else measures either direction may be the good one.
    let fixed = !matches!(metric, Metric::Named { .. });
    if fixed && comparison.points_up() != (purpose == Purpose::Rollback) {
        let message = match purpose {
            Purpose::Advance => format!("`{text}` would advance when {} is high", metric.name()),
            Purpose::Rollback => format!("`{text}` would roll back when {} is low", metric.name()),
        };
        return Err(refuse(message));
    }
    let (value, lasting) = match rest.split_once(" for ") {
        Some((value, lasting)) => (value.trim(), Some(lasting.trim())),
        None => (rest.trim(), None),
    };
    let limit = limit(&metric, value)?;
    let sustained = match lasting {
        None => SignedDuration::ZERO,
        Some(_) if purpose == Purpose::Advance => {
            let help = "a rule to advance is judged over the whole step; say how long a step lasts \
                        in `each.for`";
            let message = format!("`{text}`: `for` belongs to rules that roll back");
            return Err((codes::BAD_RULE, Refused::new(message, help)));
        }
        Some(lasting) => {
            let lasting =
                units::duration(lasting).map_err(|refused| (codes::BAD_DURATION, refused))?;
            if lasting > SUSTAINED_MAX {
                return Err(refuse(format!("`{text}` lasts longer than 24h")));
            }
            lasting
        }
    };
    Ok(Rule { metric, comparison, limit, sustained })
}

pub(crate) fn comparison(text: &str) -> Option<(Comparison, &str)> {
    const SIGNS: [(&str, Comparison); 6] = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("≤", Comparison::AtMost),
        ("≥", Comparison::AtLeast),
        ("<", Comparison::Below),
        (">", Comparison::Above),
    ];
    SIGNS
        .iter()
        .find_map(|(sign, comparison)| text.strip_prefix(sign).map(|rest| (*comparison, rest)))
}

fn metric(name: &str, sources: &[Source]) -> Result<Metric, Refusal> {
    if let Some(source) = sources.iter().find(|source| source.name.as_str() == name) {
        return Ok(Metric::Named { name: source.name.clone(), unit: source.unit.clone() });
    }
    if let Some(metric) = Metric::ALL.into_iter().find(|metric| metric.name() == name) {
        return Ok(metric);
    }
    let lower = name.to_lowercase();
    let timed = ["latency", "response", "time", "duration", "rt", "ms"];
    if lower.split([' ', '_', '-']).any(|word| timed.contains(&word)) {
        return Err((
            codes::NO_PERCENTILE,
            Refused::new(
                format!("`{}` says no percentile", shorten(name)),
                "write `p50`, `p95` or `p99`: an average hides the slow requests",
            ),
        ));
    }
    let known: Vec<&str> = Metric::ALL
        .iter()
        .map(Metric::name)
        .chain(sources.iter().map(|source| source.name.as_str()))
        .collect();
    let meant = match lower.as_str() {
        "error" | "error rate" | "error_rate" | "5xx" | "failures" => Some("errors"),
        "health" | "unhealthy" | "probes" | "probe failures" | "health failures" => Some("sick"),
        "processor" | "cpu utilization" | "cpu usage" => Some("cpu"),
        "mem" | "ram" | "memory utilization" | "memory usage" => Some("memory"),
        other => words::nearest(other, known.iter().copied()),
    };
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("metrics are {}", words::list(&known)),
    };
    Err((codes::UNKNOWN_METRIC, Refused::new(format!("`{}` is not a metric", shorten(name)), help)))
}

/// The limit in the metric's unit.
fn limit(metric: &Metric, text: &str) -> Result<f64, Refusal> {
    if let Metric::Named { unit, .. } = metric {
        return plain(unit, text).map_err(|refused| (codes::BAD_RULE, refused));
    }
    if metric.is_latency() {
        return latency(text).map_err(|refused| (codes::BAD_RULE, refused));
    }
    let number = units::percent(text).map_err(|refused| (codes::BAD_PERCENT, refused))?;
    match number.float() {
        Some(value) if value <= 100.0 => Ok(value),
        _ => {
            let refused = Refused::new(
                format!("`{}` is more than the whole", shorten(text)),
                "a limit is 0% to 100%",
            );
            Err((codes::BAD_PERCENT, refused))
        }
    }
}

/// A number of another system, with its declared unit or without one.
fn plain(unit: &str, text: &str) -> Result<f64, Refused> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    Decimal::lead(rest)
        .filter(|(_, written)| written.trim().is_empty() || written.trim() == unit)
        .and_then(|(number, _)| number.float())
        .map(|value| sign * value)
        .ok_or_else(|| {
            let help = format!("write a number, as in `10{unit}`");
            Refused::new(format!("`{}` is not in the metric's unit", shorten(text)), help)
        })
}

pub(crate) fn latency(text: &str) -> Result<f64, Refused> {
    let help = "write it in `ms` or `s`, as in `200ms` or `1.5s`";
    let refuse = |message: String| Refused::new(message, help);
    let Some((number, unit)) = Decimal::lead(text) else {
        return Err(refuse(format!("`{}` is not a latency", shorten(text))));
    };
    // Thousandths of a millisecond, so that `0.57s` is 570 and not a neighbour of it.
    let micros = match unit.trim() {
        "ms" => number.scaled(3),
        "s" => number.scaled(6),
        "" => return Err(refuse(format!("`{}` has no unit", shorten(text)))),
        other => {
            return Err(refuse(format!("`{}` is not a unit of latency", shorten(other))));
        }
    };
    micros
        .and_then(|micros| u32::try_from(micros).ok())
        .filter(|micros| (1..=LATENCY_MAX_US).contains(micros))
        .map(|micros| f64::from(micros) / 1_000.0)
        .ok_or_else(|| {
            refuse(format!("`{}` is not between 0.001 ms and 10 minutes", shorten(text)))
        })
}

/// A rule as the file would say it.
pub(crate) fn show(rule: &Rule) -> String {
    let unit = rule.metric.unit();
    let limit = format!("{}{unit}", rule.limit);
    let base = format!("{} {} {limit}", rule.metric.name(), rule.comparison.sign());
    if rule.sustained.is_zero() {
        return base;
    }
    format!("{base} for {}", units::show(rule.sustained))
}
