//! `cargo xtask sim`: the seeded simulation over many seeds, or one seed with its log.
//! It runs the engine's example as a process; it must never judge a run itself.

use std::process::{Command, ExitCode};

use anyhow::Context as _;

/// What to simulate.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seeds, from 0.
    #[arg(long, default_value_t = 1_000, conflicts_with = "seed")]
    seeds: u64,
    /// One seed, with its whole log.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the simulation in a release build, where a seed takes a few hundredths of a second.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (verb, number) = match args.seed {
        Some(seed) => ("seed", seed),
        None => ("seeds", args.seeds),
    };
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "tidegate-engine"])
        .args(["--features", "testkit", "--example", "sim", "--", verb, &number.to_string()])
        .status()
        .context("cargo could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
