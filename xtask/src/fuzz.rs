//! `cargo xtask fuzz`: made-up input for what reads the bytes of strangers, for as long as told.
//! It runs the product's own targets as tests; it must never judge a run itself.

use std::process::{Command, ExitCode};

use anyhow::Context as _;

/// Each target, as the package and the test that holds it.
const TARGETS: [(&str, &str); 3] = [
    ("tidegate-proxy", "fuzz::request_heads"),
    ("tidegate-proxy", "fuzz::http2_frames"),
    ("tidegate-proxy", "fuzz::route_tables"),
];
/// `--quick`: seconds for each target.
const QUICK_SECONDS: u64 = 60;

/// What to fuzz.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A minute for each target.
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,
    /// Seconds for each target.
    #[arg(long, default_value_t = 3_600)]
    seconds: u64,
    /// Only targets whose name contains this.
    #[arg(long)]
    target: Option<String>,
    /// Repeat a failure by the seed that it printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the targets one after the other in a release build.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let seconds = if args.quick { QUICK_SECONDS } else { args.seconds };
    let wanted = |name: &str| args.target.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let mut failed = false;
    let mut ran = 0;
    for (package, test) in TARGETS.into_iter().filter(|(_, test)| wanted(test)) {
        #[expect(clippy::print_stdout, reason = "the chore's own words")]
        {
            println!("{test}: {seconds} s");
        }
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["test", "--quiet", "--release", "--package", package, "--lib", "--"])
            .args(["--exact", test])
            .env("BOLERO_RANDOM_TEST_TIME_MS", (seconds * 1_000).to_string());
        if let Some(seed) = args.seed {
            command.env("BOLERO_RANDOM_SEED", seed.to_string());
        }
        failed |= !command.status().context("cargo could not be started")?.success();
        ran += 1;
    }
    anyhow::ensure!(ran > 0, "no target is called so");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
