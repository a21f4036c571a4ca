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
const SERVICES: u32 = 20;
/// Starts; the first is dropped.
const STARTS: usize = 6;
/// From the start of the process to its first answer, milliseconds.
const READY_MS: f64 = 2_000.0;
/// How long a server works before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let mut report = Report::new("start", "Start with 10,000 past deployments", machine);
    for (kept, words) in
        [("snapshots", "with the snapshots of its server"), ("bare", "every event folded anew")]
    {
        let scratch = bench.scratch()?;
        let measured = starts(bench, scratch.path(), kept);
        end_all(scratch.path())?;
        let (ready_ms, memory, history) = measured?;
        let what = format!("start to first answer, {words}");
        report.median(&what, "ms", Aim::Below(READY_MS), &ready_ms);
        let what = format!("server in memory, {words}");
        report.median(&what, "MiB", Aim::None, &memory);
        if kept == "bare" {
            report.note(history);
        }
    }
    report.note(format!(
        "{} starts of `tidegate server run` after one that is dropped; the journal was in the \
         page cache. Ready is the first `200` of `GET /v1/server` on its socket, which opens after \
         every stream was folded.",
        STARTS - 1
    ));
    report.note(
        "The services' applications do not exist on this machine, so each started server also \
         tries to start them; that goes on beside the figure.",
    );
    Ok(report)
}

/// Times to the first answer, memory, and what the journal holds.
fn starts(bench: &Bench, dir: &Path, kept: &str) -> anyhow::Result<(Sample, Sample, String)> {
    let state = dir.join("state");
    let listen = free_addresses(1)?.first().context("no free address")?.to_string();
    let printed = output(
        &bench.product.example("bench_history"),
        &[
            state.display().to_string(),
            DEPLOYMENTS.to_string(),
            SERVICES.to_string(),
            listen,
            kept.to_owned(),
        ],
    )?;
    let history = describe(printed.trim())?;
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut command = Command::new(bench.product.tidegate());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let server = Server::start(command, &state)?;
        ready.push(began.elapsed().as_secs_f64() * 1e3);
        let services = server.get("/v1/server")?;
        if services["services"].as_u64() != Some(u64::from(SERVICES)) {
            bail!("the server knows {} services, not {SERVICES}", services["services"]);
        }
        pause(SETTLE);
        memory.push(memory_mib(server.pid())?.0);
        server.stop()?;
        // Without it the next start meets a proxy, and shims, of this one.
        end_all(dir)?;
    }
    let warm = |all: Vec<f64>| Sample::of(all.into_iter().skip(1));
    Ok((warm(ready), warm(memory), history))
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
