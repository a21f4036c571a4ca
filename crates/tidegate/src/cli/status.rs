//! `tidegate status`: one screen about a deployment.
//! Must never wait for anything.

use crate::cli::session::{Session, Unnamed};
use crate::exit::Exit;
use crate::failure::Failure;

use super::{tree, watch};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here, else the newest
    deployment: Option<String>,
    /// Exit with the code of its end, or of what it is doing
    #[arg(long)]
    exit_code: bool,
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
    } else {
        for line in tree::render(&shown, &session.terminal, tree::Keys::Hidden) {
            session.terminal.line(&line)?;
        }
    }
    Ok(if args.exit_code { watch::exit_of(&shown) } else { Exit::Done })
}
