//! Limits of gates as people write them: `> 80%`, `< 200ms`, `> 0 packages`, `200 tests`.
//! Must never take a number without its unit where a unit is meant.

use tidegate_core::gate::Bound;
use tidegate_core::plan::Comparison;

use crate::codes;
use crate::fields::{Field, shorten};
use crate::read;
use crate::report::Report;
use crate::rule;
use crate::units::{self, Decimal, Refused};

/// Largest count: far more than any suite has tests.
const COUNT_MAX: u64 = 1_000_000_000;

/// What a limit is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Percent,
    Millis,
}

/// A comparison with a limit: `> 80%`. A coverage of `80%` alone means at least, a latency of
/// `200ms` alone would mean nothing.
pub(super) fn bound(
    field: Option<Field<'_>>,
    unit: Unit,
    upward: bool,
    report: &mut Report<'_>,
) -> Option<Bound> {
    let field = field?;
    let text = read::text(&field, report)?.trim();
    let example = match (unit, upward) {
        (Unit::Percent, true) => "write for example `> 80%`",
        (Unit::Percent, false) => "write for example `< 1%`",
        (Unit::Millis, _) => "write for example `< 200ms`",
    };
    let mut refuse = |message: String| {
        read::refuse(codes::BAD_RULE, &field, Refused::new(message, example), report);
    };
    let Some((comparison, rest)) = rule::comparison(text) else {
        refuse(format!("`{}` compares nothing", shorten(text)));
        return None;
    };
    let up = matches!(comparison, Comparison::Above | Comparison::AtLeast);
    if up != upward {
        refuse(format!("`{}` points the wrong way", shorten(text)));
        return None;
    }
    let value = match unit {
        Unit::Percent => units::percent(rest).map(Decimal::float),
        Unit::Millis => rule::latency(rest.trim()).map(Some),
    };
    match value {
        Ok(Some(limit)) if unit == Unit::Millis || limit <= 100.0 => {
            Some(Bound { comparison, limit })
        }
        Ok(_) => {
            refuse(format!("`{}` is more than the whole", shorten(text)));
            None
        }
        Err(refused) => {
            read::refuse(codes::BAD_RULE, &field, refused, report);
            None
        }
    }
}

/// A percentage that must be reached: `100%`.
pub(super) fn share(field: Option<Field<'_>>, default: f64, report: &mut Report<'_>) -> f64 {
    let Some(field) = field else { return default };
    let Some(text) = read::text(&field, report) else { return default };
    match units::percent(text).map(Decimal::float) {
        Ok(Some(value)) if value <= 100.0 => value,
        Ok(_) => {
            let refused = Refused::new("more than the whole", "write at most `100%`");
            read::refuse(codes::BAD_PERCENT, &field, refused, report);
            default
        }
        Err(refused) => {
            read::refuse(codes::BAD_PERCENT, &field, refused, report);
            default
        }
    }
}

/// A count with or without its noun: `200 tests`, `0`.
pub(super) fn count(field: Option<Field<'_>>, default: u64, report: &mut Report<'_>) -> u64 {
    let Some(field) = field else { return default };
    read::text(&field, report).and_then(|text| whole(&field, text, report)).unwrap_or(default)
}

/// More than a count: `> 0 packages`.
pub(super) fn more_than(field: Option<Field<'_>>, default: u64, report: &mut Report<'_>) -> u64 {
    let Some(field) = field else { return default };
    let Some(text) = read::text(&field, report) else { return default };
    match text.trim().strip_prefix('>') {
        Some(rest) => whole(&field, rest, report).unwrap_or(default),
        None => {
            let message = format!("`{}` is not `> N`", shorten(text));
            let refused = Refused::new(message, "write for example `> 0 packages`");
            read::refuse(codes::BAD_RULE, &field, refused, report);
            default
        }
    }
}

fn whole(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<u64> {
    let text = text.trim();
    let (digits, noun) = text.split_once(' ').unwrap_or((text, ""));
    let noun_fits = noun.trim().chars().all(|c| c.is_alphabetic() || c == ' ');
    let plain = digits == "0" || !digits.starts_with('0');
    let value = digits.parse::<u64>().ok().filter(|value| *value <= COUNT_MAX);
    if let Some(value) = value.filter(|_| noun_fits && plain && !digits.starts_with('+')) {
        return Some(value);
    }
    let message = format!("`{}` is no count", shorten(text));
    let help = format!("write a whole number up to {COUNT_MAX}, as in `200 tests`");
    read::refuse(codes::BAD_NUMBER, field, Refused::new(message, help), report);
    None
}

/// A text or a list of texts.
pub(super) fn texts(field: &Field<'_>, most: usize, report: &mut Report<'_>) -> Vec<String> {
    let crate::node::Kind::List(items) = &field.node.kind else {
        return read::text(field, report).map(str::to_owned).into_iter().collect();
    };
    if items.len() > most {
        let message = format!("`{}` has more than {most} entries", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let items = items.iter().enumerate();
    let texts = items.filter_map(|(index, node)| {
        read::text(&read::item(&field.path, index, node), report).map(str::to_owned)
    });
    texts.collect()
}
