//! All judges of one deployment: pairs the data plane's ticks with load, probes and other systems'
//! numbers, puts them on record, and lets each part's judge hear them.
//! Must never let a judge hear what is not on record, as long as a record can be kept.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidegate_core::ids::{PartName, Scope, SlotName};
use tidegate_core::plan::PartKind;
use tidegate_core::verdict::Verdict;
use tidegate_core::weight::Weight;

use super::gauges::Gauges;
use super::{Course, Side, Sides};
use crate::engine::Live;
use crate::hearing::{self, Hearing};
use crate::ports::{Asked, InstanceTick, Ports, RecordingName, SlotTick, TrafficTick, Usage};
use crate::recording::{self, Counted, Entry, Header};

/// One question to the world.
const QUESTION: Duration = Duration::from_secs(2);
/// Silence of the data plane after which a tick counts as missing.
const SILENCE_MS: i64 = 2_500;
/// Load readings older than this are not paired with a tick.
const LOAD_AGE_MS: i64 = 5_000;
/// How long before its first traffic live is listened to, in milliseconds.
const LEARNT_MS: i64 = 600_000;
/// Load readings kept for pairing with ticks.
const LOADS_MAX: usize = 16;
/// Longest recording of one part, in bytes: four days of busy seconds.
const RECORDING_BYTES_MAX: usize = 64 << 20;

/// All judges of one deployment.
#[derive(Debug)]
pub(super) struct Bench {
    scope: Scope,
    ports: Ports,
    pub(super) course: Course,
    parts: BTreeMap<PartName, PartBench>,
    gauges: Gauges,
}

/// The judge of one part, with what it has not heard yet.
#[derive(Debug)]
struct PartBench {
    hearing: Hearing,
    record: Record,
    last_tick: u64,
    last_heard_ms: i64,
    loads: VecDeque<Load>,
}

/// Where a part's entries go before they are heard.
#[derive(Debug)]
struct Record {
    name: RecordingName,
    /// Frames of this round, not yet written.
    pending: Vec<u8>,
    bytes: usize,
    /// Whether everything that was heard is on record.
    whole: bool,
}

/// One reading of both sides' load and health.
#[derive(Debug, Clone, Copy)]
struct Load {
    at_ms: i64,
    candidate: SideLoad,
    live: SideLoad,
    /// Probe answers count once: for the first tick that they are paired with.
    fresh: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct SideLoad {
    usage: Usage,
    asked: Asked,
}

impl Bench {
    /// Takes the seats: a deployment that was being judged before is heard from its recording.
    pub(super) async fn new(scope: Scope, ports: Ports, course: Course) -> Self {
        let mut parts = BTreeMap::new();
        for part in &course.plan.parts {
            if let Some(bench) = PartBench::open(&scope, &ports, &course, &part.name).await {
                parts.insert(part.name.clone(), bench);
            }
        }
        let gauges = Gauges::new(scope.clone());
        Self { scope, ports, course, parts, gauges }
    }

    pub(super) fn turn_to(&mut self, course: Course) {
        self.course = course;
    }

    /// One round: reads what is new and gives the verdict over all parts.
    pub(super) async fn round(&mut self) -> Option<Verdict> {
        self.gauges.ask(&self.ports, &self.course);
        let names: Vec<PartName> = self.parts.keys().cloned().collect();
        for name in names {
            let Some(sides) = self.course.sides.get(&name).cloned() else { continue };
            let load = self.load(&sides).await;
            let ticks = self.ticks(&name, &sides).await;
            let now = self.ports.clock.now();
            let course = &self.course;
            let Some(part) = self.parts.get_mut(&name) else { continue };
            part.begin_step(course);
            part.take_load(load);
            for tick in &ticks {
                let gauges = self.gauges.values(course, &name, now);
                part.hear(course, &sides, tick, gauges);
            }
            // What was said a while ago is still being caught up with: that is no silence.
            if ticks.is_empty() {
                part.mind_silence(now.as_millisecond());
            }
            part.record.write(&self.ports).await;
        }
        hearing::combine(self.parts.values().map(|part| (&part.hearing, part.record.whole)))
    }

