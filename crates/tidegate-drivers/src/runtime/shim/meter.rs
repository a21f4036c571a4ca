//! How busy the instances are: processor time and memory of their whole process trees.
//! Must never report a reading that it did not take: the first second has none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::proc::{self, Identity, Stat};

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);
/// A reading older than this is none.
const FRESH: Duration = Duration::from_secs(3);
/// Nobody asked for this long: sampling rests, so that an idle slot costs nothing.
const ASKED_WITHIN: Duration = Duration::from_secs(30);

/// One instance to look at.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Its first process.
    pub(super) leader: Identity,
    /// Its mark.
    pub(super) mark: String,
    /// Memory that reads as 100 %, bytes.
    pub(super) memory_max: Option<u64>,
}

/// A reading: the worst instance.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reading {
    /// Percent of the processors.
    pub(super) cpu_percent: Option<f64>,
    /// Percent of the memory limit.
    pub(super) memory_percent: Option<f64>,
}

/// Takes samples while somebody asks.
#[derive(Debug, Default)]
pub(super) struct Meter {
    asked_at: Option<Instant>,
    sampled_at: Option<Instant>,
    // Processor time of each process at the last sample, by instance.
    ticks: BTreeMap<Identity, BTreeMap<Identity, u64>>,
    reading: Reading,
}

impl Meter {
    /// The newest reading, and the wish for more.
    pub(super) fn ask(&mut self, now: Instant) -> Reading {
        self.asked_at = Some(now);
        let fresh = self.sampled_at.is_some_and(|at| now.duration_since(at) < FRESH);
        if fresh { self.reading } else { Reading::default() }
    }

    /// Whether a sample is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.asked_at.is_some_and(|at| now.duration_since(at) < ASKED_WITHIN)
            && self.sampled_at.is_none_or(|at| now.duration_since(at) >= INTERVAL)
    }

    /// Takes a sample of all instances.
    pub(super) fn sample(&mut self, subjects: &[Subject], now: Instant) {
        let table = proc::table();
        let shim = proc::own().map(|own| own.pid);
        let elapsed = self.sampled_at.map(|at| now.duration_since(at));
        let mut reading = Reading::default();
        let mut ticks = BTreeMap::new();
        for subject in subjects {
            let family = proc::family(&table, subject.leader, &subject.mark, shim, false);
            let used: BTreeMap<Identity, u64> =
                family.iter().map(|stat| (stat.identity, stat.ticks)).collect();
            if let (Some(before), Some(elapsed)) = (self.ticks.get(&subject.leader), elapsed) {
                worst(&mut reading.cpu_percent, cpu_percent(before, &used, elapsed));
            }
            worst(&mut reading.memory_percent, memory_percent(&family, subject.memory_max));
            ticks.insert(subject.leader, used);
        }
        // A sample after a rest spans the rest: its processor reading says nothing of now.
        if elapsed.is_none_or(|elapsed| elapsed >= FRESH) {
            reading.cpu_percent = None;
        }
        self.ticks = ticks;
        self.reading = reading;
        self.sampled_at = Some(now);
    }
}

fn worst(so_far: &mut Option<f64>, value: Option<f64>) {
    if let Some(value) = value
        && so_far.is_none_or(|worst| value > worst)
    {
        *so_far = Some(value);
    }
}

// A process that appeared since counts with all it used; one that ended is not counted, which
// understates by at most its last second.
fn cpu_percent(
    before: &BTreeMap<Identity, u64>,
    used: &BTreeMap<Identity, u64>,
    elapsed: Duration,
) -> Option<f64> {
    let ticks: u64 = used
        .iter()
        .map(|(identity, ticks)| ticks.saturating_sub(before.get(identity).copied().unwrap_or(0)))
        .sum();
    let cores = std::thread::available_parallelism().ok()?.get();
    let available = elapsed.as_secs_f64() * ticks_per_second() * as_float(cores as u64);
    (available > 0.0).then(|| (100.0 * as_float(ticks) / available).min(100.0))
}

fn memory_percent(family: &[Stat], memory_max: Option<u64>) -> Option<f64> {
    let bytes: Vec<u64> =
        family.iter().filter_map(|stat| proc::memory_bytes(stat.identity.pid)).collect();
    if bytes.is_empty() {
        return None;
    }
    let limit = memory_max.or_else(proc::machine_memory_bytes).filter(|limit| *limit > 0)?;
    Some(100.0 * as_float(bytes.iter().sum()) / as_float(limit))
}

fn ticks_per_second() -> f64 {
    as_float(rustix::param::clock_ticks_per_second())
}

// Exact up to 2^53: nothing measured here comes near.
fn as_float(value: u64) -> f64 {
    value as f64
}
