//! `tidegate timeline`: everything that happened to a deployment, in order.
//! Must never leave out an event.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::Lines;

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
    let lines: Lines =
        session.client.get(&format!("/v1/deployments/{}/events", encode(&id))).await?;
    if session.terminal.is_json() {
        for event in &lines.events {
            session.terminal.json(event)?;
        }
        return Ok(Exit::Done);
    }
    for event in &lines.events {
        let at = session.terminal.stamp(event.at);
        session.terminal.line(&format!("{at} {id} #{} {}", event.seq, event.text))?;
    }
    Ok(Exit::Done)
}
