//! `tidegate traffic`: how requests are divided: set, read back, observed; and how they were.
//! Must never show a wish as a fact.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::cli::session::{Session, service_path};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::text::{number, span};
use crate::view::service::{PartTraffic, SplitChange, Traffic};

/// The verbs of traffic.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The split at this moment
    Show,
    /// Every split that was wanted, newest first
    History,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or there is no such service.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let named = session.service().await?;
    let found: Traffic = session.client.get(&service_path(&named, "traffic")).await?;
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    if found.parts.is_empty() {
        session.terminal.say(&format!("{} takes no requests yet", found.service));
    }
    for part in &found.parts {
        let url = part.url.as_deref().unwrap_or_default();
        session.terminal.line(&format!("{} {url}", styled(Style::Strong, &part.part)))?;
        let lines = match verb {
            Verb::Show => show(part),
            Verb::History => {
                let now = Timestamp::now();
                part.history
                    .iter()
                    .map(|change| history(change, &session.terminal.time(change.at, now)))
                    .collect()
            }
        };
        for line in lines {
            session.terminal.line(&line)?;
        }
    }
    Ok(Exit::Done)
}

fn show(part: &PartTraffic) -> Vec<String> {
    let Some(split) = &part.split else { return vec!["  no table yet".to_owned()] };
    let mut lines = vec![
        format!("  set       {} (generation {})", shares(&split.set), split.generation),
        format!(
            "  read back {}",
            split.read.as_ref().map_or_else(|| "not confirmed".to_owned(), shares)
        ),
        format!(
            "  observed  {}",
            split.observed.as_ref().map_or_else(|| "no requests counted".to_owned(), shares)
        ),
    ];
    match (&part.in_force, &part.unknown) {
        (_, Some(unknown)) => {
            lines.push(format!(
                "  {}",
                styled(Style::Bad, &format!("the data plane does not answer: {unknown}"))
            ));
        }
        (Some(generation), None) => lines.push(format!("  in force  generation {generation}")),
        (None, None) => lines.push("  in force  nothing".to_owned()),
    }
    if let Some(overridden) = &part.overridden {
        lines.push(format!(
            "  {} {overridden}",
            styled(Style::Doubtful, "moved by the data plane:")
        ));
    }
    lines
}

fn history(change: &SplitChange, at: &str) -> String {
    let set = change.set.as_ref().map_or_else(|| "503 for all".to_owned(), shares);
    let confirmed = match change.confirmed_at {
        Some(confirmed) => format!("read back after {}", span(confirmed.duration_since(change.at))),
        None => "never read back".to_owned(),
    };
    format!("  {at}  {set}  {confirmed}  by {}", change.actor)
}

fn shares(shares: &BTreeMap<String, f64>) -> String {
    if shares.is_empty() {
        return "503 for all".to_owned();
    }
    let shares: Vec<String> =
        shares.iter().map(|(slot, share)| format!("{slot} {} %", number(*share))).collect();
    shares.join(", ")
}
