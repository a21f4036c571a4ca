//! One part's judge with all that it was told: entries in, verdict out.
//! Must never depend on anything but its header and its entries, so that a verdict is made again
//! from a recording bit for bit, after a restart as well as years later.

use tidegate_core::plan::{PartKind, Plan};
use tidegate_core::verdict::{Call, HoldReason, Inputs, Outlook, Verdict};
use tidegate_core::weight::WHOLE_BP;
use tidegate_judge::histogram::Cells;
use tidegate_judge::judge::Judge;
use tidegate_judge::verdict::Alarm;

use crate::recording::{self, Chain, Counted, Entry, Header, Recording, Unreadable};

pub mod rules;

/// The judge of one part and what it has heard.
#[derive(Debug, Clone)]
pub struct Hearing {
    header: Header,
    judge: Option<Judge>,
    cells: Cells,
    chain: Chain,
    entries: u64,
    last_tick: u64,
    step: Option<Step>,
    exposed: u64,
    latest: Option<Latest>,
}

/// The step that is judged, with its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    number: u32,
    at_ms: u64,
    share_bp: u16,
    candidate: u64,
    live: u64,
}

/// The newest tick of the step, which a verdict would be about.
#[derive(Debug, Clone, Copy)]
struct Latest {
    at_ms: u64,
    live_heard: bool,
    alarm: Alarm,
}

impl Hearing {
    /// A hearing that has heard nothing yet.
    ///
    /// # Errors
    /// [`Unreadable::Unwritable`] when the header has no bytes.
    pub fn new(header: Header) -> Result<Self, Unreadable> {
        let bytes = recording::encode_header(&header)?;
        Ok(Self::begin(header, &bytes))
    }

    /// A hearing that has heard a recording, or its first `entries` entries.
    #[must_use]
    pub fn restored(recording: &Recording, entries: Option<u64>) -> Self {
        let mut hearing = Self::begin(recording.header.clone(), &recording.header_bytes);
        let most = entries.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        for (entry, frame) in recording.entries.iter().take(most) {
            hearing.take(entry, frame);
        }
        hearing
    }

    fn begin(header: Header, bytes: &[u8]) -> Self {
        let cells = Cells::new(&rules::limits_ms(&header.plan));
        let policy = rules::policy(&header.plan, &header.part, header.instances);
        let judge = Judge::new(policy, cells.clone())
            .inspect_err(
                |error| tracing::error!(%error, part = %header.part, "these rules cannot be judged"),
            )
            .ok();
        Self {
            header,
            judge,
            cells,
            chain: Chain::begin(bytes),
            entries: 0,
            last_tick: 0,
            step: None,
            exposed: 0,
            latest: None,
        }
    }

    /// Takes one entry with its frame. The verdict of a step is not about the one after it.
    pub fn take(&mut self, entry: &Entry, frame: &[u8]) {
        self.chain.add(frame);
        self.entries += 1;
        match entry {
            Entry::Step { at_ms, step, share_bp } => {
                let (at_ms, share_bp) = (*at_ms, *share_bp);
                self.step = Some(Step { number: *step, at_ms, share_bp, candidate: 0, live: 0 });
                self.latest = None;
                if let Some(judge) = &mut self.judge {
                    judge.step_began(at_ms, share_bp);
                }
            }
            Entry::Tick(counted) => self.count(counted),
        }
    }

    fn count(&mut self, counted: &Counted) {
        self.last_tick = self.last_tick.max(counted.number);
        if let Some(candidate) = &counted.candidate {
            self.exposed = self.exposed.saturating_add(candidate.requests);
        }
        if let Some(step) = &mut self.step
            && counted.at_ms.saturating_sub(counted.length_ms) >= step.at_ms
        {
            let requests =
                |side: &Option<recording::Side>| side.as_ref().map_or(0, |side| side.requests);
            step.candidate = step.candidate.saturating_add(requests(&counted.candidate));
            step.live = step.live.saturating_add(requests(&counted.live));
        }
        let alarm =
            self.judge.as_mut().map_or(Alarm::None, |judge| judge.feed(&counted.tick(&self.cells)));
        let (at_ms, live_heard) = (counted.at_ms, counted.live.is_some());
        self.latest = Some(Latest { at_ms, live_heard, alarm });
    }

    /// What cannot wait for words; the verdict says the same.
    #[must_use]
    pub fn alarm(&self) -> Alarm {
        self.latest.map_or(Alarm::None, |latest| latest.alarm)
    }

