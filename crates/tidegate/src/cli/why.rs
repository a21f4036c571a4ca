//! `tidegate why`: on what it waits, since when, who can end it, what happens by itself.
//! Must never say "waiting" without saying for what.

use jiff::Timestamp;

use crate::cli::session::{Session, Unnamed};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, styled};
use crate::text::{ago, span};
use crate::view::{Deployment, Waiting};

use super::gate;
use super::tree::reading_rows;
use crate::words::{state_icon, state_words};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here, else the newest
    deployment: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or it knows no such deployment.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::Newest).await?;
    let shown = session.show(&id).await?;
    if session.terminal.is_json() {
        session.terminal.json(&serde_json::json!({
            "id": shown.id,
            "state": shown.state,
            "sentence": shown.sentence,
            "waiting_on": shown.waiting_on,
            "gates": shown.gates,
            "layers": shown.layers,
            "boxes": shown.boxes,
            "hold": shown.hold,
            "verdict": shown.verdict,
        }))?;
        return Ok(Exit::Done);
    }
    for line in render(&shown, &session.terminal) {
        session.terminal.line(&line)?;
    }
    Ok(Exit::Done)
}

/// The answer as lines.
pub(crate) fn render(shown: &Deployment, terminal: &Terminal) -> Vec<String> {
    let (icon, style) = state_icon(&shown.state, terminal.unicode());
    let head = styled(style, &format!("{icon} {}", state_words(&shown.state)));
    let mut lines = vec![format!("{head}  {} {}: {}", shown.id, shown.version, shown.sentence)];
    if let Some(waiting) = &shown.waiting_on {
        lines.extend(branches(waiting, shown.now, terminal));
    }
    for gate in shown.gates.iter().filter(|gate| !gate.open()) {
        lines.extend(gate::lines(gate, terminal).into_iter().map(|line| format!("  {line}")));
    }
    if let Some(boxes) = &shown.boxes {
        lines.push(format!(
            "  {boxes}; it ends live, unverified, with them open: `tidegate checklist`"
        ));
    }
    for layer in shown.layers.iter().filter(|_| !shown.ended()) {
        let (name, from) = (&layer.layer, &layer.from);
        lines.push(format!("  demanded by the layer {name} ({from}): {}", layer.adds.join("; ")));
    }
    if let Some(back) = shown.going_back.as_ref().filter(|_| !shown.ended()) {
        lines.push(format!(
            "  it goes back since {}, by {}: {}",
            terminal.time(back.since, shown.now),
            back.by,
            back.why
        ));
    }
    if let Some(verdict) = shown.verdict.as_ref().filter(|_| !shown.ended()) {
        lines.push(format!("  the judge says {}", verdict.sentence));
        lines.extend(reading_rows(verdict, terminal));
    }
    lines
}

fn branches(waiting: &Waiting, now: Timestamp, terminal: &Terminal) -> Vec<String> {
    let (fork, last) = if terminal.unicode() { ("├─", "└─") } else { ("|-", "`-") };
    let by_itself = match waiting.until {
        Some(until) => format!(
            "{} (in {}): {}",
            terminal.time(until, now),
            span(until.duration_since(now)),
            waiting.then
        ),
        None => format!("never: {}", waiting.then),
    };
    let command = waiting.command.as_deref().unwrap_or("nobody can, it ends as said");
    [
        (fork, "waits for", waiting.on.clone()),
        (
            fork,
            "since",
            format!("{} ({})", terminal.time(waiting.since, now), ago(waiting.since, now)),
        ),
        (fork, "ended by", waiting.who.clone()),
        (fork, "by itself", by_itself),
        (last, "to end it", styled(Style::Strong, command)),
    ]
    .into_iter()
    .map(|(branch, name, text)| format!("  {branch} {name:10} {text}"))
    .collect()
}