    async fn load(&self, sides: &Sides) -> Load {
        let (candidate, live) = tokio::join!(self.side_load(&sides.candidate), async {
            match &sides.live {
                Some(live) => self.side_load(live).await,
                None => SideLoad::default(),
            }
        });
        Load { at_ms: self.ports.clock.now().as_millisecond(), candidate, live, fresh: true }
    }

    async fn side_load(&self, side: &Side) -> SideLoad {
        let usage = async {
            let question = self.ports.runtime.usage(&side.place);
            match tokio::time::timeout(QUESTION, question).await {
                Ok(Ok(usage)) => usage,
                _ => Usage::default(),
            }
        };
        let asked = async {
            let probes = u64::try_from(side.target.part.probes.len()).unwrap_or(u64::MAX);
            let all = probes.saturating_mul(u64::from(side.target.instances));
            match tokio::time::timeout(QUESTION, self.ports.checks.ask(&side.target)).await {
                Ok(asked) => asked,
                // Nobody answered in time: each question counts as failed.
                Err(_elapsed) => Asked { asked: all, failed: all },
            }
        };
        let (usage, asked) = tokio::join!(usage, asked);
        SideLoad { usage, asked }
    }

    async fn ticks(&self, name: &PartName, sides: &Sides) -> Vec<TrafficTick> {
        let Some(part) = self.parts.get(name) else { return Vec::new() };
        if sides.candidate.target.part.kind == PartKind::Worker {
            return part.own_tick(&self.ports, sides);
        }
        let question = self.ports.traffic.ticks(&self.scope, name, part.last_tick);
        match tokio::time::timeout(QUESTION, question).await {
            Ok(Ok(ticks)) => ticks,
            Ok(Err(failure)) => {
                tracing::debug!(scope = %self.scope, part = %name, %failure, "no statistics");
                Vec::new()
            }
            Err(_elapsed) => Vec::new(),
        }
    }

    /// The moving numbers, with the verdict that they led to.
    pub(super) fn live(&self, verdict: &Verdict) -> Live {
        let observed = self.parts.iter().filter_map(|(name, part)| {
            let sides = self.course.sides.get(name)?;
            let (candidate, live) = part.hearing.step_requests();
            let total = candidate.saturating_add(live);
            let mut shares: BTreeMap<SlotName, f64> = BTreeMap::new();
            shares.insert(sides.candidate.place.slot.clone(), hearing::ratio(candidate, total));
            if let Some(side) = &sides.live {
                shares.insert(side.place.slot.clone(), hearing::ratio(live, total));
            }
            Some((name.clone(), shares))
        });
        Live {
            at: self.ports.clock.now(),
            verdict: verdict.clone(),
            observed: observed.collect(),
            exposed: self.parts.values().map(|part| part.hearing.exposed()).sum(),
        }
    }
}

impl PartBench {
    /// Hears what is on record of this deployment, or begins a new recording. `None` only when
    /// the plan has no bytes, which no parsed plan lacks.
    async fn open(scope: &Scope, ports: &Ports, course: &Course, part: &PartName) -> Option<Self> {
        let name = RecordingName {
            scope: scope.clone(),
            deployment: course.deployment.clone(),
            part: part.clone(),
        };
        let now = ports.clock.now();
        let last_heard_ms = now.as_millisecond();
        let stored = match ports.recordings.read(&name).await {
            Ok(stored) => stored,
            Err(failure) => {
                tracing::warn!(%name, %failure, "a recording cannot be read and is begun anew");
                None
            }
        };
        let known = stored.as_ref().and_then(|bytes| {
            recording::read(bytes)
                .inspect_err(|error| tracing::warn!(%name, %error, "a recording is begun anew"))
                .ok()
        });
        let loads = VecDeque::new();
        if let (Some(known), Some(bytes)) = (known, stored) {
            let hearing = Hearing::restored(&known, None);
            let mut record =
                Record { name, pending: Vec::new(), bytes: known.whole_bytes, whole: true };
            // What a crash cut off must not stand in front of what follows.
            if known.whole_bytes < bytes.len() {
                record.replace(ports, bytes.get(..known.whole_bytes).unwrap_or_default()).await;
            }
            let last_tick = hearing.last_tick();
            return Some(Self { hearing, record, last_tick, last_heard_ms, loads });
        }
        let instances = |side: Option<&Side>| side.map_or(1, |side| side.target.instances.max(1));
        let sides = course.sides.get(part);
        let header = Header {
            schema: recording::RECORDING_SCHEMA,
            judge: env!("CARGO_PKG_VERSION").to_owned(),
            deployment: course.deployment.clone(),
            part: part.clone(),
            began_at: now,
            instances: (
                instances(sides.map(|sides| &sides.candidate)),
                instances(sides.and_then(|sides| sides.live.as_ref())),
            ),
            plan: std::sync::Arc::clone(&course.plan),
        };
        let frame = recording::framed(&recording::encode_header(&header).ok()?);
        let hearing = Hearing::new(header).ok()?;
        let mut record = Record { name, pending: Vec::new(), bytes: frame.len(), whole: true };
        record.replace(ports, &frame).await;
        Some(Self { hearing, record, last_tick: 0, last_heard_ms, loads })
    }

