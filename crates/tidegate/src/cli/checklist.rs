//! `tidegate checklist`: the boxes of the runbook, and what closed each.
//! Must never close one.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, styled};
use crate::view::checklist::{Checklists, Tick};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here, else the newest
    deployment: Option<String>,
    /// Only boxes that are not closed
    #[arg(long)]
    open: bool,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or there is no such deployment.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::Newest).await?;
    let path = format!("/v1/deployments/{}/checklist", encode(&id));
    let mut found: Checklists = session.client.get(&path).await?;
    if args.open {
        for list in &mut found.lists {
            list.boxes.retain(|tick| tick.state != "closed");
        }
    }
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&found)?;
    } else {
        for list in found.lists.iter().filter(|list| !list.boxes.is_empty()) {
            terminal.line(&styled(Style::Strong, &list.name))?;
            for line in list.boxes.iter().flat_map(|tick| lines(tick, terminal)) {
                terminal.line(&line)?;
            }
        }
        terminal.line(&format!("{}: {}", found.version, found.sentence))?;
    }
    Ok(if found.missing == 0 { Exit::Done } else { Exit::Stopped })
}

fn lines(tick: &Tick, terminal: &Terminal) -> Vec<String> {
    let (icon, plain, style) = match tick.state.as_str() {
        "closed" => ("☑", "[x]", Style::Good),
        "failed" => ("☒", "[!]", Style::Bad),
        _ => ("☐", "[ ]", Style::Doubtful),
    };
    let icon = terminal.icon(icon, plain);
    let must = if tick.mandatory { "" } else { " (may stay open)" };
    let head = styled(style, &format!("{icon} {:6}", tick.state));
    let mut lines = vec![
        format!("  {head} {} {}{must}", tick.name, tick.words),
        format!("           {}", tick.sentence),
    ];
    lines.extend(tick.help.as_ref().map(|help| format!("           help: {help}")));
    lines
}
