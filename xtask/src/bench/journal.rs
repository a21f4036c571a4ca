//! `cargo xtask bench journal`: how much the group commit gains over single commits, and that an
//! acknowledged event survives SIGKILL. Must never compare rates of two runs or two disks.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::Bench;
use super::machine::Machine;
use super::product::output;
use super::report::{Aim, Report};
use super::running::Running;
use super::sample::{Sample, figure};

/// Rounds of single and group commits in turns; the first warms up and is dropped.
const ROUNDS: usize = 6;
/// Seconds of each half of a round.
const SECONDS: usize = 3;
/// After so many acknowledgements the writer is killed: in its first pages, later, and after its
/// log has gone round.
const KILL_AFTER: [usize; 5] = [1, 500, 5_000, 20_000, 40_000];

/// Measures.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let mut report = Report::new("journal", "Journal: group commit and kill -9", machine);
    rates(bench, machine, &mut report)?;
    kills(bench, &mut report)?;
    Ok(report)
}

/// One round: events a second alone, events a second in a crowd, events a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Round {
    single: f64,
    group: f64,
    shared: f64,
}

fn rates(bench: &Bench, machine: &Machine, report: &mut Report) -> anyhow::Result<()> {
    let scratch = bench.scratch()?;
    let dir = scratch.path().display().to_string();
    let arguments = ["rates", &dir, &ROUNDS.to_string(), &SECONDS.to_string()].map(str::to_owned);
    let printed = output(&bench.product.example("bench_journal"), &arguments)?;
    let rounds = rounds(&printed)?;
    let kept = rounds.get(1..).unwrap_or_default();
    let column = |pick: fn(&Round) -> f64| Sample::of(kept.iter().map(pick));
    let single = column(|round| round.single);
    report.figure("fdatasync of 4 KiB, p50", "µs", Aim::None, machine.sync_us());
    report.median("events/s, 1 writer", "", Aim::None, &single);
    report.median("events/s, 64 writers on 16 streams", "", Aim::None, &column(|r| r.group));
    report.median("ratio of the two", "x", Aim::AtLeast(8.0), &column(|r| r.group / r.single));
    report.median("events a transaction, 64 writers", "", Aim::None, &column(|r| r.shared));
    report.note(format!(
        "{} rounds of {SECONDS} s alone and {SECONDS} s in the crowd in turns on one journal, \
         after one that is dropped. Closed loop: a writer appends one event, waits until it is \
         durable, appends the next. SQLite in WAL mode with `synchronous=FULL`, a Merkle leaf an \
         event in the same transaction.",
        kept.len()
    ));
    report.note(format!(
        "One event alone takes as long as {} fdatasyncs of this disk; what is above 1 is SQLite, \
         the leaf and the way there and back.",
        figure(1e6 / single.median() / machine.sync_us())
    ));
    Ok(())
}

fn rounds(printed: &str) -> anyhow::Result<Vec<Round>> {
    let mut rounds = Vec::new();
    let mut single = None;
    for line in printed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match (words.as_slice(), single.take()) {
            (["single", rate], None) => single = Some(rate.parse::<f64>()?),
            (["group", rate, transactions], Some(single)) => {
                let (group, transactions) = (rate.parse::<f64>()?, transactions.parse::<f64>()?);
                let lasted = f64::from(u32::try_from(SECONDS)?);
                rounds.push(Round { single, group, shared: group * lasted / transactions });
            }
            _ => bail!("bench_journal said: {line}"),
        }
    }
    Ok(rounds)
}

