//! `tidegate attest ITEM`: vouch for something that no machine can see.
//! Must never vouch in somebody else's name.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::{Accepted, Attest};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What, as the policy words it; `tidegate inbox` lists the items
    item: String,
    /// The deployment; the one in flight here
    deployment: Option<String>,
    /// What you saw
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or nobody is asked to vouch for that.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let path = format!("/v1/deployments/{}/attest", encode(&id));
    let asked = Attest { item: args.item.clone(), comment: args.comment.clone(), key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    super::approve::told(session, &id, &format!("you vouch: {}", args.item)).await
}
