//! Sham canaries: requests of the live side, thrown into two heaps by coins. Nothing differs
//! between the heaps, so each one that is sent back was sent back for nothing. With a fault
//! grafted onto one of them, the same tells what would have been caught, and how fast.
//! Must never call a split of requests one of instances: what instances differ by is not in it.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use tidegate_core::plan::Traffic;
use tidegate_judge::histogram::Cells;
use tidegate_judge::verdict::Alarm;

use super::{Share, rebin, seat};
use crate::hearing::rules::limits_ms;
use crate::recording::{self, Counted, Entry, Recording, Side, Unreadable};

/// Failing shares and slowdowns that are grafted on.
const ERRORS: [f64; 5] = [0.002, 0.005, 0.01, 0.05, 0.5];
const SLOWER: [f64; 3] = [1.1, 1.5, 2.0];
/// Live is listened to for so long before a sham begins, in milliseconds.
const LEARNT_MS: u64 = 60_000;
/// Longest sham rollout, in ticks.
const TICKS_MAX: usize = 7_200;
/// Fewest ticks of live that make a sham worth anything.
const TICKS_MIN: usize = 60;

/// What is tried how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trials {
    /// Sham rollouts without a fault.
    pub shams: u32,
    /// Rollouts of each fault.
    pub faults: u32,
    /// Same seed, same result.
    pub seed: u64,
}

/// What shams and faults say of a policy on this service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shams {
    /// Sham rollouts that were sent back.
    pub false_rollbacks: Share,
    /// `requests` were thrown by coins, or `instances` drawn.
    pub of: String,
    /// One line a fault.
    pub detection: Vec<Detected>,
}

/// How a fault is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detected {
    /// `errors 5 %`, `latency x1.5`.
    pub fault: String,
    /// Rollouts with it that were sent back.
    pub caught: Share,
    /// Median of the seconds that took; absent when none was.
    pub median_s: Option<f64>,
    /// Median of the candidate's failed requests until then.
    pub median_failed: Option<u64>,
}

/// A fault to graft.
#[derive(Debug, Clone, Copy)]
enum Graft {
    Nothing,
    Errors(f64),
    Slower(f64),
}

/// Throws shams of every recording in turn; `None` when no recording has enough of live.
///
/// # Errors
/// [`Unreadable`] when an entry has no encoding.
pub fn shams(
    recordings: &[Recording],
    traffic: &Traffic,
    trials: Trials,
) -> Result<Option<Shams>, Unreadable> {
    let bases: Vec<(&Recording, Vec<Counted>)> = recordings
        .iter()
        .map(|recording| (recording, base(recording, traffic)))
        .filter(|(_, ticks)| ticks.len() >= TICKS_MIN)
        .collect();
    if bases.is_empty() {
        return Ok(None);
    }
    let mut rng = StdRng::seed_from_u64(trials.seed);
    let mut run = |graft: Graft, count: u32| -> Result<Vec<Option<(f64, u64)>>, Unreadable> {
        let turns = bases.iter().cycle().take(usize::try_from(count).unwrap_or(0));
        turns.map(|(recording, ticks)| one(recording, ticks, traffic, graft, &mut rng)).collect()
    };
    let shams = run(Graft::Nothing, trials.shams)?;
    let mut detection = Vec::new();
    let errors = ERRORS.map(|q| (format!("errors {} %", q * 100.0), Graft::Errors(q)));
    let slower = SLOWER.map(|by| (format!("latency x{by}"), Graft::Slower(by)));
    for (fault, graft) in errors.into_iter().chain(slower) {
        detection.push(detected(fault, &run(graft, trials.faults)?));
    }
    let false_rollbacks = share(&shams);
    Ok(Some(Shams { false_rollbacks, of: "requests".to_owned(), detection }))
}

fn share(runs: &[Option<(f64, u64)>]) -> Share {
    let count = |found: usize| u64::try_from(found).unwrap_or(u64::MAX);
    Share::new(count(runs.iter().flatten().count()), count(runs.len()))
}

fn detected(fault: String, runs: &[Option<(f64, u64)>]) -> Detected {
    let mut seconds: Vec<f64> = runs.iter().flatten().map(|(seconds, _)| *seconds).collect();
    let mut failed: Vec<u64> = runs.iter().flatten().map(|(_, failed)| *failed).collect();
    seconds.sort_by(f64::total_cmp);
    failed.sort_unstable();
    Detected {
        fault,
        caught: share(runs),
        median_s: seconds.get(seconds.len() / 2).copied(),
        median_failed: failed.get(failed.len() / 2).copied(),
    }
}

