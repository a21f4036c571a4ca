//! `cargo xtask bench start`: how long a server with ten thousand past deployments takes from its
//! start to its first answer. Must never measure an empty journal.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::Bench;
use super::machine::Machine;
use super::product::output;
use super::report::{Aim, Report};
use super::running::{end_all, free_addresses, memory_mib, pause};
use super::sample::Sample;
use super::service::Server;

/// Past deployments.
const DEPLOYMENTS: u32 = 10_000;
/// Services that they belong to.
const SERVICES: u32 = 40;
/// Starts; the first is dropped.
const STARTS: usize = 6;
/// From the start of the process to its first answer, milliseconds.
const READY_MS: f64 = 2_000.0;
/// The same after snapshots were thrown away, as by a release that cannot read them: two million
/// events a minute, for the half million of this history.
const FOLDED_MS: f64 = 15_000.0;
/// How long a server works before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let mut report = Report::new("start", "Start with 10,000 past deployments", machine);
    let scratch = bench.scratch()?;
    report.note(history(bench, scratch.path())?);
    for (kept, words, limit_ms) in [
        ("snapshots", "with the snapshots of its server", READY_MS),
        ("bare", "every event folded anew", FOLDED_MS),
    ] {
        let measured = starts(bench, &scratch.path().join(kept));
        end_all(scratch.path())?;
        let (ready_ms, memory) = measured?;
        let what = format!("start to first answer, {words}");
        report.median(&what, "ms", Aim::Below(limit_ms), &ready_ms);
        let what = format!("server in memory, {words}");
        report.median(&what, "MiB", Aim::None, &memory);
    }
    report.note(format!(
        "{} starts of `tidegate server run` after one that is dropped, each on a fresh copy of the \
         journal that the page cache still has. Ready is the first `200` of `GET /v1/server` on its socket, which opens after \
         every stream was folded.",
        STARTS - 1
    ));
    report.note(
        "Proxy, shims and applications of the services are not there, so each started server \
         starts the first two beside the figure.",
    );
    Ok(report)
}

/// Writes the journals, and says what they hold.
///
/// # Errors
/// When the program fails.
pub(super) fn history(bench: &Bench, dir: &Path) -> anyhow::Result<String> {
    let listen = free_addresses(1)?.first().context("no free address")?.to_string();
    let arguments =
        [dir.display().to_string(), DEPLOYMENTS.to_string(), SERVICES.to_string(), listen];
    describe(output(&bench.product.example("bench_history"), &arguments)?.trim())
}

/// Times to the first answer, and memory. Each start has a copy of the journal: a server that runs
/// keeps snapshots, and the next start would be another one.
fn starts(bench: &Bench, history: &Path) -> anyhow::Result<(Sample, Sample)> {
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    for round in 0..STARTS {
        let state = history.with_extension(round.to_string());
        copy(history, &state).context("the journal cannot be copied")?;
        let (ready_ms, memory_mib) = start(bench, &state)?;
        end_all(&state)?;
        std::fs::remove_dir_all(&state)?;
        ready.push(ready_ms);
        memory.push(memory_mib);
    }
    let warm = |all: Vec<f64>| Sample::of(all.into_iter().skip(1));
    Ok((warm(ready), warm(memory)))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn start(bench: &Bench, state: &Path) -> anyhow::Result<(f64, f64)> {
    let mut command = Command::new(bench.product.tidegate());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let server = Server::start(command, state)?;
    let ready_ms = began.elapsed().as_secs_f64() * 1e3;
    let shown = server.get("/v1/server")?;
    if shown["services"].as_u64() != Some(u64::from(SERVICES)) {
        bail!("the server knows {} services, not {SERVICES}", shown["services"]);
    }
    pause(SETTLE);
    let (memory, _) = memory_mib(server.pid())?;
    server.stop()?;
    Ok((ready_ms, memory))
}

fn describe(printed: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = printed.split(' ').collect();
    let ["history", deployments, services, events] = words.as_slice() else {
        bail!("bench_history said: {printed}");
    };
    Ok(format!(
        "{deployments} deployments of {services} services, {events} events: the events of the real \
         engine in the testkit's world, one release in ten rolled back."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_says_what_it_holds() {
        let words = describe("history 10000 20 640000").unwrap();
        assert!(words.starts_with("10000 deployments of 20 services, 640000 events"), "{words}");
        assert!(describe("history 10000").is_err());
    }
}
