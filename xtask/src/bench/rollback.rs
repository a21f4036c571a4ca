//! `cargo xtask bench rollback`: how long the old split lives on after the decision to go back, a
//! hundred times at the proxy's own socket and a hundred times through the engine.
//! Must never count a rollback that no request could have met.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use super::Bench;
use super::hits::{self, Change, Hit, OldSplit};
use super::journal::number;
use super::load::{Load, describe, sustained};
use super::machine::Machine;
use super::plane::Plane;
use super::report::{Aim, Report};
use super::running::{end_all, pause};
use super::sample::Sample;
use super::service::{Happened, Service};

/// Rollbacks of each kind.
const ROLLBACKS: u64 = 100;
/// Milliseconds from a table to its rollback, and from there to the next table.
const EVERY_MS: u64 = 200;
/// How long the load runs before the first and after the last.
const STEADY: Duration = Duration::from_secs(2);
/// How long a split rests before it is rolled back, so that requests meet it.
const REST: Duration = Duration::from_millis(300);
/// From the decision to the last new request on the old split, milliseconds.
const OLD_SPLIT_MS: f64 = 100.0;

/// Measures.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let mut report = Report::new("rollback", "Rollbacks under load", machine);
    at_the_proxy(bench, &mut report)?;
    let scratch = bench.scratch()?;
    let measured = through_the_engine(bench, scratch.path(), &mut report);
    end_all(scratch.path())?;
    unseal(scratch.path())?;
    measured?;
    report.note(
        "The last request on the old split is the last that starts on the candidate, by the \
         application's clock. That is later than the proxy's choice, so these times are upper \
         bounds.",
    );
    Ok(report)
}

fn at_the_proxy(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let scratch = bench.scratch()?;
    let plane = Plane::start(bench, scratch.path())?;
    plane.shift("weights", 0, EVERY_MS)?;
    let rate = sustained(bench, plane.address, scratch.path())?;
    let load = Load::start(bench, plane.address, rate, scratch.path())?;
    pause(STEADY);
    let changes = plane.shift("rollbacks", ROLLBACKS, EVERY_MS)?;
    pause(STEADY);
    let hits = load.finish()?;
    describe(report, bench, rate, &hits);
    rows(report, "at the proxy", &hits, &changes);
    report.note(format!(
        "At the proxy: a table with half and half, {EVERY_MS} ms later `POST /v1/rollback` on the \
         proxy's socket (what `tidegate rollback --emergency` sends), {EVERY_MS} ms later the next \
         table. No server runs."
    ));
    Ok(())
}

fn rows(report: &mut Report, place: &str, hits: &[Hit], changes: &[Change]) {
    let OldSplit { after_decision_ms, after_ack_ms, ack_ms } =
        hits::old_split(hits, changes, |change| change.is_rollback);
    let made = f64::from(u32::try_from(ack_ms.len()).unwrap_or(u32::MAX));
    report.figure(&format!("rollbacks {place}"), "", Aim::AtLeast(number(ROLLBACKS)), made);
    let what = format!("{place}: failed requests");
    report.figure(&what, "", Aim::AtMost(0.0), number(hits::failed(hits)));
    let what = format!("{place}: decision to the last request on the old split, largest");
    let after_decision = Sample::of(after_decision_ms);
    report.largest(&what, "ms", Aim::AtMost(OLD_SPLIT_MS), &after_decision);
    let what = format!("{place}: confirmation to the last request on the old split, largest");
    report.largest(&what, "ms", Aim::None, &Sample::of(after_ack_ms));
    let what = format!("{place}: decision to confirmation, largest");
    report.largest(&what, "ms", Aim::None, &Sample::of(ack_ms));
}

fn through_the_engine(
    bench: &Bench,
    dir: &std::path::Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let service = Service::start(bench, dir)?;
    let first = service.deploy("v1")?;
    service.wait_for(&first, "deployment_ended")?;
    let rate = sustained(bench, service.address, dir)?;
    let load = Load::start(bench, service.address, rate, dir)?;
    let mut changes = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..ROLLBACKS {
        let id = service.deploy("v2")?;
        service.wait_for(&id, "step_converged")?;
        pause(REST);
        asked.push(now_us());
        service.roll_back()?;
        let events = service.wait_for(&id, "deployment_ended")?;
        changes.extend(changes_of(&events)?);
    }
    pause(STEADY);
    let hits = load.finish()?;
    service.server.stop()?;
    rows(report, "through the engine", &hits, &changes);
    from_the_command(report, &hits, &changes, &asked);
    report.note(format!(
        "Through the engine: {ROLLBACKS} deployments to 50 % of the users of a running service, \
         each taken back by `tidegate rollback`; {rate} requests/s, {} in all. The decision is the \
         time of the event `rollback_began` in the journal, the confirmation that of the next \
         `split_confirmed`: the split was read back from the proxy.",
        hits.len()
    ));
    Ok(())
}

/// The same from the moment at which the command was started.
fn from_the_command(report: &mut Report, hits: &[Hit], changes: &[Change], asked: &[u64]) {
    let mut asked = asked.iter();
    let mut moved = changes.to_vec();
    for change in moved.iter_mut().filter(|change| change.is_rollback) {
        if let Some(asked_us) = asked.next() {
            change.decided_us = *asked_us;
        }
    }
    let old = hits::old_split(hits, &moved, |change| change.is_rollback);
    let what = "through the engine: command started to the last request on the old split, largest";
    report.largest(what, "ms", Aim::None, &Sample::of(old.after_decision_ms));
}

/// The two changes of a deployment that reached its first step and went back.
fn changes_of(events: &[Happened]) -> anyhow::Result<[Change; 2]> {
    let back = events.iter().position(|one| one.kind == "rollback_began");
    let (forth, back) = events.split_at(back.context("a deployment without a rollback")?);
    let first = |of: &[Happened], kind: &str| {
        let at = of.iter().find(|one| one.kind == kind).map(|one| one.at_us);
        at.with_context(|| format!("a deployment without {kind}"))
    };
    let change = |decided_us, acked_us, named: &[&str], is_rollback| Change {
        decided_us,
        acked_us,
        revisions: named.iter().map(|name| (*name).to_owned()).collect(),
        is_rollback,
    };
    Ok([
        change(
            first(forth, "split_wanted")?,
            first(forth, "split_confirmed")?,
            &["v1", "v2"],
            false,
        ),
        change(first(back, "rollback_began")?, first(back, "split_confirmed")?, &["v1"], true),
    ])
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Artifacts are sealed against writing; a directory that goes is opened first.
pub(crate) fn unseal(directory: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Of the entry itself: a link to a directory is not followed.
        if entry.file_type()?.is_dir() {
            unseal(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_is_read_from_its_events() {
        let kinds = [
            "deployment_started",
            "split_wanted",
            "split_confirmed",
            "rollback_began",
            "split_wanted",
            "split_confirmed",
            "deployment_ended",
        ];
        let events = (1..).zip(kinds).map(|(at_us, kind)| {
            let kind = kind.to_owned();
            Happened { kind, at_us }
        });
        let events: Vec<Happened> = events.collect();
        let [forth, back] = changes_of(&events).unwrap();
        assert_eq!((forth.decided_us, forth.acked_us, forth.is_rollback), (2, 3, false));
        assert_eq!((back.decided_us, back.acked_us, back.is_rollback), (4, 6, true));
        assert!(changes_of(&events[..3]).is_err());
    }
}
