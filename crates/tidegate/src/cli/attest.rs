//! `tidegate attest ITEM`: vouch for something that no machine can see.
//! Must never vouch in somebody else's name.

use jiff::SignedDuration;

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::{Accepted, Attest};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What, as the policy words it or as a box is named, `before.3`; `tidegate inbox` and
    /// `tidegate checklist` list the items
    item: String,
    /// The deployment; the one in flight here
    deployment: Option<String>,
    /// What you saw
    #[arg(long, visible_alias = "note", value_name = "TEXT")]
    comment: Option<String>,
    /// For how long your word counts, `8h`, at most 30 days; without it, as long as the deployment
    /// is in flight
    #[arg(long, value_name = "TIME")]
    expires: Option<SignedDuration>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or nobody is asked to vouch for that.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let path = format!("/v1/deployments/{}/attest", encode(&id));
    let lasts_ms = args.expires.map(|lasts| u64::try_from(lasts.as_millis())).transpose();
    let lasts_ms = lasts_ms.map_err(|_negative| {
        Failure::new(Exit::Usage, "TG7003", "nobody can vouch for less than nothing")
    })?;
    let (item, comment) = (args.item.clone(), args.comment.clone());
    let asked = Attest { item, comment, lasts_ms, key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    super::approve::told(session, &id, &format!("you vouch: {}", args.item)).await
}
