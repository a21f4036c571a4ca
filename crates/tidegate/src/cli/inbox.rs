//! `tidegate inbox`: what waits for people, with the command that answers it.
//! Must never hide what waits for somebody else: who could answer may be away.

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::approval::Inbox;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers.
pub(crate) async fn run(session: &Session, _args: &Args) -> Result<Exit, Failure> {
    let inbox: Inbox = session.client.get("/v1/inbox").await?;
    if session.terminal.is_json() {
        session.terminal.json(&inbox)?;
        return Ok(Exit::Done);
    }
    if inbox.items.is_empty() {
        session.terminal.line("nothing waits for a person")?;
        session.terminal.say("  `tidegate list` shows what runs");
        return Ok(Exit::Done);
    }
    for item in &inbox.items {
        session.terminal.line(&format!(
            "? {:<11} {} {} {} ({})",
            item.kind, item.service, item.environment, item.version, item.deployment
        ))?;
        session.terminal.line(&format!("  {}", item.sentence))?;
        session.terminal.line(&format!("  $ {}", item.command))?;
    }
    Ok(Exit::Done)
}
