//! `tidegate approve`: agree to exactly what would run. Shows it first.
//! Must never approve what the person was not shown.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::{Accepted, Approve};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here
    deployment: Option<String>,
    /// The binding that was looked at elsewhere: nothing is asked then
    #[arg(long, value_name = "DIGEST")]
    binding: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, nothing waits for approval, or the answer was no.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let binding = match &args.binding {
        Some(binding) => binding.clone(),
        None => look_and_ask(session, &id).await?,
    };
    let path = format!("/v1/deployments/{}/approve", encode(&id));
    let asked = Approve { binding, key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    session.told(&id, "your approval is recorded").await
}

async fn look_and_ask(session: &Session, id: &str) -> Result<String, Failure> {
    let shown = session.show(id).await?;
    let Some(binding) = shown.binding else {
        return Err(Failure::new(
            Exit::Conflict,
            "TG7024",
            format!("{id} is in {}: what would run is not known yet", shown.phase),
        )
        .safe("nothing was changed")
        .help("`tidegate watch`, and approve when it waits for approval"));
    };
    let from = shown.from.as_deref().unwrap_or("nothing");
    session.terminal.say(&format!(
        "{} in {}: {from} -> {}\n  commit   {}\n  artifact {}\n  binding  {binding}",
        shown.service,
        shown.environment,
        shown.version,
        shown.commit,
        shown.artifact.as_deref().unwrap_or("unknown"),
    ));
    let help = format!("`tidegate approve {id} --binding {binding}`, or `-y`");
    session.confirm("approve exactly this?", &help)?;
    Ok(binding)
}
