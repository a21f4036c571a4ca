//! Reads `duties`: what falls due again and again.
//! Must never take a period that nobody can count: `now and then` is no duty.

use tidegate_core::duty::{DUTIES_MAX, Duty, Every, TEXT_BYTES_MAX};

use crate::codes;
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::Kind;
use crate::read;
use crate::report::Report;

/// Most of any unit: more than that is never.
const COUNT_MAX: u16 = 1_000;

/// Reads the whole key.
pub(crate) fn duties(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<Duty> {
    let Some(field) = field else { return Vec::new() };
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(&field, "a map of duties by name", report);
        return Vec::new();
    };
    if entries.len() > DUTIES_MAX {
        report.error(codes::TOO_COMPLEX, field.at(), format!("more than {DUTIES_MAX} duties"));
        return Vec::new();
    }
    let mut found = Vec::new();
    for (key, node) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
        let entry = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        if !tidegate_core::ids::valid_name(&key.text) {
            let message = format!("`{}` is no name of a duty", entry.path);
            report.error(codes::BAD_NAME, key.at, message).help("use a-z, 0-9, `-`, `_` and `.`");
            continue;
        }
        found.extend(duty(&key.text, &entry, report));
    }
    found
}

fn duty(name: &str, entry: &Field<'_>, report: &mut Report<'_>) -> Option<Duty> {
    let mut fields = Fields::of(entry, report);
    let every = fields.need("every", "3 months", report);
    let mut text = |key: &'static str| {
        let field = fields.get(key)?;
        let text = read::text(&field, report)?;
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("`{}` is longer than {TEXT_BYTES_MAX} bytes", field.path);
            report.error(codes::TOO_COMPLEX, field.at(), message);
        }
        Some(text.to_owned())
    };
    let (owner, run) = (text("owner"), text("run"));
    let (evidence, expect) = (text("evidence"), text("expect"));
    let blocks = read::flag(fields.get("blocks"), false, report);
    fields.finish(&[], report);
    let every = period(&every?, report)?;
    Some(Duty { name: name.to_owned(), every, owner, run, evidence, expect, blocks })
}

/// `1 week`, `3 months`, `2 years`, `after each deployment`.
fn period(field: &Field<'_>, report: &mut Report<'_>) -> Option<Every> {
    let text = read::text(field, report)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let found = match words.as_slice() {
        ["after", "each", "deployment"] => Some(Every::Deployment),
        [count, unit] => count
            .parse::<u16>()
            .ok()
            .filter(|count| (1..=COUNT_MAX).contains(count))
            .and_then(|count| counted(count, unit)),
        _ => None,
    };
    if found.is_none() {
        let message = format!("`{}` is `{}`, no period", field.path, shorten(text));
        report
            .error(codes::BAD_DURATION, field.at(), message)
            .help("write `1 week`, `3 months`, `1 year` or `after each deployment`");
    }
    found
}

fn counted(count: u16, unit: &str) -> Option<Every> {
    match unit {
        "day" | "days" => Some(Every::Days(count)),
        "week" | "weeks" => Some(Every::Days(count * 7)),
        "month" | "months" => Some(Every::Months(count)),
        "year" | "years" => Some(Every::Months(count * 12)),
        _ => None,
    }
}
