//! `tidegate step`: the custom steps of a deployment, and what a person says of one that was lost.
//! Must never settle a step without a word on how it is known.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, styled};
use crate::view::CustomStep;
use crate::view::request::{Accepted, Settle};

/// The verbs of custom steps.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// The custom steps of a deployment, in order, and how each stands
    List {
        /// The deployment; the one in flight here, else the newest
        deployment: Option<String>,
    },
    /// Say what became of a step whose end nobody saw
    Settle {
        /// The step
        step: String,
        /// The deployment; the one in flight here
        deployment: Option<String>,
        /// It was done: go on
        #[arg(long, conflicts_with = "not_done", required_unless_present = "not_done")]
        done: bool,
        /// It was not done: do it anew
        #[arg(long)]
        not_done: bool,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or nothing is to be said of that step.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::List { deployment } => {
            let id = session.deployment(deployment.as_deref(), Unnamed::Newest).await?;
            let shown = session.show(&id).await?;
            if session.terminal.is_json() {
                session.terminal.json(&shown.custom)?;
                return Ok(Exit::Done);
            }
            if shown.custom.is_empty() {
                session.terminal.say(&format!("{id} has no custom steps"));
            }
            for line in shown.custom.iter().flat_map(|step| lines(step, &session.terminal)) {
                session.terminal.line(&line)?;
            }
            Ok(Exit::Done)
        }
        Verb::Settle { step, deployment, done, not_done: _ } => {
            settle(session, step, deployment.as_deref(), *done).await
        }
    }
}

async fn settle(
    session: &Session,
    step: &str,
    deployment: Option<&str>,
    done: bool,
) -> Result<Exit, Failure> {
    let Some(reason) = session.globals.reason.clone() else {
        return Err(Failure::new(Exit::Usage, "TG7003", "say how you know")
            .safe("nothing was changed")
            .help("`tidegate step settle STEP --done --reason \"what you saw\"`"));
    };
    let id = session.deployment(deployment, Unnamed::InFlight).await?;
    let path = format!("/v1/deployments/{}/steps/{}/settle", encode(&id), encode(step));
    let asked = Settle { done, reason, key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    session.told(&id, if done { "it was done" } else { "it is done anew" }).await
}

/// A step as lines: icon and word, moment, name, what it said, and what it left.
fn lines(step: &CustomStep, terminal: &Terminal) -> Vec<String> {
    let (icon, plain, style) = match step.state.as_str() {
        "pass" => ("✓", "+", Style::Good),
        "fail" => ("✗", "x", Style::Bad),
        "lost" | "no-data" => ("?", "?", Style::Doubtful),
        "running" => ("●", "*", Style::Strong),
        _ => ("-", "-", Style::Faint),
    };
    let icon = terminal.icon(icon, plain);
    let head = styled(style, &format!("{icon} {:8}", step.state));
    let said = if step.summary.is_empty() { String::new() } else { format!(": {}", step.summary) };
    let mut lines =
        vec![format!("{head} {:14} {}{said}", step.at, styled(Style::Strong, &step.name))];
    let values = step.outputs.iter().map(|(name, value)| format!("    {name} = {value}"));
    let files = step.artifacts.iter().map(|(path, digest)| format!("    {path} {digest}"));
    lines.extend(values.chain(files));
    if step.state == "lost" {
        let command = format!("tidegate step settle {} --done|--not-done --reason WHY", step.name);
        lines.push(format!("    help: look whether it was done, then `{command}`"));
    }
    lines
}
