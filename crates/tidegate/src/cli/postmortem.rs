//! `tidegate postmortem`: the draft of what is written after a release went back, as Markdown.
//! Must never guess: what the journal does not hold is a blank for a person to fill in.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, number, span};
use crate::view::incident::{Incident, Incidents, Whole};
use crate::view::judged::Verdicts;
use crate::view::{Deployment, Lines};

/// A draft is finished by people within this time after the end.
const DUE: SignedDuration = SignedDuration::from_hours(48);

/// What a person has to add.
const BLANK: &str = "**to fill in**";

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here, else the newest
    deployment: Option<String>,
}

/// What is on record of a release that went back.
#[derive(Debug, Serialize)]
struct Facts {
    deployment: String,
    service: String,
    environment: String,
    version: String,
    /// What was live before, and is again.
    from: Option<String>,
    /// Why it went back.
    why: String,
    /// Who sent it back.
    by: String,
    started_at: Timestamp,
    /// When users first could reach it; absent when none did.
    users_from: Option<Timestamp>,
    /// The judge's first word against it; absent when others were first.
    noticed_at: Option<Timestamp>,
    noticed: Option<String>,
    decided_at: Timestamp,
    /// When the data plane confirmed the way back.
    users_back_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// When people are to be done with the draft.
    due_at: Option<Timestamp>,
    /// Requests that reached it.
    exposed: Option<u64>,
    /// Of those, failed, by the last verdict before the end.
    failed: Option<u64>,
    /// Those that live would not have failed.
    charged: Option<f64>,
    /// Its largest share of the traffic, in basis points.
    largest_share_bp: Option<u16>,
    /// All of it as text.
    markdown: String,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, it knows no such deployment, or that did not go back.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::Newest).await?;
    let shown = session.show(&id).await?;
    let path = format!("/v1/deployments/{}", encode(&id));
    let lines: Lines = session.client.get(&format!("{path}/events")).await?;
    let verdicts: Verdicts = session.client.get(&format!("{path}/verdicts")).await?;
    let mut facts = facts(&shown, &lines, &verdicts).ok_or_else(|| {
        Failure::new(Exit::Usage, "TG6501", format!("{id} did not go back: {}", shown.sentence))
            .safe("nothing was changed")
            .help(format!("what happened in it: `tidegate timeline {id}`"))
    })?;
    let known: Incidents = session.client.get("/v1/incidents").await?;
    let of = |incident: &Incident| incident.deployment.as_ref() == Some(&id);
    if let Some(incident) = known.incidents.into_iter().find(of) {
        let path = format!("/v1/incidents/{}", encode(&incident.id));
        let whole: Whole = session.client.get(&path).await?;
        facts.markdown.push('\n');
        facts.markdown.push_str(&looked_after(&whole).join("\n"));
    }
    if session.terminal.is_json() {
        session.terminal.json(&facts)?;
    } else {
        for line in facts.markdown.lines() {
            session.terminal.line(line)?;
        }
    }
    Ok(Exit::Done)
}

