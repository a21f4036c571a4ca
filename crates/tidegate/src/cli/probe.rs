//! `tidegate probe run`: ask the health questions of a slot, once and without consequence.
//! Must never report a pass when nothing was asked.

use crate::cli::session::{Named, Session};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::request::Ask;
use crate::view::service::Answers;

/// The verbs of probes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Ask every probe of every slot that runs something, or of one
    Run(Which),
}

/// Which slots are asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Only this slot
    slot: Option<String>,
    /// Only this part
    #[arg(long)]
    part: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or nothing runs there.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Run(which) = verb;
    ask(session, which, "probes").await
}

/// Asks and prints the answers; 11 when one of them is bad or missing.
///
/// # Errors
/// [`Failure`] when no server answers, or nothing runs there.
pub(crate) async fn ask(session: &Session, which: &Which, what: &str) -> Result<Exit, Failure> {
    let Named { service, environment } = session.service().await?;
    let asked = Ask { environment, part: which.part.clone(), slot: which.slot.clone() };
    let path = format!("/v1/services/{}/{what}", encode(&service));
    let Some(found): Option<Answers> = session.change(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
    } else {
        for answer in &found.answers {
            let style = if answer.outcome == "pass" { Style::Good } else { Style::Bad };
            session.terminal.line(&format!(
                "{} {} in {} ({}): {}",
                styled(style, &format!("{:7}", answer.outcome)),
                answer.part,
                answer.slot,
                answer.version,
                answer.summary
            ))?;
        }
    }
    Ok(if found.outcome == "pass" { Exit::Done } else { Exit::Stopped })
}
