//! `tidegate shim DIR`: looks after the instances of one slot, and outlives the server.
//! Must never run inside an async runtime: it forks and waits for children.

use std::path::PathBuf;

use tidegate_drivers::runtime::shim;

use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory of the slot
    directory: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when it cannot begin or go on; the instances run on either way.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    crate::server::logging::to_stderr();
    shim::run(&args.directory).map_err(Failure::local)?;
    Ok(Exit::Done)
}
