//! A shim as a program of its own, for the tests: the binary has it as a hidden verb.
//! Must never do more than the library does.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        return ExitCode::from(64);
    };
    match tidegate_drivers::runtime::shim::run(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn report(error: &dyn std::fmt::Display) {
    use std::io::Write;
    // Standard error is the shim's log; when it is gone there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{error}"));
}
