//! `tidegate advance --step N`: go to the next step at once; refused when N is not running.
//! Must never advance another step than the one that the person saw.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::{Accepted, Advance};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here
    deployment: Option<String>,
    /// The step that runs, from 1; one past the last is the watch at 100 %
    #[arg(long)]
    step: u32,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or that step is not running.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let path = format!("/v1/deployments/{}/advance", encode(&id));
    let asked = Advance { step: args.step, key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    session.told(&id, &format!("step {} ended by hand", args.step)).await
}