    fn take_load(&mut self, load: Load) {
        self.loads.push_back(load);
        if self.loads.len() > LOADS_MAX {
            self.loads.pop_front();
        }
    }

    /// A worker serves no requests: its ticks are made of load and probes alone, one a second.
    fn own_tick(&self, ports: &Ports, sides: &Sides) -> Vec<TrafficTick> {
        let now_ms = ports.clock.now().as_millisecond();
        if now_ms < self.last_heard_ms.saturating_add(1_000) {
            return Vec::new();
        }
        let slots = [Some(&sides.candidate), sides.live.as_ref()];
        let silent = slots.into_iter().flatten();
        vec![TrafficTick {
            number: self.last_tick + 1,
            at_ms: u64::try_from(now_ms).unwrap_or_default(),
            length_ms: 1_000,
            generation: 0,
            slots: silent.map(|side| (side.place.slot.clone(), SlotTick::default())).collect(),
        }]
    }

    fn hear(
        &mut self,
        course: &Course,
        sides: &Sides,
        tick: &TrafficTick,
        gauges: (Vec<Option<f64>>, Vec<Option<f64>>),
    ) {
        if tick.number <= self.last_tick {
            return;
        }
        self.last_tick = tick.number;
        self.last_heard_ms = i64::try_from(tick.at_ms).unwrap_or(i64::MAX);
        let since = course.traffic_since.as_millisecond();
        let from = self.last_heard_ms.saturating_sub(i64::try_from(tick.length_ms).unwrap_or(0));
        let before = from < since;
        // What live does beforehand tells how rough it is; older than this it tells of another day.
        let learns = course.same_cells && from >= since.saturating_sub(LEARNT_MS);
        if before && !(learns && sides.live.is_some()) {
            return;
        }
        let load = self.load_for(self.last_heard_ms);
        let side = |side: &Side, load: SideLoad, gauges: Vec<Option<f64>>| {
            let silent = SlotTick::default();
            let counts = tick.slots.get(&side.place.slot).unwrap_or(&silent);
            counted(counts, load, gauges)
        };
        let heard = Counted {
            number: tick.number,
            at_ms: tick.at_ms,
            length_ms: tick.length_ms,
            candidate: (!before).then(|| side(&sides.candidate, load.candidate, gauges.0)),
            live: sides.live.as_ref().map(|live| recording::Side {
                streams: streams(tick.slots.get(&live.place.slot)),
                ..side(live, load.live, gauges.1)
            }),
        };
        self.take(&Entry::Tick(heard));
    }

