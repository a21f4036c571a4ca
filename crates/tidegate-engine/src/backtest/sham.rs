//! Sham canaries: requests of the live side in two heaps. Nothing differs between the heaps but
//! chance, so each one that is sent back was sent back for nothing. Coins throw the requests; where
//! they were recorded by instance, half of the instances also play the candidate, so that what
//! instances differ by is in the heaps. With a fault grafted onto a heap of coins, the same tells
//! what would have been caught, and how fast.
//! Must never call a split of requests one of instances: what instances differ by is not in it.

use rand::rngs::StdRng;
use rand::seq::index;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use tidegate_core::plan::Traffic;
use tidegate_judge::histogram::Cells;
use tidegate_judge::verdict::Alarm;

use super::{Share, rebin, seat_for};
use crate::hearing::rules::limits_ms;
use crate::recording::{self, Counted, Entry, Recording, Side, Stream, Unreadable};

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
    /// Sham rollouts of requests thrown by coins that were sent back.
    pub false_rollbacks: Share,
    /// The same of instances of live, half of which played the candidate; absent where requests
    /// were not recorded by instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_rollbacks_of_instances: Option<Share>,
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

/// How the live side is dealt onto the two heaps.
#[derive(Debug, Clone)]
enum Deal {
    /// Each request by a coin.
    Coins,
    /// The requests of these of so many instances are the candidate's. Coins take away from the
    /// heap that has more than its share.
    Instances(Vec<usize>, usize),
}

impl Deal {
    /// Draws half of the instances.
    fn draw(instances: usize, rng: &mut StdRng) -> Self {
        Self::Instances(index::sample(rng, instances, instances / 2).into_vec(), instances)
    }

    /// Instances of the candidate and of live.
    fn instances(&self, recording: &Recording) -> (u32, u32) {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match self {
            Self::Coins => recording.header.instances,
            Self::Instances(drawn, of) => (count(drawn.len()), count(of - drawn.len())),
        }
    }

    fn heaps(&self, side: &Side, share: f64, rng: &mut StdRng) -> (Side, Side) {
        match self {
            Self::Coins => thrown(side, share, rng),
            Self::Instances(drawn, of) => parted(side, drawn, *of, share, rng),
        }
    }
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
        let one_of = |(recording, ticks): &(&Recording, Vec<Counted>)| {
            one(recording, ticks, traffic, (graft, Deal::Coins), &mut rng)
        };
        turns.map(one_of).collect()
    };
    let shams = run(Graft::Nothing, trials.shams)?;
    let mut detection = Vec::new();
    let errors = ERRORS.map(|q| (format!("errors {} %", q * 100.0), Graft::Errors(q)));
    let slower = SLOWER.map(|by| (format!("latency x{by}"), Graft::Slower(by)));
    for (fault, graft) in errors.into_iter().chain(slower) {
        detection.push(detected(fault, &run(graft, trials.faults)?));
    }
    let false_rollbacks_of_instances = of_instances(&bases, traffic, trials)?;
    let false_rollbacks = share(&shams);
    Ok(Some(Shams { false_rollbacks, false_rollbacks_of_instances, detection }))
}

