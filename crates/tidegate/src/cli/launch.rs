//! `tidegate launch`: takes its orders from standard input and becomes the program of a step.
//! Must never run inside an async runtime: it becomes another program.

use tidegate_drivers::work::launch;

use crate::exit::Exit;
use crate::failure::Failure;

/// Becomes the program.
///
/// # Errors
/// [`Failure`] when it could not.
pub(crate) fn run() -> Result<Exit, Failure> {
    match launch::run() {
        Ok(never) => match never {},
        Err(error) => Err(Failure::local(error)),
    }
}
