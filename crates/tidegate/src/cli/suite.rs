//! `tidegate suite run`: run the smoke suite against a slot, once and without consequence.
//! Must never report a pass when nothing was run.

use crate::cli::probe::{Which, ask};
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of suites.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Run it against every slot that runs something, or against one
    Run(Which),
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, nothing runs there, or there is no suite.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Run(which) = verb;
    ask(session, which, "suites").await
}
