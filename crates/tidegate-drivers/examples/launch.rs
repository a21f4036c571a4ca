//! The launcher of steps as a program of its own, for the tests: the binary has it as a hidden verb.
//! Must never do more than the library does.

use std::process::ExitCode;

fn main() -> ExitCode {
    use std::io::Write;
    match tidegate_drivers::work::launch::run() {
        Ok(never) => match never {},
        Err(error) => {
            // Standard error is the step's log; when it is gone there is nobody left to tell.
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::from(127)
        }
    }
}
