//! `cargo xtask fuzz`: made-up input for what reads the bytes of strangers and the files of users,
//! for as long as told.
//! It runs the product's own targets as tests; it must never judge a run itself.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::bench::running::pause;

/// Where a target is built: a package, which of its programs, and the profile.
type Place = (&'static str, &'static [&'static str]);

const PROXY: Place = ("tidegate-proxy", &["--release", "--lib"]);
const SPEC: Place = ("tidegate-spec", &["--release", "--test", "it"]);
const EVIDENCE: Place = ("tidegate-evidence", &["--release", "--test", "it"]);
/// As tests build it: a release of the whole product takes ten minutes.
const PRODUCT: Place = ("tidegate", &["--bin", "tidegate"]);

/// Each target, as its place and the name of its test.
const TARGETS: [(Place, &str); 35] = [
    (PROXY, "fuzz::request_heads"),
    (PROXY, "fuzz::http2_frames"),
    (PROXY, "fuzz::route_tables"),
    (SPEC, "fuzz::file"),
    (SPEC, "fuzz::organisation_policy"),
    (SPEC, "fuzz::runbook_importer"),
    (SPEC, "fuzz::mermaid_importer"),
    (SPEC, "fuzz::argo_rollout_importer"),
    (SPEC, "fuzz::flagger_importer"),
    (SPEC, "fuzz::kamal_importer"),
    (SPEC, "fuzz::alerts_importer"),
    (SPEC, "fuzz::openslo_importer"),
    (SPEC, "fuzz::github_workflow_importer"),
    (EVIDENCE, "fuzz::axe"),
    (EVIDENCE, "fuzz::cargo_audit"),
    (EVIDENCE, "fuzz::cobertura"),
    (EVIDENCE, "fuzz::cyclonedx"),
    (EVIDENCE, "fuzz::jacoco"),
    (EVIDENCE, "fuzz::jest"),
    (EVIDENCE, "fuzz::jmeter"),
    (EVIDENCE, "fuzz::junit"),
    (EVIDENCE, "fuzz::k6"),
    (EVIDENCE, "fuzz::lcov"),
    (EVIDENCE, "fuzz::mocha"),
    (EVIDENCE, "fuzz::npm_audit"),
    (EVIDENCE, "fuzz::pa11y"),
    (EVIDENCE, "fuzz::pytest"),
    (EVIDENCE, "fuzz::sarif"),
    (EVIDENCE, "fuzz::spdx"),
    (EVIDENCE, "fuzz::tap"),
    (EVIDENCE, "fuzz::terraform"),
    (EVIDENCE, "fuzz::trivy"),
    (EVIDENCE, "fuzz::changelog"),
    (EVIDENCE, "fuzz::lockfiles"),
    (PRODUCT, "cli::expr::fuzz::conditions"),
];
/// `--quick`: seconds for each target.
const QUICK_SECONDS: u64 = 60;

/// How much longer than told a target may take: the last input, on a busy machine.
const HANGS_AFTER: Duration = Duration::from_secs(120);
/// How often it is looked whether a target has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
    for ((package, program), test) in TARGETS.into_iter().filter(|(_, test)| wanted(test)) {
        #[expect(clippy::print_stdout, reason = "the chore's own words")]
        {
            println!("{test}: {seconds} s");
        }
        let cargo = |last: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            command.args(["test", "--quiet", "--package", package]).args(program).args(last);
            command
        };
        // Built before the time is taken.
        let built = cargo(&["--no-run"]).status().context("cargo could not be started")?;
        anyhow::ensure!(built.success(), "{test} cannot be built");
        let mut command = cargo(&["--", "--exact", test]);
        command.env("BOLERO_RANDOM_TEST_TIME_MS", (seconds * 1_000).to_string());
        // Without a number of inputs the time alone decides.
        command.env_remove("BOLERO_RANDOM_ITERATIONS");
        if let Some(seed) = args.seed {
            command.env("BOLERO_RANDOM_SEED", seed.to_string());
        }
        failed |= !ends_well(command, test, Duration::from_secs(seconds) + HANGS_AFTER)?;
        ran += 1;
    }
    anyhow::ensure!(ran > 0, "no target is called so");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs a target to its end; one that does not come to it hangs, and has failed.
fn ends_well(mut command: Command, test: &str, within: Duration) -> anyhow::Result<bool> {
    // A group of its own: what cargo started ends with it.
    let mut child = command.process_group(0).spawn().context("cargo could not be started")?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if begun.elapsed() > within {
            #[expect(clippy::print_stdout, reason = "the chore's own words")]
            {
                println!("{test}: no end within {} s: one input hangs", within.as_secs());
            }
            let group = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
            child.wait()?;
            return Ok(false);
        }
        pause(LOOK_EVERY);
    }
}
