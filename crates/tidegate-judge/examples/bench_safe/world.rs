//! The traffic of one rollout, second by second: counts as the data plane would report them.
//! Must never look at a judge.
//!
//! Requests of a second are Poisson. Each takes one draw of 64 bits: 12 choose its latency among
//! 4,096 equally likely ones, 8 its instance, 24 whether it fails, 20 its release. Latencies are
//! lognormal with median 60 ms and sigma 0.5 (heavy: a Pareto law with minimum 40 ms and exponent
//! 1.8), kept in sixteenths of a logarithmic cell, so that "x1.5" is a shift.

use std::sync::LazyLock;

use tidegate_judge::{Arm, Cells, Histogram, Stratum, Stream, Tick};

use crate::draw::Draw;
use crate::family::{Family, Fault, Noise};

/// Seconds of a rollout.
pub(crate) const SECONDS: u64 = 3_600;

/// Seconds of live that are heard before it.
pub(crate) const BEFORE: u64 = 300;

/// Seconds of each step of the ladder, and its shares of the traffic.
pub(crate) const STEP: u64 = 900;
pub(crate) const LADDER: [f64; 4] = [0.05, 0.25, 0.5, 0.95];

/// Sub-streams of live where it has fewer than three instances.
const COHORTS: u32 = 8;

/// Milliseconds of limits in the policy, which the cells must have as edges.
pub(crate) const LIMITS_MS: [f64; 2] = [200.0, 500.0];

const FINE: f64 = 16.0;
const POSITIONS: usize = 134 * 16;

/// The share of the traffic at a second of the rollout.
pub(crate) fn share(second: u64) -> f64 {
    let step = usize::try_from(second / STEP).unwrap_or(usize::MAX);
    LADDER[step.min(LADDER.len() - 1)]
}

fn fine(ms: f64) -> f64 {
    (ms / 5.0).ln() / 1.06_f64.ln() * FINE
}

fn quantiles(of: impl Fn(f64) -> f64) -> Vec<i32> {
    (0..4_096).map(|k| fine(of((f64::from(k) + 0.5) / 4_096.0)) as i32).collect()
}

