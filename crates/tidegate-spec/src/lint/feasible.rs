//! Whether what a file promises can be kept: times against times, samples against limits.
//! Must never guess a rate: without one that is declared or measured, it says what would be needed.

use jiff::SignedDuration;
use tidegate_core::plan::{KeepPrevious, Metric, Plan};

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::Facts;
use crate::node::{Kind, Node};
use crate::report::Report;
use crate::units::{self, show};

/// Minutes in a day, for schedules.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// All of them.
pub(crate) fn lint(plan: &Plan, facts: &Facts<'_>, report: &mut Report<'_>) {
    cold_rollback(plan, facts, report);
    recovery_point(facts.root, report);
    availability(facts.root, report);
    sick(plan, facts.root, report);
    detection(plan, facts, report);
}

/// Once the previous revision is stopped, the way back begins with a start.
fn cold_rollback(plan: &Plan, facts: &Facts<'_>, report: &mut Report<'_>) {
    let scaled = facts.root.at_path("after.then").and_then(|then| match &then.kind {
        Kind::List(items) => items.iter().find(|item| {
            item.text().is_some_and(|text| text.contains("scale") && text.contains(" 0"))
        }),
        Kind::Scalar { .. } | Kind::Map(_) => None,
    });
    let cold = facts
        .root
        .at_path("after.watch.keep_previous")
        .filter(|_| plan.bake.keep_previous == KeepPrevious::Cold);
    let (Some(at), Some(wanted)) = (scaled.or(cold), facts.targets.rollback) else { return };
    let start = plan.limits.start;
    let message = format!(
        "{} after 100 % the previous revision is stopped: a rollback then starts it first, which \
         may take {}, and the target is < {}",
        show(plan.bake.watch),
        show(start),
        show(wanted)
    );
    let severity = if start < wanted { Severity::Note } else { Severity::Warning };
    let mut finding = Diagnostic::new(codes::COLD_ROLLBACK, severity, message);
    finding.help(
        "keep it running: `after: {watch: {keep_previous: warm}}`, and scale it down a day later",
    );
    report.add(finding, Some(at.at));
}

/// What a schedule of copies can lose at worst.
fn recovery_point(root: &Node, report: &mut Report<'_>) {
    let Some(recovery) = root.get("recovery") else { return };
    let Some(rpo) = recovery.get("rpo") else { return };
    let Some(wanted) = rpo.text().and_then(|text| units::duration(text).ok()) else { return };
    let backup = recovery.get("backup");
    let field = |key: &str| backup.and_then(|backup| backup.get(key)).and_then(Node::text);
    if field("log") == Some("continuous") {
        return;
    }
    let Some(between) =
        field("every").and_then(spacing).or_else(|| field("schedule").and_then(cron_spacing))
    else {
        return;
    };
    if between > wanted {
        let message = format!(
            "copies {} apart can lose {}, and the recovery point is {}",
            show(between),
            show(between),
            show(wanted)
        );
        let mut finding = Diagnostic::new(codes::RECOVERY_POINT, Severity::Warning, message);
        finding.help("keep the log of changes between copies: `backup: {log: continuous}`");
        report.add(finding, Some(rpo.at));
    }
}

/// `daily`, `24h`: the time between two.
fn spacing(text: &str) -> Option<SignedDuration> {
    match text.trim().to_lowercase().as_str() {
        "hourly" => Some(SignedDuration::from_hours(1)),
        "daily" | "nightly" | "every day" => Some(DAY),
        "weekly" => Some(SignedDuration::from_hours(24 * 7)),
        "monthly" => Some(SignedDuration::from_hours(24 * 30)),
        other => units::duration(other).ok(),
    }
}

/// The longest time between two moments of a cron line, for the forms that backups use.
fn cron_spacing(text: &str) -> Option<SignedDuration> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, _, week] = fields.as_slice() else { return None };
    let step = |field: &str| field.strip_prefix("*/").and_then(|step| step.parse::<i64>().ok());
    match (step(minute), step(hour)) {
        (Some(minutes), _) if *hour == "*" => Some(SignedDuration::from_mins(minutes)),
        (_, Some(hours)) => Some(SignedDuration::from_hours(hours)),
        _ if *minute == "*" && *hour == "*" => Some(SignedDuration::from_mins(1)),
        _ if *hour == "*" => Some(SignedDuration::from_hours(1)),
        _ if *week != "*" => Some(SignedDuration::from_hours(24 * 7)),
        _ if *day != "*" => Some(SignedDuration::from_hours(24 * 30)),
        _ => Some(DAY),
    }
}

