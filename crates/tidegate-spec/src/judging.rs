//! Reads `traffic.judge` and `traffic.budget`: evidence beside the rules, and what it may cost.
//! Must never let evidence be the reason to advance where the rules would not.

use jiff::SignedDuration;
use tidegate_core::plan::{Evidence, Judging, Metric, Rule, Source};

use crate::codes;
use crate::fields::{Field, Fields, shorten};
use crate::node::Kind;
use crate::read;
use crate::report::Report;
use crate::units::{self, Decimal};

/// An objective below this could not be told from none with any traffic.
const OBJECTIVE_LEAST: f64 = 0.000_01;
/// And above this most requests may fail.
const OBJECTIVE_MOST: f64 = 0.5;
/// Most failed requests of a budget.
const BUDGET_MAX: u64 = 1_000_000_000;

/// What judges beside `advance_if`, which tells the objective where nothing else does.
pub(crate) fn judging(
    fields: &mut Fields<'_>,
    advance_if: &[Rule],
    sources: Vec<Source>,
    report: &mut Report<'_>,
) -> Judging {
    let budget = fields.get("budget").and_then(|field| failures(&field, report));
    let evidence = match fields.get("judge") {
        None => Some(unsaid(advance_if)),
        Some(field) => evidence(&field, advance_if, report),
    };
    Judging { evidence, budget, sources }
}

/// Evidence when the file says nothing: what may advance is the objective.
pub(crate) fn unsaid(advance_if: &[Rule]) -> Evidence {
    let limits = advance_if.iter().filter(|rule| rule.metric == Metric::Errors);
    let least = limits.map(|rule| rule.limit / 100.0).min_by(f64::total_cmp);
    let default = Evidence::default();
    let objective = least.unwrap_or(default.objective).clamp(OBJECTIVE_LEAST, OBJECTIVE_MOST);
    Evidence { objective, ..default }
}

fn evidence(field: &Field<'_>, advance_if: &[Rule], report: &mut Report<'_>) -> Option<Evidence> {
    if let Kind::Scalar { .. } = field.node.kind {
        let choices = [("evidence", true), ("rules", false)];
        let on = read::choice(Some(field.clone()), &choices, true, report);
        return on.then(|| unsaid(advance_if));
    }
    let mut fields = Fields::of(field, report);
    let mut evidence = unsaid(advance_if);
    if let Some(field) = fields.get("objective") {
        let bounds = (OBJECTIVE_LEAST, OBJECTIVE_MOST);
        evidence.objective = share(&field, bounds, report).unwrap_or(evidence.objective);
    }
    if let Some(field) = fields.get("slower") {
        evidence.slower = share(&field, (0.0, 10.0), report).unwrap_or(evidence.slower);
    }
    if let Some(field) = fields.get("worse") {
        evidence.worse = times(&field, report).unwrap_or(evidence.worse);
    }
    let bounds = (SignedDuration::ZERO, SignedDuration::from_hours(1));
    evidence.warm_up = read::duration(fields.get("warm_up"), evidence.warm_up, bounds, report);
    evidence.proves_safety = read::flag(fields.get("prove_safety"), evidence.proves_safety, report);
    fields.finish(&[], report);
    Some(evidence)
}

/// A percentage as a fraction between two bounds.
fn share(field: &Field<'_>, (least, most): (f64, f64), report: &mut Report<'_>) -> Option<f64> {
    let text = read::text(field, report)?;
    let number = match units::percent(text) {
        Ok(number) => number,
        Err(refused) => {
            read::refuse(codes::BAD_PERCENT, field, refused, report);
            return None;
        }
    };
    let value = number.float().map(|percent| percent / 100.0);
    let value = value.filter(|value| (least..=most).contains(value));
    if value.is_none() {
        let (least, most) = (least * 100.0, most * 100.0);
        let message =
            format!("`{}` is `{}`: it must be {least}% to {most}%", field.path, shorten(text));
        report.error(codes::BAD_PERCENT, field.at(), message);
    }
    value
}

/// `1.5x`.
fn times(field: &Field<'_>, report: &mut Report<'_>) -> Option<f64> {
    let text = read::text(field, report)?;
    let value = Decimal::lead(text.trim())
        .filter(|(_, unit)| unit.trim() == "x")
        .and_then(|(number, _)| number.float())
        .filter(|value| (1.0..=100.0).contains(value));
    if value.is_none() {
        let message = format!("`{}` is `{}`, not 1x to 100x", field.path, shorten(text));
        report
            .error(codes::BAD_NUMBER, field.at(), message)
            .help("write for example `1.5x`: up to half as many failures again are no worse");
    }
    value
}

/// `200 failed requests`.
fn failures(field: &Field<'_>, report: &mut Report<'_>) -> Option<u64> {
    let text = read::text(field, report)?;
    let digits = text
        .trim()
        .strip_suffix("failed requests")
        .or_else(|| text.trim().strip_suffix("failed request"))
        .map(str::trim_end)
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    let count = digits.and_then(|digits| digits.parse().ok()).filter(|n| *n <= BUDGET_MAX);
    if count.is_none() {
        let message =
            format!("`{}` is `{}`, not a number of failed requests", field.path, shorten(text));
        report
            .error(codes::BAD_NUMBER, field.at(), message)
            .help("write for example `200 failed requests`");
    }
    count
}
