//! States, phases, zones and evidence in words: the terminal and the pages say the same ones.
//! Must never show a state by a colour alone, nor invent one.

use jiff::SignedDuration;

use crate::terminal::Style;
use crate::text::{count, number, span};
use crate::view::{Deployment, Outlook, Proof, Reading};

/// The share that the running step gives to the candidate.
pub(crate) fn weight(shown: &Deployment) -> Option<String> {
    let bp = match (shown.phase.as_str(), shown.steps.current) {
        ("bake", _) => Some(10_000),
        (_, Some(step)) => {
            let index = usize::try_from(step.checked_sub(1)?).ok()?;
            shown.steps.weights_bp.get(index).copied()
        }
        _ => None,
    };
    bp.map(|bp| format!("{} %", number(f64::from(bp) / 100.0)))
}

/// The icon of a state, with its style.
pub(crate) fn state_icon(state: &str, unicode: bool) -> (&'static str, Style) {
    let (wide, ascii, style) = match state {
        "succeeded" => ("✓", "v", Style::Good),
        "live_unverified" => ("✓", "v", Style::Doubtful),
        "running" | "queued" => ("▸", ">", Style::Strong),
        "held" | "waiting_for_people" => ("‖", "=", Style::Doubtful),
        "rolling_back" => ("↩", "<", Style::Bad),
        "rolled_back" => ("↩", "<", Style::Doubtful),
        "aborted" | "superseded" | "rejected" | "stopped" => ("■", "x", Style::Doubtful),
        "needs_person" | "faulted" | "rolled_back_unverified" => ("✗", "X", Style::Bad),
        _ => ("?", "?", Style::Doubtful),
    };
    (if unicode { wide } else { ascii }, style)
}

/// A state as people say it.
pub(crate) fn state_words(state: &str) -> String {
    match state {
        "held" => "holding".to_owned(),
        "needs_person" => "needs a person".to_owned(),
        "live_unverified" => "live, unverified".to_owned(),
        "rolled_back_unverified" => "rolled back, unverified".to_owned(),
        other => other.replace('_', " "),
    }
}

/// The icon of a phase by its result, with its style.
pub(crate) fn phase_icon(result: &str, unicode: bool) -> (&'static str, Style) {
    let (wide, ascii, style) = match result {
        "passed" => ("✓", "v", Style::Good),
        "failed" => ("✗", "x", Style::Bad),
        "running" => ("▸", ">", Style::Strong),
        "not_required" | "skipped" => ("–", "-", Style::Faint),
        _ => ("·", ".", Style::Faint),
    };
    (if unicode { wide } else { ascii }, style)
}

/// Where the new version stands: the zone (0 advance, 1 hold, 2 rollback) and how far into it, 0 to
/// 1. `None` where nothing was measured, or nothing limits it.
pub(crate) fn place(reading: &Reading) -> Option<(usize, f64)> {
    place_of(reading, reading.candidate)
}

/// The same for any value of that metric.
pub(crate) fn place_of(reading: &Reading, value: Option<f64>) -> Option<(usize, f64)> {
    let value = value?;
    let (good, bad) = match (reading.advance_limit, reading.rollback_limit) {
        (Some(good), Some(bad)) => (good, bad),
        (Some(only), None) | (None, Some(only)) => (only, only),
        (None, None) => return None,
    };
    // Where high is good the axis runs the other way.
    let reversed = bad < good || reading.advance.as_deref().is_some_and(|r| r.starts_with('>'));
    let (value, good, bad) = if reversed { (-value, -good, -bad) } else { (value, good, bad) };
    let (zone, part) = if value < good {
        (0, if reversed { 0.5 } else { value / good })
    } else if value <= bad && bad > good {
        (1, (value - good) / (bad - good))
    } else {
        (2, (value - bad) / bad.abs().max(1e-9))
    };
    Some((zone, part.clamp(0.0, 1.0)))
}

/// What the sequential evidence says, in one sentence.
pub(crate) fn proof(proof: &Proof) -> String {
    let shows = match proof.false_alarm_odds.as_str() {
        "1 in 1" => "any equal version shows that".to_owned(),
        odds => format!("an equal version shows that in {odds} rollouts"),
    };
    let times = match (proof.times_as_often, proof.times_low, proof.times_high) {
        (Some(times), Some(low), Some(high)) => {
            format!(
                ", {} times the failures of live ({} to {})",
                round(times),
                round(low),
                round(high)
            )
        }
        _ => String::new(),
    };
    format!("evidence against it: {} of what rolls back, {shows}{times}", percent(proof.strength))
}

/// What is to be expected, in one sentence; absent when nothing is.
pub(crate) fn outlook(outlook: &Outlook) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(ms) = outlook.advance_in_ms.filter(|ms| *ms > 0) {
        parts.push(format!("enough to advance in {}", time(ms)));
    }
    if let Some(ms) = outlook.rollback_in_ms.filter(|ms| *ms > 0) {
        parts.push(format!("rolled back in {} if it stays like this", time(ms)));
    }
    if let (Some(ms), Some(rule)) = (outlook.rules_in_ms, &outlook.rule) {
        let when = if ms == 0 { "now".to_owned() } else { format!("in {}", time(ms)) };
        parts.push(format!("the rule `{rule}` alone: {when}"));
    }
    if let Some(budget) = outlook.budget {
        parts.push(format!(
            "{} of {} failed requests spent",
            round(outlook.charged),
            count(budget)
        ));
    } else if outlook.failed > 0 {
        parts.push(format!("{} requests failed", count(outlook.failed)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// An estimate with the digits that it deserves.
fn round(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// A time to come, milliseconds.
pub(crate) fn time(ms: u64) -> String {
    // Below a second nobody can act.
    let seconds = i64::try_from(ms.div_ceil(1_000)).unwrap_or(i64::MAX);
    span(SignedDuration::from_secs(seconds))
}

/// The icon of a zone, with its style.
pub(crate) fn zone_icon(zone: &str, unicode: bool) -> (&'static str, Style) {
    let (wide, ascii, style) = match zone {
        "advance" => ("\u{2713}", "v", Style::Good),
        "hold" => ("~", "~", Style::Doubtful),
        "rollback" => ("\u{2717}", "x", Style::Bad),
        _ => ("?", "?", Style::Doubtful),
    };
    (if unicode { wide } else { ascii }, style)
}
