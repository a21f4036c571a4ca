//! The data plane as a program of its own, for the benchmarks: what `tidegate proxy run` serves
//! with, built in a minute instead of ten. Must never do more than the library does.
//!
//! `bench_proxy STATE_DIR SOCKET [WORKERS [take-over]]`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tidegate_proxy::{Config, serve};
use tokio_util::sync::CancellationToken;

/// As in the product: `docs/adr/0035-a-runtime-a-core.md` has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(state_dir), Some(socket)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(64);
    };
    let mut config = Config::new(PathBuf::from(state_dir), PathBuf::from(socket));
    if let Some(workers) = arguments.next().and_then(|workers| workers.parse().ok()) {
        config.workers = workers;
    }
    if arguments.next().as_deref() == Some("take-over") {
        config.take_over = Some(Duration::from_secs(60));
    }
    match serve(config, CancellationToken::new(), |_| {}).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Standard error is the log; without it there is nobody left to tell.
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}