/// An availability of so many nines over a window in which only a few questions are asked.
fn availability(root: &Node, report: &mut Report<'_>) {
    let Some(Kind::Map(alerts)) = root.get("alerts").map(|node| &node.kind) else { return };
    let every = |probe: Option<&str>| -> Option<SignedDuration> {
        let Some(Kind::Map(monitors)) = root.get("monitors").map(|node| &node.kind) else {
            return None;
        };
        let named = monitors.iter().find(|(key, _)| probe == Some(key.text.as_str()));
        let (_, monitor) = named.or_else(|| monitors.first())?;
        let text = monitor.get("every").and_then(Node::text)?;
        units::duration(text).ok().or_else(|| cron_spacing(text))
    };
    for (_, alert) in alerts {
        let text = |key: &str| alert.get(key).and_then(Node::text);
        let (Some(limit), Some(window)) = (alert.get("threshold"), text("window")) else {
            continue;
        };
        let Some(window) = units::duration(window).ok().or_else(|| iso(window)) else { continue };
        let Some(percent) = limit.text().and_then(percentage) else { continue };
        let asked = text("metric").is_some_and(|metric| metric.contains("availab"));
        let Some(every) = every(text("probe")).filter(|_| asked) else { continue };
        too_fine(limit, 100.0 - percent, window, every, report);
    }
}

/// `99.9%`; an availability without its sign is a percentage all the same.
fn percentage(text: &str) -> Option<f64> {
    let text = text.trim_start_matches(['<', '>', '=', ' ']).trim_end_matches(['%', ' ']);
    text.parse::<f64>().ok().filter(|value| (0.0..=100.0).contains(value))
}

/// `PT5M`, as ISO 8601 writes durations.
fn iso(text: &str) -> Option<SignedDuration> {
    text.parse::<SignedDuration>().ok()
}

fn too_fine(
    at: &Node,
    allowed: f64,
    window: SignedDuration,
    every: SignedDuration,
    report: &mut Report<'_>,
) {
    let samples = (window.as_secs_f64() / every.as_secs_f64()).floor();
    if samples < 1.0 || 100.0 / samples <= allowed {
        return;
    }
    let message = format!(
        "{samples:.0} questions in {} can only tell steps of {:.0} %: the limit is finer",
        show(window),
        100.0 / samples
    );
    let mut finding = Diagnostic::new(codes::TOO_FINE, Severity::Warning, message);
    finding.help("ask more often, look at a longer window, or count requests instead of probes");
    report.add(finding, Some(at.at));
}

/// A rule on failed probes, against how often they are asked.
fn sick(plan: &Plan, root: &Node, report: &mut Report<'_>) {
    let Some(every) =
        plan.parts.iter().flat_map(|part| &part.probes).map(|probe| probe.interval).min()
    else {
        return;
    };
    let instances = plan.parts.iter().map(|part| part.instances).max().unwrap_or(1);
    let rules = [
        ("traffic.rollback_if", &plan.traffic.rollback_if),
        ("traffic.advance_if", &plan.traffic.advance_if),
    ];
    for (path, rules) in rules {
        for (index, rule) in
            rules.iter().enumerate().filter(|(_, rule)| rule.metric == Metric::Sick)
        {
            let window = if rule.sustained.is_zero() { plan.traffic.dwell } else { rule.sustained };
            let at = root.at_path(&format!("{path}[{}]", index + 1));
            let each =
                every.checked_div(i32::try_from(instances.max(1)).unwrap_or(1)).unwrap_or(every);
            if let Some(at) = at.filter(|_| rule.limit > 0.0) {
                too_fine(at, rule.limit, window, each, report);
            }
        }
    }
}

/// The slowest rule against the time in which a fault must be noticed.
fn detection(plan: &Plan, facts: &Facts<'_>, report: &mut Report<'_>) {
    let Some(wanted) = facts.targets.detect else { return };
    for (index, rule) in plan.traffic.rollback_if.iter().enumerate() {
        if rule.sustained <= wanted {
            continue;
        }
        let path = format!("traffic.rollback_if[{}]", index + 1);
        let Some(at) = facts.root.at_path(&path) else { continue };
        let message = format!(
            "this rule needs {}, and a fault must be noticed within {}",
            show(rule.sustained),
            show(wanted)
        );
        let mut finding = Diagnostic::new(codes::DETECTED_LATE, Severity::Warning, message);
        finding.help("shorten the rule, or add one with a wider limit and a shorter time");
        report.add(finding, Some(at.at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_as_far_apart_as_they_say() {
        for (text, minutes) in [
            ("0 0 * * *", 24 * 60),
            ("*/2 * * * *", 2),
            ("0 * * * *", 60),
            ("0 */6 * * *", 360),
            ("0 3 * * 0", 7 * 24 * 60),
            ("* * * * *", 1),
        ] {
            assert_eq!(cron_spacing(text), Some(SignedDuration::from_mins(minutes)), "{text}");
        }
        assert_eq!(spacing("daily"), Some(DAY));
        assert_eq!(iso("PT5M"), Some(SignedDuration::from_mins(5)));
    }
}