fn kills(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let scratch = bench.scratch()?;
    let program = bench.product.example("bench_journal");
    let mut acknowledged = BTreeMap::new();
    let mut lost = 0;
    let mut last = Counted::default();
    for acks in KILL_AFTER {
        fill_until(&program, scratch.path(), acks, &mut acknowledged)?;
        let dir = scratch.path().display().to_string();
        last = counted(&output(&program, &["count", &dir])?)?;
        lost += last.lacks(&acknowledged);
    }
    let total: u64 = acknowledged.values().sum();
    report.figure("acknowledged events lost by kill -9", "", Aim::AtMost(0.0), number(lost));
    report.note(format!(
        "The writer (64 tasks, 16 streams) was killed {} times and its journal opened again: \
         {total} events had been acknowledged, {} were there, and every leaf of the tree fitted. \
         An event that was written and not yet acknowledged may be there as well.",
        KILL_AFTER.len(),
        last.events
    ));
    Ok(())
}

/// A count as a figure.
pub(crate) fn number(count: u64) -> f64 {
    // Counts of a benchmark stay far below 2^32.
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Lets a writer run until so many events were acknowledged, kills it, and notes what it said
/// until its death.
fn fill_until(
    program: &Path,
    dir: &Path,
    acks: usize,
    acknowledged: &mut BTreeMap<String, u64>,
) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.arg("fill").arg(dir).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(&mut command)?;
    let output = running.child().stdout.take().context("the writer has no output")?;
    let mut running = Some(running);
    let mut seen = 0;
    let mut lines = BufReader::new(output);
    let mut line = String::new();
    // A torn last line is no acknowledgement: its writer died in it.
    while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
        let (stream, seq) = acknowledgement(line.trim_end())?;
        let known = acknowledged.entry(stream).or_default();
        *known = seq.max(*known);
        seen += 1;
        if seen == acks
            && let Some(running) = running.take()
        {
            running.kill()?;
        }
        line.clear();
    }
    if running.is_some() {
        bail!("the writer ended by itself after {seen} acknowledgements");
    }
    Ok(())
}

fn acknowledgement(line: &str) -> anyhow::Result<(String, u64)> {
    let rest = line.strip_prefix("ack ").and_then(|rest| rest.split_once(' '));
    let (stream, seq) = rest.with_context(|| format!("the writer said: {line}"))?;
    Ok((stream.to_owned(), seq.parse()?))
}

/// What a journal holds.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    ends: BTreeMap<String, u64>,
    events: u64,
}

impl Counted {
    /// Acknowledged events that are not there: sequences have no gaps, so the ends say it.
    fn lacks(&self, acknowledged: &BTreeMap<String, u64>) -> u64 {
        let lacking = acknowledged.iter().map(|(stream, seq)| {
            seq.saturating_sub(self.ends.get(stream).copied().unwrap_or_default())
        });
        lacking.sum()
    }
}

fn counted(printed: &str) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let mut is_verified = false;
    for line in printed.lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["stream", name, last] => {
                counted.ends.insert((*name).to_owned(), last.parse()?);
            }
            ["verified", events] => {
                counted.events = events.parse()?;
                is_verified = true;
            }
            _ => bail!("bench_journal said: {line}"),
        }
    }
    if !is_verified {
        bail!("the journal was not verified");
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_pairs() {
        let read = rounds("single 100.0\ngroup 900.0 27\n").unwrap();
        assert_eq!(read, [Round { single: 100.0, group: 900.0, shared: 100.0 }]);
        assert!(rounds("group 900.0 27\n").is_err());
        assert!(rounds("single 1\nsingle 2\n").is_err());
    }

    #[test]
    fn a_journal_that_ends_too_early_has_lost() {
        let journal = counted("stream s0 7\nstream s1 3\nverified 10\n").unwrap();
        let acknowledged = |ends: &[(&str, u64)]| {
            ends.iter().map(|(name, seq)| ((*name).to_owned(), *seq)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(journal.lacks(&acknowledged(&[("s0", 7), ("s1", 2)])), 0);
        assert_eq!(journal.lacks(&acknowledged(&[("s0", 9), ("s2", 4)])), 6);
        assert!(counted("stream s0 7\n").is_err(), "not verified");
    }

    #[test]
    fn only_whole_acknowledgements_count() {
        assert_eq!(acknowledgement("ack s3 12").unwrap(), ("s3".to_owned(), 12));
        assert!(acknowledgement("ack s3").is_err());
    }
}
