//! `tidegate trigger`: what watches repositories for releases, and what is ready there.
//! Must never begin anything: that is `tidegate deploy`.

use crate::cli::session::Session;
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::people::Changed;
use crate::view::trigger::Triggers;

/// The verbs of triggers.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// How each stands
    List,
    /// Look at a repository now
    Look {
        /// The trigger
        name: String,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or it knows no such trigger.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::List => list(session).await,
        Verb::Look { name } => {
            let path = format!("/v1/triggers/{}/look", encode(name));
            let said: Changed = session.client.post(&path, &serde_json::json!({})).await?;
            session.terminal.line(&said.sentence)?;
            Ok(Exit::Done)
        }
    }
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let found: Triggers = session.client.get("/v1/triggers").await?;
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    for trigger in &found.triggers {
        let (mark, style) =
            if trigger.troubled { ("\u{2717}", Style::Bad) } else { ("\u{2713}", Style::Good) };
        session.terminal.line(&format!(
            "{} {} {} {} ({})",
            styled(style, mark),
            styled(Style::Strong, &trigger.name),
            trigger.repository,
            trigger.tags,
            trigger.start
        ))?;
        session.terminal.line(&format!("  {}", trigger.sentence))?;
        if let Some(ready) = &trigger.ready {
            session.terminal.line(&format!("  $ {}", ready.command))?;
        }
    }
    if found.triggers.is_empty() {
        session.terminal.say("none: `triggers:` in server.yaml names repositories to watch");
    }
    Ok(Exit::Done)
}
