//! `tidegate abort`: stop; before any traffic the candidate is taken down, after it, it is a
//! rollback. Must never leave the candidate with traffic.

use crate::cli::session::{Session, Unnamed};
use crate::cli::watch;
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::{Accepted, Reason};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here
    deployment: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or it is over.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let path = format!("/v1/deployments/{}/abort", encode(&id));
    let asked = Reason { reason: session.globals.reason.clone(), key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    if !session.globals.wait {
        return session.told(&id, "aborting; `tidegate watch` follows it").await;
    }
    // The end that was asked for is success for this command.
    Ok(match watch::follow(session, &id).await? {
        Exit::Aborted | Exit::RolledBack => Exit::Done,
        other => other,
    })
}