/// The live side of a recording, in the cells of the policy, as far as it had requests.
fn base(recording: &Recording, traffic: &Traffic) -> Vec<Counted> {
    let map = rebin::Map::new(&recording.header.plan.traffic, traffic);
    let ticks = recording.entries.iter().filter_map(|(entry, _)| match map.entry(entry) {
        Entry::Tick(counted) => counted.live.is_some().then_some(counted),
        Entry::Step { .. } => None,
    });
    ticks.take(TICKS_MAX).collect()
}

/// One sham rollout over the steps of the policy: seconds and failed requests until it is sent
/// back, or `None`.
fn one(
    recording: &Recording,
    ticks: &[Counted],
    traffic: &Traffic,
    graft: Graft,
    rng: &mut StdRng,
) -> Result<Option<(f64, u64)>, Unreadable> {
    let mut hearing = seat(recording, traffic)?;
    let cells = Cells::new(&limits_ms(&hearing.header().plan));
    let dwell_ms = u64::try_from(traffic.dwell.as_millis()).unwrap_or(0).max(1_000);
    let shares: Vec<u16> =
        traffic.steps.iter().map(|share| share.bp()).filter(|bp| *bp < 10_000).collect();
    // Another beginning for each sham, so that one bad minute is not in all of them alike.
    let offset = rng.random_range(0..ticks.len());
    let (mut at_ms, mut failed) = (0_u64, 0_u64);
    let mut step = None;
    for (number, tick) in ticks.iter().cycle().skip(offset).take(TICKS_MAX).enumerate() {
        at_ms += tick.length_ms.max(1);
        let since_ms = at_ms.saturating_sub(LEARNT_MS);
        let wanted = usize::try_from(since_ms / dwell_ms).unwrap_or(usize::MAX);
        let begun = since_ms > 0;
        if begun && step != Some(wanted) {
            let Some(share_bp) = shares.get(wanted) else { return Ok(None) };
            step = Some(wanted);
            let number = u32::try_from(wanted).unwrap_or(u32::MAX);
            let began_ms = at_ms - tick.length_ms.max(1);
            let entry = Entry::Step { at_ms: began_ms, step: number, share_bp: *share_bp };
            hearing.take(&entry, &recording::encode_entry(&entry)?);
        }
        let share = step.and_then(|step| shares.get(step)).map_or(0.0, |bp| f64::from(*bp) / 1e4);
        let Some(live) = &tick.live else { continue };
        let (mut candidate, rest) = thrown(live, share, rng);
        grafted(&mut candidate, graft, &cells, rng);
        failed = failed.saturating_add(candidate.failures);
        let entry = Entry::Tick(Counted {
            number: number as u64 + 1,
            at_ms,
            length_ms: tick.length_ms,
            candidate: begun.then_some(candidate),
            live: Some(rest),
        });
        hearing.take(&entry, &recording::encode_entry(&entry)?);
        if begun && hearing.alarm() == Alarm::Rollback {
            return Ok(Some((since_ms as f64 / 1_000.0, failed)));
        }
    }
    Ok(None)
}

/// Throws each request of a side onto one of two heaps.
fn thrown(side: &Side, share: f64, rng: &mut StdRng) -> (Side, Side) {
    let mut taken = |count: u64| -> u64 {
        (0..count).fold(0, |sum, _| sum + u64::from(rng.random::<f64>() < share))
    };
    let failures = taken(side.failures);
    let good = taken(side.requests.saturating_sub(side.failures));
    let mut latency = (Vec::new(), Vec::new());
    for (cell, count) in &side.latency {
        let part = u32::try_from(taken(u64::from(*count))).unwrap_or(u32::MAX);
        latency.0.push((*cell, part));
        latency.1.push((*cell, count.saturating_sub(part)));
    }
    let heap = |requests, failures, latency| Side {
        requests,
        failures,
        latency,
        streams: Vec::new(),
        ..side.clone()
    };
    (
        heap(failures + good, failures, latency.0),
        heap(
            side.requests.saturating_sub(failures + good),
            side.failures.saturating_sub(failures),
            latency.1,
        ),
    )
}

fn grafted(side: &mut Side, graft: Graft, cells: &Cells, rng: &mut StdRng) {
    match graft {
        Graft::Nothing => {}
        Graft::Errors(q) => {
            let good = side.requests.saturating_sub(side.failures);
            let flipped = (0..good).filter(|_| rng.random::<f64>() < q).count();
            side.failures = side.failures.saturating_add(u64::try_from(flipped).unwrap_or(0));
        }
        Graft::Slower(by) => {
            for (cell, _) in &mut side.latency {
                let upper_ms = cells.upper_ms(usize::from(*cell));
                // Just below the upper edge, so that a factor of one changes nothing.
                let moved = cells.index(upper_ms * 0.999 * by);
                *cell = u16::try_from(moved).unwrap_or(u16::MAX);
            }
        }
    }
}