/// The facts; `None` for a deployment that did not go back.
fn facts(shown: &Deployment, lines: &Lines, verdicts: &Verdicts) -> Option<Facts> {
    let of = |kind: &'static str| lines.events.iter().filter(move |line| line.kind == kind);
    let back = of("rollback_began").next()?;
    let steps = of("step_converged").filter(|line| line.seq < back.seq).count();
    let traffic = shown.phases.iter().find(|phase| phase.name == "traffic");
    let users_from = of("split_wanted")
        .find(|line| {
            line.seq < back.seq
                && traffic.and_then(|phase| phase.since).is_some_and(|since| line.at >= since)
        })
        .map(|line| line.at);
    let told = verdicts.verdicts.iter().filter(|one| one.seq <= back.seq);
    let against = { told }.find(|one| matches!(one.verdict.call.as_str(), "brake" | "rollback"));
    let outlook = verdicts.verdicts.iter().rev().find_map(|one| one.verdict.outlook.as_ref());
    let confirmed = of("split_confirmed").find(|line| line.seq > back.seq);
    let gone = shown.going_back.as_ref();
    let mut facts = Facts {
        deployment: shown.id.clone(),
        service: shown.service.clone(),
        environment: shown.environment.clone(),
        version: shown.version.clone(),
        from: shown.from.clone(),
        why: gone.map_or_else(|| back.text.clone(), |gone| gone.why.clone()),
        by: back.actor.clone(),
        started_at: shown.started_at,
        users_from,
        noticed_at: against.map(|one| one.at),
        noticed: against.map(|one| one.verdict.sentence.clone()),
        decided_at: back.at,
        users_back_at: confirmed.filter(|_| users_from.is_some()).map(|line| line.at),
        ended_at: shown.ended_at,
        due_at: shown.ended_at.and_then(|at| at.checked_add(DUE).ok()),
        exposed: shown.exposed,
        failed: outlook.map(|outlook| outlook.failed),
        charged: outlook.map(|outlook| outlook.charged),
        largest_share_bp: shown.steps.weights_bp.iter().take(steps).max().copied(),
        markdown: String::new(),
    };
    let mut text = head(&facts);
    text.extend(impact(&facts));
    text.extend(course(&facts));
    text.extend(timeline(&facts, lines));
    text.extend(BLANKS.iter().map(|line| (*line).to_owned()));
    facts.markdown = text.join("\n");
    Some(facts)
}

fn head(facts: &Facts) -> Vec<String> {
    let version = &facts.version;
    let served = match (facts.users_from, facts.users_back_at) {
        (None, _) => "No user reached it.".to_owned(),
        (Some(from), Some(back)) => {
            let after = span(back.duration_since(facts.decided_at));
            let long = span(back.duration_since(from));
            format!("Users could reach it for {long}; they were back {after} after the decision.")
        }
        (Some(_), None) => "The data plane has not confirmed the way back.".to_owned(),
    };
    let due = match facts.due_at {
        Some(at) => format!("To be finished by {}.", stamp(at)),
        None => "It is not over: draft it again when it is.".to_owned(),
    };
    vec![
        format!("# Post-mortem: {} {version} in {}", facts.service, facts.environment),
        String::new(),
        format!("A draft from the journal of `{}`. {due}", facts.deployment),
        format!("Times are UTC. What no machine can know is marked {BLANK}."),
        String::new(),
        "## In short".to_owned(),
        String::new(),
        format!("{version} went back: {}", plain(&facts.why)),
        served,
        String::new(),
    ]
}

fn impact(facts: &Facts) -> Vec<String> {
    let unknown = || "not recorded".to_owned();
    let share = |bp: u16| format!("{} %", number(f64::from(bp) / 100.0));
    let rows = [
        ("Requests that reached it", facts.exposed.map_or_else(unknown, count)),
        ("Of those, failed", facts.failed.map_or_else(unknown, count)),
        ("Failed, and live would not have", facts.charged.map_or_else(unknown, number)),
        ("Largest share of the traffic", facts.largest_share_bp.map_or_else(unknown, share)),
        ("Users, money, data", BLANK.to_owned()),
    ];
    let mut lines = vec!["## Impact".to_owned(), String::new(), "| what | how much |".to_owned()];
    lines.push("|---|---|".to_owned());
    lines.extend(rows.into_iter().map(|(what, value)| format!("| {what} | {value} |")));
    lines.push(String::new());
    lines
}

fn course(facts: &Facts) -> Vec<String> {
    let mut lines = vec!["## How it was noticed and ended".to_owned(), String::new()];
    let since = |at: Timestamp| match facts.users_from {
        Some(from) if at >= from => {
            format!(", {} after the first user", span(at.duration_since(from)))
        }
        Some(_) | None => String::new(),
    };
    if let (Some(at), Some(sentence)) = (facts.noticed_at, &facts.noticed) {
        lines.push(format!("- {}{}: {}", stamp(at), since(at), plain(sentence)));
    }
    let (at, by) = (facts.decided_at, plain(&facts.by));
    lines.push(format!("- {}{}: sent back by {by}", stamp(at), since(at)));
    match facts.users_back_at {
        Some(at) => {
            let from = facts.from.as_deref().unwrap_or("nothing");
            lines.push(format!("- {}{}: all requests on {from}", stamp(at), since(at)));
        }
        None if facts.users_from.is_some() => {
            lines.push("- the way back of the traffic: not confirmed".to_owned());
        }
        None => {}
    }
    lines.push(String::new());
    lines
}

