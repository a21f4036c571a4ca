//! `tidegate show`: everything about a deployment, for people who look closely.
//! Must never leave out what identifies it: commit, artifact, binding.

use crate::cli::session::{Session, Unnamed};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::{Deployment, Slot};

use super::tree;

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
    let shown = session.show(&id).await?;
    if session.terminal.is_json() {
        session.terminal.json(&shown)?;
        return Ok(Exit::Done);
    }
    for line in tree::render(&shown, &session.terminal, tree::Keys::Hidden) {
        session.terminal.line(&line)?;
    }
    session.terminal.line("")?;
    for line in details(&shown) {
        session.terminal.line(&line)?;
    }
    Ok(Exit::Done)
}

fn details(shown: &Deployment) -> Vec<String> {
    let unknown = || "not yet known".to_owned();
    let mut lines = vec![
        format!("repository  {}", shown.repository),
        format!("commit      {}", shown.commit),
        format!("artifact    {}", shown.artifact.clone().unwrap_or_else(unknown)),
        format!("binding     {}", shown.binding.clone().unwrap_or_else(unknown)),
    ];
    if !shown.approvals.is_empty() {
        lines.push(format!("approved by {}", shown.approvals.join(", ")));
    }
    for part in &shown.parts {
        lines.push(format!(
            "part {} ({}) {}",
            part.name,
            part.kind,
            part.url.as_deref().unwrap_or("takes no requests")
        ));
        lines.extend(part.slots.iter().map(slot));
        if let Some(fallback) = part.split.as_ref().and_then(|split| split.fallback.as_ref()) {
            let shares: Vec<String> =
                fallback.iter().map(|(slot, share)| format!("{slot} {share} %")).collect();
            lines.push(format!("  without the server it goes back to {}", shares.join(", ")));
        }
    }
    lines
}

fn slot(slot: &Slot) -> String {
    let problem = slot.problem.as_ref().map_or_else(String::new, |text| format!("  ({text})"));
    format!(
        "  {} {}: {}, {} of {} ready {}{problem}",
        slot.role,
        slot.name,
        slot.revision.as_deref().unwrap_or("empty"),
        slot.ready,
        slot.wanted,
        slot.endpoints.join(" "),
    )
}
