//! `cargo xtask bench weights`: a thousand weight changes under load. Nothing may fail, nothing may
//! meet a revision that is neither in the table in force nor in the one before it, and the old
//! split may not live on. Must never change weights without load.

use std::time::Duration;

use anyhow::Context as _;

use super::Bench;
use super::hits::{self, Hit};
use super::journal::number;
use super::load::{Load, describe, sustained};
use super::machine::Machine;
use super::plane::Plane;
use super::report::{Aim, Report};
use super::running::{memory_mib, pause};
use super::sample::Sample;

/// Changes.
const CHANGES: u64 = 1_000;
/// Milliseconds between two of them.
const EVERY_MS: u64 = 30;
/// How long the load runs before the first change, to compare with, and after the last.
const STEADY: Duration = Duration::from_secs(5);
/// The decision to the last request on the old split, milliseconds.
const OLD_SPLIT_MS: f64 = 100.0;

/// Measures.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let scratch = bench.scratch()?;
    let plane = Plane::start(bench, scratch.path())?;
    plane.shift("weights", 0, EVERY_MS)?;
    let rate = sustained(bench, plane.address, scratch.path())?;
    let load = Load::start(bench, plane.address, rate, scratch.path())?;
    pause(STEADY);
    let changes = plane.shift("weights", CHANGES, EVERY_MS)?;
    pause(STEADY);
    let (memory, _) = memory_mib(plane.proxy_pid())?;
    let hits = load.finish()?;

    let mut report = Report::new("weights", "Weight changes under load", machine);
    describe(&mut report, bench, rate, &hits);
    let old = hits::old_split(&hits, &changes, |_| true);
    report.figure("weight changes", "", Aim::AtLeast(number(CHANGES)), count(&old.ack_ms));
    report.figure("failed requests", "", Aim::AtMost(0.0), number(hits::failed(&hits)));
    let strangers = number(hits::strangers(&hits, &changes));
    let what = "requests to a revision outside the current or previous table";
    report.figure(what, "", Aim::AtMost(0.0), strangers);
    let aim = Aim::AtMost(OLD_SPLIT_MS);
    let what = "acknowledgement to the last request on the old split, largest";
    report.largest(what, "ms", aim, &Sample::of(old.after_ack_ms));
    let what = "decision to the last request on the old split, largest";
    report.largest(what, "ms", aim, &Sample::of(old.after_decision_ms));
    let what = "decision to acknowledgement (the table is on disk), largest";
    report.largest(what, "ms", Aim::None, &Sample::of(old.ack_ms));
    latencies(&mut report, &hits, &changes)?;
    report.figure("proxy in memory at the end", "MiB", Aim::None, memory);
    report.note(format!(
        "Six revisions in two application processes form a ring; each table divides between two \
         neighbours (20 to 80 %) and the next moves on by one, every {EVERY_MS} ms: one revision \
         leaves, one gets another share, one comes."
    ));
    report.note(
        "A request is on the old split when it starts, by the application's clock, on the \
         revision that left. That is later than the proxy's choice, so these times are upper \
         bounds: on busy cores they hold the way to the application as well.",
    );
    Ok(report)
}

fn latencies(report: &mut Report, hits: &[Hit], changes: &[hits::Change]) -> anyhow::Result<()> {
    let first = changes.first().context("no change was made")?.decided_us;
    let last = changes.last().context("no change was made")?.acked_us;
    let steady = hits::latency_ms(hits, 0, first);
    let shifting = hits::latency_ms(hits, first, last);
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let (before, during) = (steady.quantile(share), shifting.quantile(share));
        report.figure(&format!("latency {name} before the changes"), "ms", Aim::None, before);
        report.figure(&format!("latency {name} during the changes"), "ms", Aim::None, during);
    }
    Ok(())
}

fn count(items: &[f64]) -> f64 {
    u32::try_from(items.len()).map_or(f64::INFINITY, f64::from)
}
