//! `cargo xtask bench idle`: memory of a server and of the proxy that it starts, with nothing to
//! do. Must never measure a process that has not settled.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::Bench;
use super::machine::Machine;
use super::report::{Aim, Report};
use super::running::{end_all, memory_mib, pause};
use super::sample::Sample;
use super::service::Server;

/// Rounds, each with processes of its own.
const ROUNDS: usize = 5;
/// How long a process rests before it is looked at.
const SETTLE: Duration = Duration::from_secs(5);
/// Looks at each, so far apart; the largest counts.
const LOOKS: usize = 5;
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Measures.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let mut seen: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let scratch = bench.scratch()?;
        let measured = round(bench, scratch.path());
        end_all(scratch.path())?;
        for (all, one) in seen.iter_mut().zip(measured?) {
            all.push(one);
        }
    }
    let mut report = Report::new("idle", "Memory at rest", machine);
    for ((name, limit), all) in [("server", 64.0), ("proxy", 32.0)].into_iter().zip(&seen) {
        let resident = Sample::of(all.iter().map(|(resident, _)| *resident));
        let anonymous = Sample::of(all.iter().map(|(_, anonymous)| *anonymous));
        let what = format!("{name}, resident");
        report.median(&what, "MiB", Aim::Below(limit), &resident);
        let what = format!("{name}, of that not backed by a file");
        report.median(&what, "MiB", Aim::None, &anonymous);
    }
    report.note(format!(
        "{ROUNDS} rounds, each with a fresh state directory. `tidegate server run` and the \
         `tidegate proxy run` that it starts, {} s after they were ready; the largest of {LOOKS} \
         looks at `VmRSS` in `/proc`. Both run the same program, so the part that a file backs is \
         in memory once.",
        SETTLE.as_secs()
    ));
    Ok(report)
}

fn round(bench: &Bench, dir: &std::path::Path) -> anyhow::Result<[(f64, f64); 2]> {
    let mut command = Command::new(bench.product.tidegate());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server::start(command, &dir.join("state"))?;
    let pids = [server.pid(), server.proxy_pid()?];
    pause(SETTLE);
    let mut largest = [(0.0_f64, 0.0_f64); 2];
    for _ in 0..LOOKS {
        for (largest, pid) in largest.iter_mut().zip(pids) {
            let (resident, anonymous) = memory_mib(pid)?;
            *largest = (largest.0.max(resident), largest.1.max(anonymous));
        }
        pause(LOOK_EVERY);
    }
    server.stop()?;
    Ok(largest)
}