/// The quantile of the normal law by bisection of its integral; the table is built once.
fn normal_quantile(p: f64) -> f64 {
    let tail = |x: f64| {
        // Abramowitz and Stegun 26.2.17, good to 7.5e-8.
        let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
        let poly = t
            * (0.319_381_530
                + t * (-0.356_563_782
                    + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
        let upper = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * poly;
        if x >= 0.0 { 1.0 - upper } else { upper }
    };
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if tail(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

static USUAL: LazyLock<Vec<i32>> =
    LazyLock::new(|| quantiles(|p| 60.0 * (0.5 * normal_quantile(p)).exp()));
static SLOW_ROUTE: LazyLock<Vec<i32>> =
    LazyLock::new(|| quantiles(|p| 120.0 * (0.5 * normal_quantile(p)).exp()));
static HEAVY: LazyLock<Vec<i32>> =
    LazyLock::new(|| quantiles(|p| 40.0 * (1.0 - p).powf(-1.0 / 1.8)));

/// The cells of every histogram, and the cell of each fine position.
pub(crate) static CELLS: LazyLock<Cells> = LazyLock::new(|| Cells::new(&LIMITS_MS));
static CELL_OF: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let middle = |k: usize| 5.0 * (((k as f64 - FINE + 0.5) / FINE) * 1.06_f64.ln()).exp();
    (0..POSITIONS).map(|k| CELLS.index(middle(k)) as u16).collect()
});

fn cell(position: i32) -> usize {
    let at = (position + FINE as i32).clamp(0, POSITIONS as i32 - 1);
    usize::from(CELL_OF[at as usize])
}

/// A factor, given by its logarithm, as a shift.
fn shift(ln: f64) -> i32 {
    (ln * (FINE / 1.06_f64.ln())).round() as i32
}

/// One instance of a release.
#[derive(Clone, Copy, Debug, Default)]
struct Instance {
    /// Fixed and wandering offsets, in natural logarithms.
    offset: f64,
    wander: f64,
    wander_errors: f64,
    pause_at: u64,
    memory: f64,
}

/// An unlucky user.
#[derive(Clone, Copy, Debug)]
struct User {
    release: usize,
    until: u64,
    has_failed: bool,
}

/// The world of one rollout. Pairs are the candidate and live.
#[derive(Debug)]
pub(crate) struct World {
    family: Family,
    base_errors: f64,
    rps: f64,
    draw: Draw,
    instances: [Vec<Instance>; 2],
    /// For each instance: its error rate in parts of 2^24, and its shift.
    chances: [Vec<(u64, i32)>; 2],
    counters: [Vec<Counter>; 2],
    routes: [Vec<Counter>; 2],
    users: Vec<User>,
    tick: Tick,
}

/// What is true of one release in one second.
#[derive(Clone, Copy, Debug)]
struct Moment {
    errors: f64,
    pace: f64,
    tail: f64,
    tail_by: f64,
}

impl World {
    pub(crate) fn new(family: &Family, rps: f64, replica: u64) -> World {
        let mut draw = Draw::new(1_000_000 * family.number + replica);
        let spread = match family.noise {
            Noise::Spread(spread) => spread,
            _ => 0.0,
        };
        let mut instance = || Instance {
            offset: spread * draw.normal(),
            pause_at: draw.bits() % 60,
            memory: 50.0 + draw.normal(),
            ..Instance::default()
        };
        let mut release = || (0..family.instances).map(|_| instance()).collect();
        let instances = [release(), release()];
        let parts = if family.instances < 3 { COHORTS } else { family.instances };
        let counters = |parts: u32| vec![Counter::new(); parts as usize];
        let routes = if family.noise == Noise::Routes { 2 } else { 0 };
        World {
            family: *family,
            base_errors: family.base_errors(),
            rps,
            draw,
            instances,
            chances: [Vec::new(), Vec::new()],
            counters: [counters(parts), counters(parts)],
            routes: [counters(routes), counters(routes)],
            users: Vec::new(),
            tick: Tick { length_ms: 1_000, ..Tick::default() },
        }
    }

    /// Sets the error rate of live to another than its family's.
    pub(crate) fn set_base_errors(&mut self, rate: f64) {
        self.base_errors = rate;
    }

    fn moment(&self, second: u64, is_candidate: bool, common: f64) -> Moment {
        let (t, family) = (second as f64, &self.family);
        let mut moment = Moment { errors: self.base_errors, pace: common, tail: 0.0, tail_by: 0.0 };
        match family.noise {
            Noise::Diurnal => {
                let wave = (t / 3_600.0 * std::f64::consts::TAU).sin();
                moment.errors *= 1.0 + 0.5 * wave;
                moment.pace += (1.0 + 0.2 * wave).ln();
            }
            Noise::Incident if (600.0..1_200.0).contains(&t) => {
                moment.errors *= 40.0;
                moment.pace += 1.8_f64.ln();
            }
            Noise::ColdStart if is_candidate && t < 60.0 => {
                moment.pace += (1.0 + 2.0 * (1.0 - t / 60.0)).ln();
            }
            _ => {}
        }
        if is_candidate {
            self.spoil(t, &mut moment);
        }
        moment
    }

    fn spoil(&self, t: f64, moment: &mut Moment) {
        match self.family.fault {
            Fault::Errors { rate, from } if t >= from => moment.errors = rate,
            Fault::ErrorRamp { rate, over } => {
                moment.errors += (rate - moment.errors) * (t / over).min(1.0);
            }
            Fault::Flapping { rate, on, off } if t % (on + off) < on => moment.errors = rate,
            Fault::Slower { factor, from } if t >= from => moment.pace += factor.ln(),
            Fault::Tail { share, factor } => {
                moment.tail = share;
                moment.tail_by = factor.ln();
            }
            Fault::SlowRamp { factor, over } => {
                moment.pace += (1.0 + (factor - 1.0) * (t / over).min(1.0)).ln();
            }
            Fault::Crash { from } if t >= from => moment.errors = 1.0,
            Fault::ReturnsEarly => {
                moment.errors = 0.0;
                moment.pace += 0.3_f64.ln();
            }
            _ => {}
        }
    }

    fn wander(&mut self, second: u64) {
        if self.family.noise == Noise::Wander {
            let keep = (-1.0_f64 / 30.0).exp();
            let fresh = (1.0 - keep * keep).sqrt();
            for instance in self.instances.iter_mut().flatten() {
                instance.wander = keep * instance.wander + fresh * 0.05 * self.draw.normal();
                instance.wander_errors =
                    keep * instance.wander_errors + fresh * 0.3 * self.draw.normal();
            }
        }
        if second.is_multiple_of(10) {
            for instance in self.instances.iter_mut().flatten() {
                instance.memory += 0.02 * self.draw.normal();
            }
        }
    }

    /// The counts of one second; before the rollout (`share` 0) only live is heard of.
    pub(crate) fn second(&mut self, second: u64, share: f64, at_ms: u64) -> &Tick {
        self.wander(second);
        self.clear();
        let (mut load, mut common) = (self.rps, 0.0);
        match self.family.noise {
            Noise::Diurnal => {
                load *= 1.0 + 0.5 * (second as f64 / 3_600.0 * std::f64::consts::TAU).sin();
            }
            Noise::Ticks => {
                load *= (0.1 * self.draw.normal()).exp();
                common = 0.1 * self.draw.normal();
            }
            _ => {}
        }
        let moments = [self.moment(second, true, common), self.moment(second, false, common)];
        for (release, moment) in moments.iter().enumerate() {
            self.chances[release] = self.instances[release]
                .iter()
                .map(|instance| {
                    let errors = match self.family.noise {
                        Noise::Bursts => moment.errors / 5.0,
                        Noise::Wander => moment.errors * instance.wander_errors.exp(),
                        Noise::Sessions => 0.0,
                        _ => moment.errors,
                    };
                    let shift = shift(moment.pace + instance.offset + instance.wander);
                    ((errors * f64::from(1_u32 << 24)) as u64, shift)
                })
                .collect();
        }
        let special = moments[0].tail > 0.0
            || matches!(self.family.noise, Noise::Bursts | Noise::Routes | Noise::Pauses);
        let requests = self.draw.poisson(load);
        let candidates = (share * f64::from(1_u32 << 20)) as u64;
        if special {
            for _ in 0..requests {
                self.special(second, candidates, &moments);
            }
        } else {
            self.plain(requests, candidates);
        }
        self.tick(share, second, at_ms)
    }

    /// The requests of a second in which nothing differs from one to the next.
    fn plain(&mut self, requests: u64, candidates: u64) {
        let base: &[i32] = if self.family.heavy { &HEAVY } else { &USUAL };
        let instances = u64::from(self.family.instances);
        let cohorts = self.family.instances < 3;
        for _ in 0..requests {
            let bits = self.draw.bits();
            let release = usize::from(bits >> 44 >= candidates);
            let at = ((bits >> 12 & 0xFF) * instances) >> 8;
            let (errors, shift) = self.chances[release][at as usize];
            let cell = cell(base[bits as usize & 0xFFF] + shift);
            let failed = bits >> 20 & 0xFF_FFFF < errors;
            let part = if cohorts { (bits >> 12 & 7) as usize } else { at as usize };
            self.counters[release][part].count(cell, failed);
        }
    }

    /// One request where a burst, a route, a pause or a slow tail may strike.
    fn special(&mut self, second: u64, candidates: u64, moments: &[Moment; 2]) {
        let bits = self.draw.bits();
        let release = usize::from(bits >> 44 >= candidates);
        let at = ((bits >> 12 & 0xFF) * u64::from(self.family.instances)) >> 8;
        let (mut errors, mut shift_by) = self.chances[release][at as usize];
        let mut base = USUAL[bits as usize & 0xFFF];
        let mut route = 0;
        let moment = &moments[release];
        if moment.tail > 0.0 && self.draw.unit() < moment.tail {
            shift_by += shift(moment.tail_by);
        }
        if self.family.noise == Noise::Routes {
            let slow = if release == 0 { 0.5 } else { 0.3 };
            if self.draw.unit() < slow {
                route = 1;
                base = SLOW_ROUTE[bits as usize & 0xFFF];
                errors *= 5;
            }
        }
        let mut position = base + shift_by;
        let instance = &self.instances[release][at as usize];
        if self.family.noise == Noise::Pauses && second % 60 == instance.pause_at {
            let ms = 5.0 * (f64::from(position) / FINE * 1.06_f64.ln()).exp();
            position = fine(ms + 1_000.0 * self.draw.unit()) as i32;
        }
        let failed = bits >> 20 & 0xFF_FFFF < errors;
        let copies = match self.family.noise {
            Noise::Bursts if failed => self.draw.geometric(5.0),
            _ => 1,
        };
        let cell = cell(position);
        for _ in 0..copies {
            self.counters[release][at as usize].count(cell, failed);
            if self.family.noise == Noise::Routes {
                self.routes[release][route].count(cell, failed);
            }
        }
    }

    /// What was counted, as the data plane would report it.
    fn tick(&mut self, share: f64, second: u64, at_ms: u64) -> &Tick {
        let users = if self.family.noise == Noise::Sessions {
            self.unlucky(at_ms / 1_000, share)
        } else {
            [None, None]
        };
        let lost = matches!(self.family.fault, Fault::Silence { from } if second as f64 >= from);
        let mut candidate = (share > 0.0 && !lost).then(|| self.arm(0, users[0], false));
        let mut live = self.arm(1, users[1], true);
        let grown = match self.family.fault {
            Fault::Leak { percent } => percent * second as f64 / 60.0,
            _ => 0.0,
        };
        if let Some(candidate) = &mut candidate {
            gauges(candidate, &self.instances[0], grown);
        }
        gauges(&mut live, &self.instances[1], 0.0);
        self.tick.at_ms = at_ms;
        self.tick.candidate = candidate;
        self.tick.live = Some(live);
        &self.tick
    }

    fn arm(&self, release: usize, failed_users: Option<u64>, is_split: bool) -> Arm {
        let counters = &self.counters[release];
        let mut whole = vec![0_u32; CELLS.len()];
        for (sum, count) in counters.iter().flat_map(counted) {
            whole[sum] += count;
        }
        let histogram = |counter: &Counter| match counter.requests {
            0 => Histogram::new(&CELLS),
            _ => Histogram::from_counts(counter.cells.clone()),
        };
        let stream = |counter: &Counter| Stream {
            requests: counter.requests,
            failures: counter.failures,
            latency: if is_split { histogram(counter) } else { Histogram::default() },
            ..Stream::default()
        };
        let stratum = |counter: &Counter| Stratum {
            requests: counter.requests,
            failures: counter.failures,
            latency: histogram(counter),
        };
        // Of the candidate only gauges are told apart, and only by instance.
        let split = is_split || self.family.instances >= 3;
        Arm {
            requests: counters.iter().map(|counter| counter.requests).sum(),
            failures: counters.iter().map(|counter| counter.failures).sum(),
            failed_users,
            latency: Histogram::from_counts(whole),
            probes: 1,
            cpu: Some(40.0),
            streams: counters.iter().filter(|_| split).map(stream).collect(),
            strata: self.routes[release].iter().map(stratum).collect(),
            ..Arm::default()
        }
    }

    /// Different users that failed for the first time, of the candidate and of live.
    fn unlucky(&mut self, now: u64, share: f64) -> [Option<u64>; 2] {
        let starts = self.draw.poisson(self.rps * self.base_errors / 30.0);
        for _ in 0..starts {
            let release = usize::from(self.draw.unit() >= share);
            self.users.push(User { release, until: now + 60, has_failed: false });
        }
        self.users.retain(|user| now < user.until);
        let mut fresh = [0, 0];
        for user in &mut self.users {
            let bits = self.draw.bits();
            if bits & 1 == 0 {
                continue;
            }
            if !user.has_failed {
                user.has_failed = true;
                fresh[user.release] += 1;
            }
            let parts = self.counters[user.release].len();
            let cell = cell(USUAL[(bits >> 20) as usize & 0xFFF]);
            self.counters[user.release][(bits >> 8) as usize % parts].count(cell, true);
        }
        fresh.map(Some)
    }

    fn clear(&mut self) {
        for counter in self.counters.iter_mut().chain(&mut self.routes).flatten() {
            counter.clear();
        }
    }
}

fn counted(counter: &Counter) -> impl Iterator<Item = (usize, u32)> {
    let counts = if counter.requests == 0 { &[][..] } else { &counter.cells[..] };
    counts.iter().copied().enumerate()
}

fn gauges(arm: &mut Arm, instances: &[Instance], grown: f64) {
    let levels = instances.iter().map(|instance| instance.memory + grown);
    arm.memory = levels.clone().reduce(f64::max);
    if arm.streams.len() == instances.len() {
        for (stream, level) in arm.streams.iter_mut().zip(levels) {
            stream.memory = Some(level);
        }
    }
}

/// The requests of one part of a release in one second.
#[derive(Clone, Debug)]
struct Counter {
    requests: u64,
    failures: u64,
    cells: Vec<u32>,
}

impl Counter {
    fn new() -> Counter {
        Counter { requests: 0, failures: 0, cells: vec![0; CELLS.len()] }
    }

    fn count(&mut self, cell: usize, failed: bool) {
        self.requests += 1;
        self.failures += u64::from(failed);
        self.cells[cell] += 1;
    }

    fn clear(&mut self) {
        if self.requests > 0 {
            self.cells.fill(0);
            self.requests = 0;
            self.failures = 0;
        }
    }
}
