//! `tidegate gate`: how the gates of a release stand, with the values and what to do.
//! Must never call a gate open of which nothing is known.

use crate::cli::deploy;
use crate::cli::session::{Session, Unnamed};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, styled};
use crate::view::evidence::{Gate, Gates};

/// The verbs of gates.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// How the gates of a deployment stood when they were weighed
    List {
        /// The deployment; the one in flight here, else the newest
        deployment: Option<String>,
    },
    /// Weigh the gates of a release now, without consequence
    Run {
        #[command(flatten)]
        release: deploy::Named,
    },
    /// One gate of a release as it stands now
    Show {
        /// Its name
        gate: String,
        #[command(flatten)]
        release: deploy::Named,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or there is no such release or gate.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::List { deployment } => {
            let id = session.deployment(deployment.as_deref(), Unnamed::Newest).await?;
            let shown = session.show(&id).await?;
            if session.terminal.is_json() {
                session.terminal.json(&shown.gates)?;
                return Ok(exit(&shown.gates));
            }
            if shown.gates.is_empty() {
                session.terminal.say(&format!("{id} has weighed no gates"));
            }
            print(session, &shown.gates)?;
            Ok(exit(&shown.gates))
        }
        Verb::Run { release } => {
            let found = weighed(session, release).await?;
            if session.terminal.is_json() {
                session.terminal.json(&found)?;
            } else {
                print(session, &found.gates)?;
                session.terminal.line(&format!("{}: {}", found.version, found.sentence))?;
            }
            Ok(exit(&found.gates))
        }
        Verb::Show { gate, release } => {
            let mut found = weighed(session, release).await?;
            let known: Vec<String> = found.gates.iter().map(|gate| gate.name.clone()).collect();
            found.gates.retain(|known| known.name == *gate);
            if found.gates.is_empty() {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Failure::new(
                    Exit::NotFound,
                    "TG7046",
                    format!("{} has no gate `{gate}`; there is {known}", found.version),
                ));
            }
            if session.terminal.is_json() {
                session.terminal.json(&found.gates.first())?;
            } else {
                print(session, &found.gates)?;
                for digest in found.gates.iter().flat_map(|gate| &gate.evidence) {
                    session.terminal.line(&format!("  rests on {digest}"))?;
                }
            }
            Ok(exit(&found.gates))
        }
    }
}

async fn weighed(session: &Session, release: &deploy::Named) -> Result<Gates, Failure> {
    let release = deploy::release(session, release)?;
    session.client.post("/v1/gates", &release).await
}

fn exit(gates: &[Gate]) -> Exit {
    if gates.iter().all(Gate::open) { Exit::Done } else { Exit::Stopped }
}

fn print(session: &Session, gates: &[Gate]) -> Result<(), Failure> {
    for line in gates.iter().flat_map(|gate| lines(gate, &session.terminal)) {
        session.terminal.line(&line)?;
    }
    Ok(())
}

/// A gate as lines: icon and word, name, sentence, and what to do.
pub(crate) fn lines(gate: &Gate, terminal: &Terminal) -> Vec<String> {
    let (icon, plain, style) = match gate.result.as_str() {
        "pass" => ("✓", "+", Style::Good),
        "fail" => ("✗", "x", Style::Bad),
        "waived" => ("~", "~", Style::Doubtful),
        "not-needed" => ("-", "-", Style::Faint),
        _ => ("?", "?", Style::Doubtful),
    };
    let icon = terminal.icon(icon, plain);
    let head = styled(style, &format!("{icon} {:10}", gate.result));
    let mut lines =
        vec![format!("{head} {}: {}", styled(Style::Strong, &gate.name), gate.sentence)];
    lines.extend(gate.help.as_ref().map(|help| format!("    help: {help}")));
    lines
}
