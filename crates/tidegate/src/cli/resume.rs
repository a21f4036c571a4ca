//! `tidegate resume`: end a person's hold.
//! Must never end a hold of the judge: only evidence does.

use crate::cli::session::{Session, Unnamed};
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
/// [`Failure`] when no server answers, or nothing is held by a person.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let path = format!("/v1/deployments/{}/resume", encode(&id));
    let asked = Reason { reason: session.globals.reason.clone(), key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    session.told(&id, "resumed").await
}
