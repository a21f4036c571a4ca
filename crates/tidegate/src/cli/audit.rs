//! `tidegate audit`: who did what, when, across all services, and whether any of it was changed.
//! Must never show less than asked without saying so.

use crate::cli::session::Session;
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::text::{count, plain};
use crate::view::audit::{Entries, Entry};
use crate::view::service::Verified;

/// Entries of one page of an export.
const PAGE: u32 = 1_000;

/// The verbs of the audit.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Entries of the journal, newest first
    Search(Narrowed),
    /// The same, all of them, a line of JSON each
    Export(Narrowed),
    /// Check every entry of the journal against its leaf and the root
    Verify,
}

/// How entries are narrowed.
#[derive(Debug, clap::Args)]
pub(crate) struct Narrowed {
    /// Words that the entry has
    text: Vec<String>,
    /// By whom; a part of the name will do
    #[arg(long)]
    by: Option<String>,
    /// Of this kind, `approval_given`
    #[arg(long)]
    kind: Option<String>,
    /// About this deployment
    #[arg(long)]
    deployment: Option<String>,
    /// Since then, `2026-11-01T00:00:00Z`
    #[arg(long, value_name = "INSTANT")]
    since: Option<jiff::Timestamp>,
    /// Until then
    #[arg(long, value_name = "INSTANT")]
    until: Option<jiff::Timestamp>,
    /// At most so many in one answer
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, when who asks may not read the journal, or when it does not
/// verify.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let terminal = &session.terminal;
    match verb {
        Verb::Search(asked) => {
            let found: Entries =
                session.client.get(&path(session, asked, asked.limit, None)).await?;
            if terminal.is_json() {
                terminal.json(&found)?;
                return Ok(Exit::Done);
            }
            for entry in &found.entries {
                terminal.line(&line(session, entry))?;
            }
            let searched = count(found.searched);
            let back = found.back_to.map(|at| format!(", back to {}", terminal.stamp(at)));
            let more = if found.next.is_some() { "; there is more: --until" } else { "" };
            terminal.say(&format!(
                "{} of {searched} entries{}{more}",
                found.entries.len(),
                back.unwrap_or_default()
            ));
        }
        Verb::Export(asked) => {
            let mut before = None;
            loop {
                let page: Entries = session.client.get(&path(session, asked, PAGE, before)).await?;
                for entry in &page.entries {
                    let text = serde_json::to_string(entry).map_err(Failure::local)?;
                    terminal.raw(format!("{text}\n").as_bytes())?;
                }
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
        }
        Verb::Verify => {
            let found: Verified = session.client.get("/v1/journal/verify").await?;
            if terminal.is_json() {
                terminal.json(&found)?;
                return Ok(Exit::Done);
            }
            terminal.line(&format!(
                "verified: {} entries in {} streams, root {}",
                count(found.events),
                count(found.streams),
                found.root
            ))?;
        }
    }
    Ok(Exit::Done)
}

fn path(session: &Session, asked: &Narrowed, limit: u32, before: Option<u64>) -> String {
    let words = asked.text.join(" ");
    let pairs = [
        ("service", session.globals.service.clone()),
        ("environment", session.globals.environment.clone()),
        ("text", (!words.is_empty()).then_some(words)),
        ("actor", asked.by.clone()),
        ("kind", asked.kind.clone()),
        ("deployment", asked.deployment.clone()),
        ("since", asked.since.map(|at| at.to_string())),
        ("until", asked.until.map(|at| at.to_string())),
        ("before", before.map(|position| position.to_string())),
    ];
    let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let pairs = pairs.map(|(name, value)| format!("&{name}={}", encode(&value)));
    format!("/v1/journal/entries?limit={limit}{}", pairs.collect::<String>())
}

fn line(session: &Session, entry: &Entry) -> String {
    let at = entry.at.map_or_else(|| "?".to_owned(), |at| session.terminal.stamp(at));
    let scope = match (&entry.service, &entry.environment) {
        (Some(service), Some(environment)) => format!("{service}/{environment}"),
        _ => "?".to_owned(),
    };
    let style = if entry.event.is_none() { Style::Bad } else { Style::Strong };
    format!(
        "{at} {} {} {} {}",
        plain(&scope),
        entry.deployment.as_deref().unwrap_or("-"),
        styled(style, entry.actor.as_deref().unwrap_or(&entry.kind)),
        plain(&entry.text)
    )
}
