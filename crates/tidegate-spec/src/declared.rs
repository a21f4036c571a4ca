//! Checks the value of a key that is declared and not served, against the table of the format.
//! Must never be more lenient than a reader would be: a misspelt key in a section that nobody
//! carries out yet would bite on the day somebody does.

use jiff::civil::Date;

use crate::codes;
use crate::fields::{Field, shorten, wrong_kind};
use crate::format::{self, Key, Shape};
use crate::node::{Kind, Node};
use crate::report::Report;
use crate::secret;
use crate::units;
use crate::words;

/// Checks a value against the shape that the table has for its path; a path that is not in the
/// table is the reader's own.
pub(crate) fn check(field: &Field<'_>, report: &mut Report<'_>) {
    if let Some(shape) = format::shape_at(&field.path) {
        conform(field, shape, report);
    }
}

/// Reports everything in a value that is not of its shape.
pub(crate) fn conform(field: &Field<'_>, shape: &Shape, report: &mut Report<'_>) {
    match shape {
        Shape::Free => {}
        Shape::List(inner) => match &field.node.kind {
            Kind::List(items) => {
                for (index, node) in items.iter().enumerate() {
                    conform(&crate::read::item(&field.path, index, node), inner, report);
                }
            }
            Kind::Scalar { .. } | Kind::Map(_) => wrong_kind(field, "a list", report),
        },
        Shape::Map(keys) => match &field.node.kind {
            Kind::Map(_) => map(field, keys, report),
            Kind::Scalar { .. } | Kind::List(_) => wrong_kind(field, "a map of keys", report),
        },
        Shape::Named(inner) => match &field.node.kind {
            Kind::Map(entries) => {
                for (key, node) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
                    let path = format!("{}.{}", field.path, shorten(&key.text));
                    conform(&Field { path, node }, inner, report);
                }
            }
            Kind::Scalar { .. } | Kind::List(_) => wrong_kind(field, "a map by name", report),
        },
        Shape::Any(shapes) => any(field, shapes, report),
        _ => scalar(field, shape, report),
    }
}

fn map(field: &Field<'_>, keys: &[Key], report: &mut Report<'_>) {
    let Kind::Map(entries) = &field.node.kind else { return };
    for (key, node) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
        let path = format!("{}.{}", field.path, shorten(&key.text));
        match keys.iter().find(|known| known.name == key.text) {
            Some(known) => conform(&Field { path, node }, known.shape, report),
            None => {
                let names: Vec<&'static str> = keys.iter().map(|key| key.name).collect();
                let help = match words::nearest(&key.text, names.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("allowed are {}", words::list(&names)),
                };
                report
                    .error(codes::UNKNOWN_KEY, key.at, format!("`{path}` is not a key here"))
                    .help(help);
            }
        }
    }
}

/// The first shape of the value's own kind counts; among several for a text, any that fits.
fn any(field: &Field<'_>, shapes: &[Shape], report: &mut Report<'_>) {
    let fitting: Vec<&Shape> = shapes.iter().filter(|shape| of_kind(shape, field.node)).collect();
    match fitting.as_slice() {
        [] => {
            let wanted: Vec<&str> = shapes.iter().map(describe).collect();
            wrong_kind(field, &wanted.join(" or "), report);
        }
        [only] => conform(field, only, report),
        several => {
            let text = field.node.text().unwrap_or_default();
            if !several.iter().any(|shape| refusal(text, shape).is_none())
                && let Some(first) = several.first()
            {
                conform(field, first, report);
            }
        }
    }
}

fn of_kind(shape: &Shape, node: &Node) -> bool {
    match shape {
        Shape::Free => true,
        Shape::List(_) => matches!(node.kind, Kind::List(_)),
        Shape::Map(_) | Shape::Named(_) => matches!(node.kind, Kind::Map(_)),
        Shape::Any(shapes) => shapes.iter().any(|shape| of_kind(shape, node)),
        _ => matches!(node.kind, Kind::Scalar { .. }),
    }
}

fn scalar(field: &Field<'_>, shape: &Shape, report: &mut Report<'_>) {
    let Some(text) = crate::read::text(field, report) else { return };
    if let Some((code, help)) = refusal(text, shape) {
        let message = format!("`{}` is `{}`, not {}", field.path, shorten(text), describe(shape));
        report.error(code, field.at(), message).help(help);
    }
}

/// Why a text is not of a shape: a code and what to write.
fn refusal(text: &str, shape: &Shape) -> Option<(&'static str, String)> {
    match shape {
        Shape::Duration => long_duration(text).err().map(|help| (codes::BAD_DURATION, help)),
        Shape::Percent => units::percent(text).err().map(|r| (codes::BAD_PERCENT, r.help)),
        Shape::Size => units::bytes(text).err().map(|r| (codes::BAD_SIZE, r.help)),
        Shape::Count => text
            .parse::<u64>()
            .err()
            .map(|_| (codes::BAD_NUMBER, "write a whole number, as in `3`".to_owned())),
        Shape::Flag => (!matches!(text, "true" | "false"))
            .then(|| (codes::BAD_CHOICE, "write `true` or `false`".to_owned())),
        Shape::Date => text
            .parse::<Date>()
            .err()
            .map(|_| (codes::BAD_DATE, "write year, month and day, as in `2026-01-31`".to_owned())),
        Shape::Cron => (text.split_whitespace().count() != 5)
            .then(|| (codes::BAD_DATE, "write five fields, as in `0 0 * * *`".to_owned())),
        Shape::Limit => (!text.trim_start().starts_with(['<', '>', '≤', '≥'])).then(|| {
            (codes::BAD_RULE, "write a comparison with its limit, as in `\"< 200ms\"`".to_owned())
        }),
        Shape::Word(words) => (!words.contains(&text)).then(|| {
            let help = match words::nearest(text, words.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it must be {}", words::list(words)),
            };
            (codes::BAD_CHOICE, help)
        }),
        Shape::Secret => secret::parse(text).err().map(|help| (codes::BAD_SECRET, help.to_owned())),
        Shape::Name => (!tidegate_core::ids::valid_name(text))
            .then(|| (codes::BAD_NAME, "use a-z, 0-9, `-`, `_` and `.`".to_owned())),
        _ => None,
    }
}

/// A duration without the bound of a wait: retention and drills last months.
fn long_duration(text: &str) -> Result<(), String> {
    units::long_duration(text).map(drop).map_err(|refused| refused.help)
}

/// A shape in words.
pub(crate) fn describe(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text | Shape::Name => "a text",
        Shape::Duration => "a duration",
        Shape::Percent => "a percentage",
        Shape::Size => "an amount of memory",
        Shape::Count => "a whole number",
        Shape::Flag => "`true` or `false`",
        Shape::Date => "a date",
        Shape::Cron => "a cron line",
        Shape::Limit => "a comparison",
        Shape::Word(_) => "one of the words allowed",
        Shape::Secret => "a reference to a secret",
        Shape::List(_) => "a list",
        Shape::Map(_) | Shape::Named(_) => "a map",
        Shape::Any(_) | Shape::Free => "a value",
    }
}
