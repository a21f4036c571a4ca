//! `tidegate version`. Must never need a server.

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments of the verb: none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when stdout cannot be written.
pub(crate) fn run(session: &Session, _args: &Args) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if session.terminal.is_json() {
        session.terminal.json(&serde_json::json!({ "version": version }))?;
    } else {
        session.terminal.line(&format!("tidegate {version}"))?;
    }
    Ok(Exit::Done)
}
