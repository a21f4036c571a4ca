//! `tidegate reject --category --reason`: refuse a deployment.
//! Must never refuse without a reason: somebody has to mend it.

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::{Accepted, Reject};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here
    deployment: Option<String>,
    /// What kind of fault: code, tests, security, compliance, documentation, timing, other
    #[arg(long, value_name = "KIND", default_value = "other")]
    category: String,
}

/// Runs the verb.
///
/// # Errors
/// TG7003 without a reason; [`Failure`] when no server answers, or nothing waits for a decision.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let Some(reason) = session.globals.reason.clone() else {
        return Err(Failure::new(Exit::Usage, "TG7003", "a refusal needs its reason")
            .safe("nothing was changed")
            .help("`tidegate reject --reason \"...\"`"));
    };
    let id = session.deployment(args.deployment.as_deref(), Unnamed::InFlight).await?;
    let path = format!("/v1/deployments/{}/reject", encode(&id));
    let asked = Reject { category: Some(args.category.clone()), reason: Some(reason), key: None };
    let Some(_accepted) = session.change::<_, Accepted>(&path, &asked).await? else {
        return Ok(Exit::Done);
    };
    session.told(&id, "refused: another plan has to answer that").await
}
