//! `tidegate report`: what a deployment did, by whom, on what evidence, and what it cost.
//! Must never say of a deployment that runs that it ended.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report;
use crate::view::report::Report;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here, else the newest
    deployment: Option<String>,
}

/// Runs the verb: Markdown, or JSON with `--json`.
///
/// # Errors
/// [`Failure`] when no server answers, or it knows no such deployment.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::Newest).await?;
    let report: Report =
        session.client.get(&format!("/v1/deployments/{}/report", encode(&id))).await?;
    if session.terminal.is_json() {
        session.terminal.json(&report)?;
    } else {
        session.terminal.raw(report::markdown(&report).as_bytes())?;
    }
    Ok(Exit::Done)
}
