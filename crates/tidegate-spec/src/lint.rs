//! Finds what is written correctly and cannot work, or not as somebody will expect.
//! Must never refuse: a plan with findings is still a plan, and the person decides.

use jiff::SignedDuration;
use jiff::civil::Date;
use tidegate_core::plan::{HoldEnd, Metric, Plan, Rule};
use tidegate_core::weight::WHOLE_BP;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::node::Node;
use crate::report::{Report, Span};
use crate::rule;
use crate::targets::Targets;
use crate::traffic::Places;
use crate::units::show;

pub(crate) mod commands;
mod feasible;
pub(crate) mod texts;
mod tree;

/// What a file says besides its plan.
#[derive(Debug)]
pub(crate) struct Facts<'f> {
    pub(crate) root: &'f Node,
    pub(crate) targets: &'f Targets,
    /// The day on which it is read.
    pub(crate) today: Option<Date>,
}

/// Everything that can be said of a plan without the file it came from.
#[must_use]
pub fn lint(plan: &Plan) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    findings.extend(never_rolls_back(plan));
    findings.extend(always_advances(plan));
    findings.extend(sample_size(plan, None));
    findings
}

/// The same with places, and with what only the file knows.
pub(crate) fn in_file(
    plan: &Plan,
    facts: &Facts<'_>,
    places: Places,
    bake_at: Option<Span>,
    report: &mut Report<'_>,
) {
    let mut add = |finding: Option<Diagnostic>, at: Option<Span>| {
        if let Some(finding) = finding {
            report.add(finding, at.or(places.traffic));
        }
    };
    add(never_rolls_back(plan), places.rollback);
    add(always_advances(plan), places.advance);
    add(sample_size(plan, facts.root.get("load").and_then(load)), places.advance);
    add(too_slow(plan, facts.targets), places.dwell.or(places.steps).or(bake_at));
    if places.dwell.is_none() {
        let message =
            format!("`each.for` is not given: every step lasts {}", show(plan.traffic.dwell));
        add(Some(Diagnostic::new(codes::DWELL_UNSAID, Severity::Note, message)), places.steps);
    }
    if places.otherwise.is_none() {
        add(Some(between_unsaid(plan)), places.rollback.or(places.advance));
    }
    tree::lint(facts, report);
    feasible::lint(plan, facts, report);
}

fn never_rolls_back(plan: &Plan) -> Option<Diagnostic> {
    if !plan.traffic.rollback_if.is_empty() {
        return None;
    }
    let message = "no rule can roll back";
    let mut finding = Diagnostic::new(codes::NEVER_ROLLS_BACK, Severity::Warning, message);
    finding.help(
        "a bad release then only goes back by hand, by its probes, or at the end of a hold; write \
         for example `rollback_if: [errors > 1% for 5m]`",
    );
    Some(finding)
}

fn always_advances(plan: &Plan) -> Option<Diagnostic> {
    if !plan.traffic.advance_if.is_empty() {
        return None;
    }
    let message = "nothing has to hold to advance: time alone moves the traffic";
    let mut finding = Diagnostic::new(codes::ALWAYS_ADVANCES, Severity::Warning, message);
    finding.help("write for example `advance_if: [errors < 0.1%]`");
    Some(finding)
}

fn between_unsaid(plan: &Plan) -> Diagnostic {
    let hold = show(plan.traffic.otherwise.hold);
    let then = match plan.traffic.otherwise.then {
        HoldEnd::Rollback => "rolls back",
        HoldEnd::Page => "calls a person",
    };
    let message =
        format!("`otherwise` is not given: between the limits it holds for {hold}, then {then}");
    Diagnostic::new(codes::BETWEEN_UNSAID, Severity::Note, message)
}

/// The strictest error limit, with the traffic it needs in the first step.
fn sample_size(plan: &Plan, load: Option<f64>) -> Option<Diagnostic> {
    let confidence = plan.traffic.confidence?;
    let strictest = plan
        .traffic
        .advance_if
        .iter()
        .filter(|rule| rule.metric == Metric::Errors)
        .min_by(|left, right| left.limit.total_cmp(&right.limit))?;
    let needed = clean_requests(strictest, confidence)?;
    let first = plan.traffic.steps.first()?;
    let seconds = plan.traffic.dwell.as_secs_f64();
    let share = f64::from(first.bp()) / f64::from(WHOLE_BP);
    let rate = (needed / share / seconds).ceil();
    let message = format!(
        "`{}` at {} % confidence needs {} requests at the candidate: at {first} for {} that is {} \
         requests/s in total",
        rule::show(strictest),
        trimmed(confidence * 100.0),
        grouped(needed),
        show(plan.traffic.dwell),
        grouped(rate),
    );
    let usual = "with less traffic each step lasts until the sample is large enough; a larger first \
                 step, a longer `each.for` or a looser limit shortens it";
    // With a rate the note becomes an answer: enough, or how long it really takes.
    let (severity, help) = match load {
        None => (Severity::Note, usual.to_owned()),
        Some(load) if load >= rate => return None,
        Some(load) => {
            let minutes = (needed / share / load / 60.0).ceil();
            let minutes = SignedDuration::try_from_secs_f64(minutes * 60.0).ok()?;
            (
                Severity::Warning,
                format!(
                    "at {} requests/s the first step lasts {}; {usual}",
                    trimmed(load),
                    show(minutes)
                ),
            )
        }
    };
    let mut finding = Diagnostic::new(codes::SAMPLE_SIZE, severity, message);
    finding.help(help);
    Some(finding)
}

/// `40 requests/s`: what users ask of the service.
pub(crate) fn load(node: &Node) -> Option<f64> {
    let text = node.text()?;
    let (number, unit) = text.split_once("requests")?;
    let number: f64 = number.trim().replace(',', "").parse().ok()?;
    let each = match unit.trim().trim_start_matches(['/', ' ']) {
        "s" | "second" | "a second" => 1.0,
        "min" | "minute" | "a minute" => 60.0,
        "h" | "hour" | "an hour" => 3_600.0,
        _ => return None,
    };
    (number > 0.0).then_some(number / each)
}

/// Requests without a failure that show a failure rate below the limit at this confidence: the
/// smallest n with (1 - limit)^n <= 1 - confidence.
fn clean_requests(rule: &Rule, confidence: f64) -> Option<f64> {
    let rate = rule.limit / 100.0;
    let needed = ((1.0 - confidence).ln() / (-rate).ln_1p()).ceil();
    (rate > 0.0 && rate < 1.0 && needed.is_finite()).then_some(needed)
}

/// Steps below the whole each take the dwell; at 100 % the watch takes over.
fn too_slow(plan: &Plan, targets: &Targets) -> Option<Diagnostic> {
    let wanted = targets.duration?;
    let steps = i32::try_from(plan.traffic.steps.len()).ok()?;
    let moving = plan.traffic.dwell.checked_mul(steps.saturating_sub(1))?;
    let total = moving.checked_add(plan.bake.watch)?;
    if total < wanted {
        return None;
    }
    let message = format!(
        "the steps and the watch need {}, and the target is < {}",
        show(total),
        show(wanted)
    );
    let mut finding = Diagnostic::new(codes::TOO_SLOW, Severity::Warning, message);
    finding.help(format!(
        "{} steps of {} before 100 % are {}, then the watch of {}",
        steps.saturating_sub(1),
        show(plan.traffic.dwell),
        show(moving),
        show(plan.bake.watch)
    ));
    Some(finding)
}

/// A whole number with commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// At most two decimals, without zeros at the end.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
