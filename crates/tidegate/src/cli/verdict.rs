//! `tidegate verdict`: the judge's words on a deployment, and each made again from its recording.
//! Must never end well when a verdict cannot be made again.

use crate::cli::session::{Session, Unnamed};
use crate::cli::tree;
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::judged::{Replayed, Verdicts};

/// The verbs of verdicts.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Every change of the judge's advice
    List {
        /// The deployment; the one in flight here, else the newest
        deployment: Option<String>,
    },
    /// One verdict with its numbers, made again from what the judge heard
    Show {
        /// `d-7k3x/4`; without the number the deployment's last one
        verdict: Option<String>,
    },
}

/// Runs the verb. `show` ends with 11 when the verdict cannot be made again as it was.
///
/// # Errors
/// [`Failure`] when no server answers, or it knows no such verdict.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::List { deployment } => list(session, deployment.as_deref()).await,
        Verb::Show { verdict } => show(session, verdict.as_deref()).await,
    }
}

async fn verdicts(session: &Session, id: &str) -> Result<Verdicts, Failure> {
    session.client.get(&format!("/v1/deployments/{}/verdicts", encode(id))).await
}

async fn list(session: &Session, deployment: Option<&str>) -> Result<Exit, Failure> {
    let id = session.deployment(deployment, Unnamed::Newest).await?;
    let found = verdicts(session, &id).await?;
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    for one in &found.verdicts {
        let at = terminal.stamp(one.at);
        let record = if one.inputs.is_empty() { "  (not on record)" } else { "" };
        terminal.line(&format!("{at} {} {}{record}", one.id, one.verdict.sentence))?;
    }
    if found.verdicts.is_empty() {
        terminal.say(&format!("{id} was not judged yet"));
    }
    Ok(Exit::Done)
}

async fn show(session: &Session, named: Option<&str>) -> Result<Exit, Failure> {
    let (deployment, number) = match named.and_then(|named| named.rsplit_once('/')) {
        Some((deployment, number)) => (Some(deployment), Some(number)),
        None => (named, None),
    };
    let id = session.deployment(deployment, Unnamed::Newest).await?;
    let number = match number {
        Some(number) => number.to_owned(),
        None => verdicts(session, &id).await?.verdicts.len().to_string(),
    };
    let path = format!("/v1/deployments/{}/verdicts/{}", encode(&id), encode(&number));
    let found: Replayed = session.client.get(&path).await?;
    let same = found.result == "same";
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&found)?;
    } else {
        let at = terminal.stamp(found.journaled.at);
        let verdict = &found.journaled.verdict;
        terminal.line(&format!("{at} {}", styled(Style::Strong, &found.journaled.id)))?;
        terminal.line(&verdict.sentence)?;
        for row in tree::reading_rows(verdict, terminal) {
            terminal.line(&row)?;
        }
        for heard in &found.journaled.inputs {
            let (part, entries, digest) = (&heard.part, heard.entries, &heard.digest);
            terminal.line(&format!("heard of {part}: {entries} entries, sha256 {digest}"))?;
        }
        let style = if same { Style::Good } else { Style::Bad };
        let icon = if same { "v" } else { "x" };
        terminal.line(&styled(style, &format!("{icon} {}", found.sentence)))?;
    }
    Ok(if same { Exit::Done } else { Exit::Stopped })
}
