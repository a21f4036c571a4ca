//! The report on a deployment in Markdown: what the page says, for mail, wiki and archive.
//! Must never let text of others become markup.

use jiff::{SignedDuration, Timestamp};

use crate::text::{count, number, plain, span};
use crate::view::report::{Did, Report};
use crate::view::{Phase, Reading};
use crate::words::state_words;

/// The whole report.
pub(crate) fn markdown(report: &Report) -> String {
    let mut lines = vec![
        format!(
            "# {} {}: {}",
            safe(&report.service),
            safe(&report.version),
            state_words(&report.state)
        ),
        String::new(),
        safe(&report.sentence),
        String::new(),
    ];
    lines.extend(facts(report).into_iter().map(|(name, value)| format!("- **{name}**: {value}")));
    lines.extend(way_back(report));
    let phases = report.phases.iter().map(|phase| {
        let said: Vec<String> = phase.notes.iter().map(|note| safe(note)).collect();
        vec![phase.name.clone(), phase.result.replace('_', " "), took(phase), said.join("; ")]
    });
    lines.extend(table("Phases", &["Phase", "Result", "Took", "Said"], phases));
    let gates = report
        .gates
        .iter()
        .map(|gate| vec![safe(&gate.name), gate.result.clone(), safe(&gate.sentence)]);
    lines.extend(table("Gates", &["Gate", "Result", "Why"], gates));
    if let Some(verdict) = &report.verdict {
        let head = ["Metric", "Live", "New", "Advances", "Rolls back", "Sample"];
        lines.extend(table("The judge's last word", &head, verdict.readings.iter().map(measured)));
        lines.extend([String::new(), safe(&verdict.sentence)]);
    }
    let head = ["When", "Who", "What"];
    let did = |did: &Did| vec![stamp(did.at), safe(&did.by), safe(&did.text)];
    lines.extend(table("People", &head, report.people.iter().map(did)));
    let kept = report.evidence.iter().map(|kept| {
        vec![safe(&kept.name), safe(&kept.summary), format!("`{}`", safe(&kept.digest))]
    });
    lines.extend(table("Evidence", &["Report", "Says", "SHA-256"], kept));
    lines.extend(table("Timeline", &head, report.timeline.iter().map(did)));
    lines.push(format!(
        "\nMade at {} from entries {} to {} of the journal's stream `{}`. `tidegate audit verify` \
         checks that none was changed.\n",
        stamp(report.written_at),
        report.journal.first_seq,
        report.journal.last_seq,
        report.journal.stream
    ));
    lines.join("\n")
}

/// The section on the way back, where there was one.
fn way_back(report: &Report) -> Vec<String> {
    let Some(back) = &report.back else { return Vec::new() };
    let mut lines = vec![
        "\n## The way back\n".to_owned(),
        format!("- **decided**: {} by {}", stamp(back.at), safe(&back.by)),
        format!("- **why**: {}", safe(&back.why)),
    ];
    let timed = [
        ("from the first users to the decision", back.decided_ms),
        ("from the decision until users were safe", back.safe_ms),
    ];
    for (name, ms) in timed {
        lines.extend(ms.map(|ms| format!("- **{name}**: {}", time(ms))));
    }
    lines
}

/// A section with a table; none without rows.
fn table(title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let rows: Vec<String> = rows.map(|row| format!("| {} |", row.join(" | "))).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        format!("\n## {title}\n"),
        format!("| {} |", head.join(" | ")),
        format!("|{}", "---|".repeat(head.len())),
    ];
    lines.extend(rows);
    lines
}

/// What stands at the head of a report, by name.
pub(crate) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("deployment", safe(&report.deployment)),
        ("environment", safe(&report.environment)),
        ("before", safe(report.from.as_deref().unwrap_or("nothing"))),
        ("began", format!("{} by {}", stamp(report.started_at), safe(&report.started_by))),
    ];
    match report.ended_at {
        Some(ended) => {
            facts.push(("ended", stamp(ended)));
            facts.push(("took", span(ended.duration_since(report.started_at))));
        }
        None => facts.push(("ended", "not yet: this is how it stands".to_owned())),
    }
    if let Some(exposed) = report.exposed {
        facts.push(("requests that met the new version", count(exposed)));
    }
    if let Some(outlook) = report.verdict.as_ref().and_then(|verdict| verdict.outlook.as_ref()) {
        facts.push(("of them failed", count(outlook.failed)));
    }
    facts.push(("source", format!("{} at {}", safe(&report.repository), safe(&report.commit))));
    facts.extend(report.artifact.as_ref().map(|digest| ("artifact", safe(digest))));
    facts.extend(report.binding.as_ref().map(|digest| ("binding D", safe(digest))));
    facts
}

fn measured(reading: &Reading) -> Vec<String> {
    let value = |value: Option<f64>| match value {
        Some(value) => format!("{} {}", number(value), safe(&reading.unit)),
        None => "no data".to_owned(),
    };
    let rule = |rule: &Option<String>| rule.as_deref().map_or_else(|| "-".to_owned(), safe);
    vec![
        safe(&reading.metric),
        value(reading.live),
        value(reading.candidate),
        rule(&reading.advance),
        rule(&reading.rollback),
        count(reading.sample),
    ]
}

fn took(phase: &Phase) -> String {
    match (phase.since, phase.until) {
        (Some(since), Some(until)) => span(until.duration_since(since)),
        _ => "-".to_owned(),
    }
}

fn time(ms: i64) -> String {
    span(SignedDuration::from_millis(ms))
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Text of others as text: nothing of it is a link, an image, code or HTML.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in plain(text).chars() {
        if matches!(letter, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '&')
        {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn text_of_others_is_text() {
        assert_eq!(safe("<b>|[x](y)`"), "\\<b\\>\\|\\[x\\](y)\\`");
        assert_eq!(safe("a\u{202e}b\nc"), "ab c");
    }
}
