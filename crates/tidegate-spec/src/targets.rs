//! Reads `targets`: what the team wants of its deployments. Lints compare the plan with it.
//! Must never change what a deployment does.

use jiff::SignedDuration;

use crate::codes;
use crate::declared;
use crate::fields::{Field, Fields, shorten};
use crate::read;
use crate::report::Report;
use crate::units;

/// What is wanted; `None` where nothing is said.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    /// A deployment should take less than this.
    pub(crate) duration: Option<SignedDuration>,
    /// The way back should take less than this.
    pub(crate) rollback: Option<SignedDuration>,
    /// A fault should be noticed within this.
    pub(crate) detect: Option<SignedDuration>,
}

/// Reads `targets`.
pub(crate) fn targets(field: Option<Field<'_>>, report: &mut Report<'_>) -> Targets {
    let Some(field) = field else {
        return Targets::default();
    };
    let mut fields = Fields::of(&field, report);
    if let Some(success) = fields.get("success") {
        at_least_percent(&success, report);
    }
    let duration = fields.get("duration").and_then(|field| below(&field, report));
    let rollback = fields.get("rollback").and_then(|field| below(&field, report));
    let detect = fields.get("detect").and_then(|field| below(&field, report));
    if let Some(resolve) = fields.get("resolve") {
        below(&resolve, report);
    }
    for key in ["uptime", "errors", "p95", "p99"] {
        if let Some(field) = fields.get(key) {
            declared::check(&field, report);
        }
    }
    read::choice(fields.get("downtime"), &[("none", ())], (), report);
    fields.finish(&[], report);
    Targets { duration, rollback, detect }
}

/// `< 30m`.
fn below(field: &Field<'_>, report: &mut Report<'_>) -> Option<SignedDuration> {
    let text = read::text(field, report)?;
    let Some(rest) = text.trim().strip_prefix('<') else {
        wrong(field, text, "< 30m", report);
        return None;
    };
    match units::duration(rest.trim()) {
        Ok(value) => Some(value),
        Err(refused) => {
            read::refuse(codes::BAD_DURATION, field, refused, report);
            None
        }
    }
}

/// `> 99%`.
fn at_least_percent(field: &Field<'_>, report: &mut Report<'_>) {
    let Some(text) = read::text(field, report) else {
        return;
    };
    let Some(rest) = text.trim().strip_prefix('>') else {
        wrong(field, text, "> 99%", report);
        return;
    };
    if let Err(refused) = units::percent(rest.trim()) {
        read::refuse(codes::BAD_PERCENT, field, refused, report);
    }
}

fn wrong(field: &Field<'_>, text: &str, example: &str, report: &mut Report<'_>) {
    let message = format!("`{}` is `{}`, not a target", field.path, shorten(text));
    report
        .error(codes::BAD_RULE, field.at(), message)
        .help(format!("write for example `\"{example}\"`, with the quotes"));
}
