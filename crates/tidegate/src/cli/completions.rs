//! `tidegate completions SHELL`. Must never be written by hand.

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when stdout cannot be written.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "tidegate", &mut script);
    session.terminal.raw(&script)?;
    Ok(Exit::Done)
}
