//! Runs the simulation over many seeds, or one seed with its log: what `cargo xtask sim` calls.
//! Must never print more than a person reads: one line a failing seed, and a sum.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::time::Duration;

use tidegate_engine::testkit::sim::{Options, Report, run};
use tidegate_engine::testkit::world::Behaviour;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let number = arguments.next().and_then(|text| text.parse::<u64>().ok());
    match (command.as_deref(), number) {
        (Some("seeds"), Some(seeds)) => many(seeds),
        (Some("seed"), Some(seed)) => one(seed),
        _ => {
            eprintln!("usage: sim seeds N | sim seed N");
            ExitCode::from(2)
        }
    }
}

fn one(seed: u64) -> ExitCode {
    let report = play(seed);
    for line in &report.log {
        println!("{line}");
    }
    println!("{:?} after {} crashes, met {:?}", report.endings, report.crashes, report.met);
    for violation in &report.violations {
        println!("VIOLATION {violation}");
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(seeds: u64) -> ExitCode {
    let mut failing = 0_u64;
    for seed in 0..seeds {
        let report = play(seed);
        if let Some(first) = report.violations.first() {
            failing += 1;
            println!("seed {seed}: {first}");
        }
    }
    println!("{seeds} seeds, {failing} failing");
    if failing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The second release of a seed is good, or bad in one of the ways there are.
fn play(seed: u64) -> Report {
    let second = match seed % 8 {
        0 | 1 => Behaviour::default(),
        2 => Behaviour { errors_per_mille: 100, ..Behaviour::default() },
        3 => Behaviour { deaf: true, ..Behaviour::default() },
        4 => Behaviour { sick: true, ..Behaviour::default() },
        5 => Behaviour { dies_after: Some(Duration::from_secs(60)), ..Behaviour::default() },
        6 => Behaviour { smoke_fails: true, ..Behaviour::default() },
        _ => Behaviour { errors_per_mille: 35, ..Behaviour::default() },
    };
    let options = Options { seed, unkind: true, crash_at: None, second };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(options)),
        Err(error) => unreachable!("a runtime without I/O: {error}"),
    }
}