    /// Puts an entry on record and lets the judge hear it.
    fn take(&mut self, entry: &Entry) {
        match recording::encode_entry(entry) {
            Ok(frame) => {
                self.record.pending.extend(recording::framed(&frame));
                self.hearing.take(entry, &frame);
            }
            Err(error) => tracing::error!(%error, "an entry has no encoding and is not heard"),
        }
    }

    /// The reading that belongs to a tick; the probes in it count once.
    fn load_for(&mut self, at_ms: i64) -> Load {
        let nearest = self
            .loads
            .iter_mut()
            .filter(|load| (load.at_ms - at_ms).abs() <= LOAD_AGE_MS)
            .min_by_key(|load| (load.at_ms - at_ms).abs());
        let missing = SideLoad::default();
        let Some(nearest) = nearest else {
            return Load { at_ms, candidate: missing, live: missing, fresh: false };
        };
        let mut load = *nearest;
        if !nearest.fresh {
            load.candidate.asked = Asked::default();
            load.live.asked = Asked::default();
        }
        nearest.fresh = false;
        load
    }

    fn begin_step(&mut self, course: &Course) {
        let Some(converged) = course.converged_at else { return };
        let at_ms = u64::try_from(converged.as_millisecond()).unwrap_or_default();
        if self.hearing.step() == Some((course.step, at_ms)) {
            return;
        }
        let share: Weight = course.share;
        self.take(&Entry::Step { at_ms, step: course.step, share_bp: share.bp() });
    }

    /// Nothing heard for too long is a tick in which nothing was heard.
    fn mind_silence(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.last_heard_ms) < SILENCE_MS {
            return;
        }
        self.last_heard_ms = now_ms.saturating_sub(SILENCE_MS).saturating_add(1_000);
        let at_ms = u64::try_from(now_ms).unwrap_or_default();
        let silent = Counted { at_ms, length_ms: 1_000, ..Counted::default() };
        self.take(&Entry::Tick(silent));
    }
}

impl Record {
    async fn replace(&mut self, ports: &Ports, bytes: &[u8]) {
        if let Err(failure) = ports.recordings.create(&self.name, bytes).await {
            self.fail(&failure);
        }
    }

    /// Writes the frames of this round, if there are any.
    async fn write(&mut self, ports: &Ports) {
        let frames = std::mem::take(&mut self.pending);
        if frames.is_empty() || !self.whole {
            return;
        }
        self.bytes = self.bytes.saturating_add(frames.len());
        if self.bytes > RECORDING_BYTES_MAX {
            tracing::warn!(name = %self.name, "the recording is full: verdicts from here on cannot be made again");
            self.whole = false;
            return;
        }
        if let Err(failure) = ports.recordings.append(&self.name, &frames).await {
            self.fail(&failure);
        }
    }

    /// Users come before the record: the judge goes on, and its verdicts say that they are not
    /// on record.
    fn fail(&mut self, failure: &crate::ports::Failure) {
        tracing::warn!(name = %self.name, %failure, "what the judge hears is not recorded any more");
        self.whole = false;
    }
}

/// Live by instance: how they differ, and how rough they are, is learnt of live alone.
fn streams(counts: Option<&SlotTick>) -> Vec<recording::Stream> {
    let instances = counts.into_iter().flat_map(|counts| &counts.instances);
    let stream = |told: &InstanceTick| recording::Stream {
        requests: told.requests,
        failures: told.failures,
        latency: told.latency.clone(),
    };
    instances.map(stream).collect()
}

fn counted(counts: &SlotTick, load: SideLoad, gauges: Vec<Option<f64>>) -> recording::Side {
    recording::Side {
        requests: counts.requests,
        failures: counts.failures,
        latency: counts.latency.clone(),
        cpu: load.usage.cpu_percent,
        memory: load.usage.memory_percent,
        probes: load.asked.asked,
        probes_failed: load.asked.failed,
        gauges,
        streams: Vec::new(),
    }
}