fn timeline(facts: &Facts, events: &Lines) -> Vec<String> {
    let mut lines = vec!["## Timeline".to_owned(), String::new()];
    lines.push("| time | since the start | who | what |".to_owned());
    lines.push("|---|---|---|---|".to_owned());
    lines.extend(events.events.iter().map(|line| {
        let since = span(line.at.duration_since(facts.started_at));
        let (who, what) = (plain(&line.actor), plain(&line.text));
        format!("| {} | {since} | {who} | {what} |", stamp(line.at))
    }));
    lines.push(String::new());
    lines
}

/// What people add. It asks for causes in the system, never for culprits.
const BLANKS: [&str; 16] = [
    "## Why it happened",
    "",
    "**to fill in**: what in the change failed, and which check before traffic could have found it.",
    "",
    "## What went well, what did not, where luck helped",
    "",
    "- **to fill in**",
    "",
    "## Action items",
    "",
    "| what | who | until |",
    "|---|---|---|",
    "| a check that finds this before traffic | **to fill in** | **to fill in** |",
    "| **to fill in** | **to fill in** | **to fill in** |",
    "",
    "A candidate that was at fault is quarantined: what is mended gets a tag of its own.",
];

/// What people did about it, and what the runbook wants of what is written.
fn looked_after(whole: &Whole) -> Vec<String> {
    let incident = &whole.incident;
    let class = incident.severity.to_uppercase();
    let mut lines = vec![String::new(), format!("## Incident {} ({class})", incident.id)];
    lines.push(String::new());
    lines.push(format!(
        "- {}: opened by {}",
        stamp(incident.opened_at),
        plain(&incident.opened_by)
    ));
    if let (Some(at), Some(by)) = (whole.acknowledged_at, &whole.acknowledged_by) {
        let after = span(at.duration_since(incident.opened_at));
        lines.push(format!("- {}, {after} later: {} was on it", stamp(at), plain(by)));
    }
    if let (Some(at), Some(why)) = (incident.resolved_at, &whole.resolved_why) {
        let after = span(at.duration_since(incident.opened_at));
        lines.push(format!("- {}, {after} after it was opened: {}", stamp(at), plain(why)));
    }
    let parts = whole.roles.iter();
    lines.extend(parts.map(|part| format!("- {}: {}", plain(&part.role), plain(&part.who))));
    for wanted in &whole.contains {
        lines.extend([String::new(), format!("## {}", plain(wanted)), String::new()]);
        lines.push(BLANK.to_owned());
    }
    lines
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A sentence as one line of a table, whatever a person wrote in it.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts_of_nobody() -> Facts {
        let at: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        Facts {
            deployment: "d-1".to_owned(),
            service: "shop".to_owned(),
            environment: "production".to_owned(),
            version: "v2".to_owned(),
            from: Some("v1".to_owned()),
            why: "smoke failed".to_owned(),
            by: "tidegate".to_owned(),
            started_at: at,
            users_from: None,
            noticed_at: None,
            noticed: None,
            decided_at: at,
            users_back_at: None,
            ended_at: Some(at),
            due_at: at.checked_add(DUE).ok(),
            exposed: None,
            failed: None,
            charged: None,
            largest_share_bp: None,
            markdown: String::new(),
        }
    }

    #[test]
    fn what_is_not_on_record_is_said_and_never_zero() {
        let facts = facts_of_nobody();
        let text = [head(&facts), impact(&facts), course(&facts)].concat().join("\n");
        assert!(text.contains("No user reached it."), "{text}");
        assert!(text.contains("| Requests that reached it | not recorded |"), "{text}");
        assert!(text.contains("finished by 2026-03-03 10:00:00"), "{text}");
        assert!(!text.contains("| 0 |"), "{text}");
    }

    #[test]
    fn a_reason_cannot_break_the_table_nor_bring_markup() {
        assert_eq!(plain("a | b\n<script> & c"), "a \\| b &lt;script> &amp; c");
    }
}