    /// The newest verdict, without what it was made from; `None` before the first tick of a step.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let latest = self.latest?;
        let Some(judged) = self.judge.as_ref().and_then(Judge::verdict) else {
            return Some(rules::unjudgeable());
        };
        let since_ms = self.step.map_or(0, |step| latest.at_ms.saturating_sub(step.at_ms));
        let mut verdict = rules::translate(&judged, since_ms);
        if rules::is_shared(&self.header.plan, &verdict) {
            verdict.call = Call::Hold(HoldReason::Environment);
            verdict.sentence = format!(
                "{}: live would not pass either, so the new version is not the cause.",
                verdict.sentence.trim_end_matches('.')
            );
        }
        // Below the first step there is nothing to brake to but the way back, which takes the
        // evidence of a rollback.
        if verdict.call == Call::Brake && self.step.is_none_or(|step| step.number == 0) {
            verdict.call = Call::Hold(HoldReason::BetweenLimits);
            verdict.sentence = verdict.sentence.replacen("Brake", "Hold", 1);
        }
        if let Some(doubt) = self.doubtful_share(latest.live_heard)
            && verdict.call == Call::Advance
        {
            verdict.call = Call::Hold(HoldReason::Telemetry);
            verdict.sentence = doubt;
        }
        Some(verdict)
    }

    /// A share far from the one that was set: the numbers are not about what we think they are.
    fn doubtful_share(&self, live_heard: bool) -> Option<String> {
        /// Standard deviations: sticky users make a share rougher than coin throws.
        const DEVIATIONS: f64 = 6.0;
        /// Slack that is always allowed, absolute.
        const SLACK: f64 = 0.02;
        let step = self.step.filter(|_| live_heard)?;
        let set = f64::from(step.share_bp) / f64::from(WHOLE_BP);
        let total = step.candidate.saturating_add(step.live);
        if total == 0 {
            return None;
        }
        let seen = ratio(step.candidate, total);
        let spread = (set * (1.0 - set) / as_f64(total)).sqrt();
        ((seen - set).abs() > DEVIATIONS * spread + SLACK).then(|| {
            format!(
                "{:.1} % of {total} requests reached the candidate, but {} % is set",
                seen * 100.0,
                f64::from(step.share_bp) / 100.0
            )
        })
    }

    /// What the newest verdict was made from.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        Inputs {
            part: self.header.part.clone(),
            entries: self.entries,
            digest: self.chain.digest().clone(),
        }
    }

    /// What it is about.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The newest tick's number.
    #[must_use]
    pub fn last_tick(&self) -> u64 {
        self.last_tick
    }

    /// The step that is judged and since when, in milliseconds; `None` before the first.
    #[must_use]
    pub fn step(&self) -> Option<(u32, u64)> {
        self.step.map(|step| (step.number, step.at_ms))
    }

    /// Requests of this step: at the candidate, at the live side.
    #[must_use]
    pub fn step_requests(&self) -> (u64, u64) {
        self.step.map_or((0, 0), |step| (step.candidate, step.live))
    }

    /// Requests that the candidate served since traffic began.
    #[must_use]
    pub fn exposed(&self) -> u64 {
        self.exposed
    }
}

/// Whether a part's requests come from the data plane.
#[must_use]
pub fn serves(plan: &Plan, part: &tidegate_core::ids::PartName) -> bool {
    plan.part(part).is_some_and(|part| part.kind != PartKind::Worker)
}

/// The worst call of all parts, with the worst reading of each metric and the inputs of all.
#[must_use]
pub fn combine<'h>(hearings: impl IntoIterator<Item = (&'h Hearing, bool)>) -> Option<Verdict> {
    let rank = |call: Call| match call {
        Call::Advance => 0,
        Call::Hold(_) => 1,
        Call::Brake => 2,
        Call::Rollback => 3,
    };
    let heard: Option<Vec<(&Hearing, bool, Verdict)>> = hearings
        .into_iter()
        .map(|(hearing, recorded)| Some((hearing, recorded, hearing.verdict()?)))
        .collect();
    let heard = heard?;
    let (leader, _, worst) = heard.iter().max_by_key(|(_, _, verdict)| rank(verdict.call))?;
    let mut combined = worst.clone();
    if heard.len() > 1 {
        combined.sentence = format!("{}: {}", leader.header.part, worst.sentence);
    }
    for (_, _, verdict) in &heard {
        for reading in &verdict.readings {
            match combined.readings.iter_mut().find(|known| known.metric == reading.metric) {
                Some(known) if rules::severity(reading.zone) > rules::severity(known.zone) => {
                    *known = reading.clone();
                }
                Some(_) => {}
                None => combined.readings.push(reading.clone()),
            }
        }
    }
    combined.readings.sort_by(|a, b| a.metric.cmp(&b.metric));
    combined.outlook = together(&heard);
    // A part that is not on record makes the whole verdict one that cannot be made again.
    if heard.iter().all(|(_, recorded, _)| *recorded) {
        combined.inputs = heard.iter().map(|(hearing, _, _)| hearing.inputs()).collect();
    }
    Some(combined)
}

/// The soonest of every part, with the cost of all.
fn together(heard: &[(&Hearing, bool, Verdict)]) -> Option<Outlook> {
    let mut all = heard.iter().filter_map(|(_, _, verdict)| verdict.outlook.clone());
    let mut sum = all.next()?;
    for one in all {
        // All parts must be ready to go on; one is enough to go back.
        sum.advance_in_ms = sum.advance_in_ms.zip(one.advance_in_ms).map(|(a, b)| a.max(b));
        sum.rollback_in_ms = sooner(sum.rollback_in_ms, one.rollback_in_ms);
        if one.rules_in_ms.is_some_and(|ms| sum.rules_in_ms.is_none_or(|known| ms < known)) {
            (sum.rules_in_ms, sum.rule) = (one.rules_in_ms, one.rule);
        }
        sum.failed = sum.failed.saturating_add(one.failed);
        sum.charged += one.charged;
    }
    Some(sum)
}

fn sooner(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { as_f64(part) / as_f64(whole) }
}

/// Exact below 2^53, which no counter of one rollout reaches.
#[expect(clippy::cast_precision_loss, reason = "counts of one rollout stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
