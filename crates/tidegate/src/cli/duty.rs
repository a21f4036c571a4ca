//! `tidegate duty`: what falls due again and again, and that it was done.
//! Must never say that one was done without what shows it.

use crate::cli::session::{Session, service_path};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::duty::{Duties, Duty};
use crate::view::request::DutyDone;

/// The verbs of duties.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Those of the service, with when each is due; exits with 11 when one is overdue
    List,
    /// Say that one was done, and what shows it
    Done {
        /// The duty
        duty: String,
        /// What shows it: a link, a ticket, a sentence
        #[arg(long, value_name = "TEXT")]
        evidence: String,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or there is no such duty.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let named = session.service().await?;
    match verb {
        Verb::List => {
            let found: Duties = session.client.get(&service_path(&named, "duties")).await?;
            print(session, &found)?;
            let overdue = found.duties.iter().any(|duty| duty.overdue);
            Ok(if overdue { Exit::Stopped } else { Exit::Done })
        }
        Verb::Done { duty, evidence } => {
            let service = encode(&named.service);
            let path = format!("/v1/services/{service}/duties/{}/done", encode(duty));
            let (environment, evidence) = (named.environment.clone(), evidence.clone());
            let asked = DutyDone { environment, evidence, key: None };
            if let Some(found) = session.change::<_, Duties>(&path, &asked).await? {
                print(session, &found)?;
            }
            Ok(Exit::Done)
        }
    }
}

fn print(session: &Session, found: &Duties) -> Result<(), Failure> {
    if session.terminal.is_json() {
        return session.terminal.json(&found.duties);
    }
    if found.duties.is_empty() {
        session.terminal.say("the newest deployment declares no duties");
    }
    for duty in &found.duties {
        session.terminal.line(&line(session, duty))?;
        if let Some(last) = &duty.last {
            let at = session.terminal.stamp(last.at);
            session.terminal.line(&format!("    done {at} by {}: {}", last.by, last.evidence))?;
        }
    }
    Ok(())
}

fn line(session: &Session, duty: &Duty) -> String {
    let (icon, plain, word, style) = match (duty.overdue, duty.due) {
        (true, _) => ("✗", "x", "overdue since", Style::Bad),
        (false, Some(_)) => ("✓", "+", "due", Style::Good),
        (false, None) => ("✓", "+", "due after the next deployment", Style::Good),
    };
    let icon = session.terminal.icon(icon, plain);
    let head = styled(style, &format!("{icon} {word}"));
    let due = duty.due.map(|due| format!(" {}", session.terminal.stamp(due))).unwrap_or_default();
    let owner = duty.owner.as_ref().map(|owner| format!(", {owner}")).unwrap_or_default();
    let how = duty.run.as_ref().map(|run| format!(": {run}")).unwrap_or_default();
    let blocks = if duty.blocks && duty.overdue { "; no release begins until then" } else { "" };
    format!("{head}{due} {} (every {}{owner}){how}{blocks}", duty.name, duty.every)
}
