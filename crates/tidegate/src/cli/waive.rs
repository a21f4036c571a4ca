//! `tidegate waive GATE`: set a gate aside for one version, with a reason and an end.
//! Must never set a gate aside without either.

use jiff::SignedDuration;

use crate::cli::deploy;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::evidence::Waived;
use crate::view::request::Waive;

/// How long a waiver lasts when nobody says.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The gate
    gate: String,
    #[command(flatten)]
    release: deploy::Named,
    /// For how long, `7d`; one day by default, 30 days at most
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<SignedDuration>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] without a reason, when no server answers, or when there is no such gate.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let Some(reason) = session.globals.reason.clone() else {
        return Err(Failure::new(Exit::Usage, "TG7003", "a waiver needs a reason")
            .safe("nothing was changed")
            .help("`tidegate waive GATE --reason \"why it may be set aside\"`"));
    };
    let lasts = args.lasts.unwrap_or(LASTS);
    let Ok(lasts_ms) = u64::try_from(lasts.as_millis()) else {
        return Err(Failure::new(Exit::Usage, "TG7003", "a waiver lasts longer than nothing"));
    };
    let release = deploy::release(session, &args.release)?;
    let asked = Waive { release, gate: args.gate.clone(), reason, lasts_ms, key: None };
    let Some(waived) = session.change::<_, Waived>("/v1/waivers", &asked).await? else {
        return Ok(Exit::Done);
    };
    if session.terminal.is_json() {
        session.terminal.json(&waived)?;
        return Ok(Exit::Done);
    }
    session.terminal.line(&format!(
        "{} is set aside for {} of {} until {}",
        waived.gate,
        waived.version,
        waived.service,
        session.terminal.stamp(waived.until)
    ))?;
    Ok(Exit::Done)
}