/// Shams of instances, as far as ticks tell at least two apart.
fn of_instances(
    bases: &[(&Recording, Vec<Counted>)],
    traffic: &Traffic,
    trials: Trials,
) -> Result<Option<Share>, Unreadable> {
    let told = |tick: &Counted| tick.live.as_ref().map_or(0, |live| live.streams.len());
    let split = bases.iter().filter_map(|(recording, ticks)| {
        let instances = ticks.last().map(told).filter(|instances| *instances >= 2)?;
        let same = ticks.iter().filter(|tick| told(tick) == instances);
        let same: Vec<Counted> = same.cloned().collect();
        (same.len() >= TICKS_MIN).then_some((*recording, same, instances))
    });
    let split: Vec<(&Recording, Vec<Counted>, usize)> = split.collect();
    if split.is_empty() {
        return Ok(None);
    }
    let mut rng = StdRng::seed_from_u64(trials.seed);
    let turns = split.iter().cycle().take(usize::try_from(trials.shams).unwrap_or(0));
    let runs = turns.map(|(recording, ticks, instances)| {
        let deal = Deal::draw(*instances, &mut rng);
        one(recording, ticks, traffic, (Graft::Nothing, deal), &mut rng)
    });
    Ok(Some(share(&runs.collect::<Result<Vec<_>, Unreadable>>()?)))
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
    (graft, deal): (Graft, Deal),
    rng: &mut StdRng,
) -> Result<Option<(f64, u64)>, Unreadable> {
    let mut hearing = seat_for(recording, traffic, deal.instances(recording))?;
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
        let (mut candidate, rest) = deal.heaps(live, share, rng);
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

/// Throws each request of a side onto one of two heaps; the second is still told by instance.
fn thrown(side: &Side, share: f64, rng: &mut StdRng) -> (Side, Side) {
    let (mut ours, mut theirs) = tossed(&beyond(side), share, rng);
    let mut left = Vec::with_capacity(side.streams.len());
    for stream in &side.streams {
        let (heads, tails) = tossed(stream, share, rng);
        add(&mut ours, &heads);
        add(&mut theirs, &tails);
        left.push(tails);
    }
    (heap(side, ours, Vec::new()), heap(side, theirs, left))
}

/// The requests of the drawn instances, and those of the others.
fn parted(side: &Side, drawn: &[usize], of: usize, share: f64, rng: &mut StdRng) -> (Side, Side) {
    let part = drawn.len() as f64 / of.max(1) as f64;
    // What is kept of either heap, so that the candidate's is as large as its share wants it.
    let odds = share * (1.0 - part) / (part * (1.0 - share));
    let kept = (odds.min(1.0), odds.recip().min(1.0));
    let (mut ours, mut theirs) = (Stream::default(), Stream::default());
    let mut left = Vec::with_capacity(of);
    for (at, stream) in side.streams.iter().enumerate() {
        if drawn.contains(&at) {
            add(&mut ours, &tossed(stream, kept.0, rng).0);
        } else {
            let stream = tossed(stream, kept.1, rng).0;
            add(&mut theirs, &stream);
            left.push(stream);
        }
    }
    // One instance is the whole.
    let left = if left.len() > 1 { left } else { Vec::new() };
    (heap(side, ours, Vec::new()), heap(side, theirs, left))
}

/// What a side counted and none of its instances.
fn beyond(side: &Side) -> Stream {
    let mut rest =
        Stream { requests: side.requests, failures: side.failures, latency: side.latency.clone() };
    for stream in &side.streams {
        rest.requests = rest.requests.saturating_sub(stream.requests);
        rest.failures = rest.failures.saturating_sub(stream.failures);
        for (cell, count) in &stream.latency {
            if let Some((_, left)) = rest.latency.iter_mut().find(|(known, _)| known == cell) {
                *left = left.saturating_sub(*count);
            }
        }
    }
    rest
}

fn tossed(stream: &Stream, share: f64, rng: &mut StdRng) -> (Stream, Stream) {
    let mut taken = |count: u64| -> u64 {
        if share >= 1.0 {
            return count;
        }
        (0..count).fold(0, |sum, _| sum + u64::from(rng.random::<f64>() < share))
    };
    let failures = taken(stream.failures);
    let good = taken(stream.requests.saturating_sub(stream.failures));
    let mut latency = (Vec::new(), Vec::new());
    for (cell, count) in &stream.latency {
        let part = u32::try_from(taken(u64::from(*count))).unwrap_or(u32::MAX);
        latency.0.push((*cell, part));
        latency.1.push((*cell, count.saturating_sub(part)));
    }
    let requests = failures + good;
    let rest = Stream {
        requests: stream.requests.saturating_sub(requests),
        failures: stream.failures.saturating_sub(failures),
        latency: latency.1,
    };
    (Stream { requests, failures, latency: latency.0 }, rest)
}

fn add(sum: &mut Stream, more: &Stream) {
    sum.requests = sum.requests.saturating_add(more.requests);
    sum.failures = sum.failures.saturating_add(more.failures);
    for (cell, count) in &more.latency {
        match sum.latency.iter_mut().find(|(known, _)| known == cell) {
            Some((_, known)) => *known = known.saturating_add(*count),
            None => sum.latency.push((*cell, *count)),
        }
    }
}

fn heap(side: &Side, sum: Stream, streams: Vec<Stream>) -> Side {
    let Stream { requests, failures, latency } = sum;
    Side { requests, failures, latency, streams, ..side.clone() }
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
