//! The embedded data plane as a program of its own, for the tests: the binary has it as a verb.
//! Must never do more than the library does.

use std::path::PathBuf;
use std::process::ExitCode;

use tidegate_proxy::{Config, serve};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(state_dir), Some(socket)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(64);
    };
    let mut config = Config::new(state_dir, socket);
    config.tick = std::time::Duration::from_millis(100);
    match serve(config, CancellationToken::new(), |_| {}).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Standard error is the proxy's log; without it there is nobody left to tell.
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}
