//! Tidegate, the one binary: reads the command line, runs one verb, leaves with its exit code.
//! It must never exit from within, and never print an error without a code.

use std::process::ExitCode;

use exit::Exit;
use failure::Failure;

mod api;
mod backup;
mod cli;
mod client;
mod codes;
mod conditions;
mod durable;
mod exit;
mod failure;
mod ical;
mod leaves;
mod people;
mod problem;
mod redact;
#[cfg(test)]
mod reference;
mod report;
mod server;
mod state_dir;
mod terminal;
mod text;
mod ui;
mod view;
mod wire;
mod words;

/// What a request allocates is freed on the same core: docs/adr/0035-a-runtime-a-core.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let terminal = match cli.terminal() {
        Ok(terminal) => terminal,
        Err(failure) => {
            terminal::Terminal::plain().fail(&failure);
            return failure.exit.into();
        }
    };
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            terminal.fail(&failure);
            failure.exit.into()
        }
    }
}

/// Helpers must not share a process with an async runtime; everything else has one.
fn run(cli: cli::Cli) -> Result<Exit, Failure> {
    if let Some(ended) = cli.run_helper() {
        return ended;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::local)?;
    let ended = runtime.block_on(cli.run());
    // A thread that still waits for a key must not keep the process.
    runtime.shutdown_background();
    ended
}

/// Help and version are what was asked for; everything else is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told that the terminal is gone.
    let _gone = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}
