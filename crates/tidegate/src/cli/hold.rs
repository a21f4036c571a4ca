//! `tidegate hold`: go no further, for an hour unless said otherwise.
//! Must never hold without an end.

use jiff::SignedDuration;

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::{Accepted, Hold};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here
    deployment: Option<String>,
    /// For how long, `30m`; one hour by default
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<SignedDuration>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or the deployment cannot be held.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let lasts_ms = match args.lasts.map(|lasts| u64::try_from(lasts.as_millis())) {
        None => None,
        Some(Ok(ms)) if ms > 0 => Some(ms),
        Some(_) => {
            return Err(Failure::new(Exit::Usage, "TG7003", "a hold lasts longer than nothing"));
        }
    };
    let asked = Hold { reason: session.globals.reason.clone(), lasts_ms, key: None };
    let path = format!("/v1/deployments/{}/hold", encode(&id));
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    session.told(&id, "held; `tidegate resume` ends it").await
}
