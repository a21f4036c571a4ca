//! Recorded deployments under a changed policy: who would have been caught, missed or sent back
//! for nothing, and how certain that is.
//! Must never claim that one policy is better where the interval of the difference covers zero.
//!
//! Shares are those of the recording: a policy that would have moved the traffic otherwise is
//! judged on what users really did. Intervals are 95 %: exact binomial for shares
//! (Clopper-Pearson), Student's t for paired differences.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_core::plan::{Plan, Traffic};
use tidegate_core::verdict::Call;
use tidegate_judge::verdict::Alarm;
use tidegate_judge::{binomial, student};

use crate::hearing::Hearing;
use crate::recording::{self, Entry, Recording, Unreadable};

mod rebin;
pub mod sham;

/// Two-sided confidence of every interval.
const CONFIDENCE: f64 = 0.95;

/// How a recorded deployment turned out, as far as anybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It was sent back for what it did.
    Bad,
    /// It became live and stayed.
    Good,
    /// Somebody or something else ended it.
    Unknown,
}

/// What a policy makes of one recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it would have sent it back, in seconds after the candidate's first request.
    pub rollback_after_s: Option<f64>,
    /// In its own words.
    pub sentence: Option<String>,
    /// Requests of the candidate that failed until then, or until the recording's end.
    pub failed: u64,
    /// Requests that the candidate served until then.
    pub exposed: u64,
    /// Minutes that it adds to the recorded steps; negative where it would have gone on sooner.
    pub minutes_added: f64,
    /// Steps that it would not have passed within the recording: there the minutes are at least.
    pub steps_unpassed: u32,
}

/// One recording under both policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The deployment, and the part where there are several.
    pub name: String,
    /// How it turned out.
    pub truth: Truth,
    /// Under the policy that it was recorded with.
    pub before: Outcome,
    /// Under the changed policy.
    pub after: Outcome,
}

/// A share with its exact interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// Low end of the interval, 0 to 1.
    pub low: f64,
    /// High end.
    pub high: f64,
}

impl Share {
    /// The share of `count` in `of`; of nothing, everything is possible.
    #[must_use]
    pub fn new(count: u64, of: u64) -> Self {
        if of == 0 {
            return Self { count, of, low: 0.0, high: 1.0 };
        }
        // Both one-sided bounds at 97.5 % make a two-sided 95 %.
        let one_sided = 1.0 - (1.0 - CONFIDENCE) / 2.0;
        let low = binomial::lower_bound(count, of, one_sided);
        let high = binomial::upper_bound(count, of, one_sided);
        Self { count, of, low, high }
    }
}

/// A mean of paired differences (changed policy minus recorded one) with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Pairs.
    pub pairs: u64,
    /// The mean.
    pub mean: f64,
    /// Low end; absent with fewer than two pairs.
    pub low: Option<f64>,
    /// High end.
    pub high: Option<f64>,
}

impl Difference {
    /// The differences of pairs.
    ///
    /// By hand: 1, 2 and 3 have mean 2 and standard error 1 / sqrt(3); Student's t with two
    /// degrees of freedom is 4.303, so the interval is -0.484 to 4.484.
    #[must_use]
    pub fn of(differences: &[f64]) -> Self {
        let pairs = differences.len();
        let count = pairs as f64;
        let mean = if pairs == 0 { 0.0 } else { differences.iter().sum::<f64>() / count };
        let (mut low, mut high) = (None, None);
        if pairs >= 2 {
            let squares: f64 = differences.iter().map(|d| (d - mean) * (d - mean)).sum();
            let error = (squares / (count - 1.0) / count).sqrt();
            let freedom = u32::try_from(pairs - 1).unwrap_or(u32::MAX);
            let reach = student::quantile((1.0 - CONFIDENCE) / 2.0, freedom) * error;
            (low, high) = (Some(mean - reach), Some(mean + reach));
        }
        Self { pairs: pairs as u64, mean, low, high }
    }

    /// Whether the difference is told from none.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.low.is_some_and(|low| low > 0.0) || self.high.is_some_and(|high| high < 0.0)
    }
}

/// What a changed policy would have made of all recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Recordings that were replayed.
    pub cases: Vec<Case>,
    /// Bad deployments that it sends back.
    pub caught: Share,
    /// Bad ones that it lets pass.
    pub missed: Share,
    /// Good ones that it sends back.
    pub false_alarms: Share,
    /// Minutes that it adds to a good deployment.
    pub minutes_added: Difference,
    /// Seconds later (or, negative, sooner) that it sends a bad one back, where both do.
    pub seconds_later: Difference,
    /// Failed requests more (or, negative, fewer) of a bad one.
    pub failed_more: Difference,
    /// What can be said for certain, in one sentence.
    pub sentence: String,
}

/// Replays every recording under its own policy and under that of `changed`.
///
/// # Errors
/// [`Unreadable`] when a recording cannot be replayed.
pub fn compare(recordings: &[(Recording, Truth)], changed: &Traffic) -> Result<Report, Unreadable> {
    let mut cases = Vec::with_capacity(recordings.len());
    for (recording, truth) in recordings {
        let header = &recording.header;
        let own = replay(recording, &header.plan.traffic)?;
        let name = format!("{}/{}", header.deployment, header.part);
        let after = replay(recording, changed)?;
        cases.push(Case { name, truth: *truth, before: own, after });
    }
    Ok(report(cases))
}

fn report(cases: Vec<Case>) -> Report {
    let of = |truth: Truth| cases.iter().filter(move |case| case.truth == truth);
    let count = |found: usize| u64::try_from(found).unwrap_or(u64::MAX);
    let bad = count(of(Truth::Bad).count());
    let caught = of(Truth::Bad).filter(|case| case.after.rollback_after_s.is_some()).count();
    let alarms = of(Truth::Good).filter(|case| case.after.rollback_after_s.is_some()).count();
    let good = count(of(Truth::Good).count());
    let passed = of(Truth::Good).filter(|case| case.after.rollback_after_s.is_none());
    let minutes: Vec<f64> =
        passed.map(|case| case.after.minutes_added - case.before.minutes_added).collect();
    let later: Vec<f64> = of(Truth::Bad)
        .filter_map(|case| Some(case.after.rollback_after_s? - case.before.rollback_after_s?))
        .collect();
    let failed: Vec<f64> =
        of(Truth::Bad).map(|case| case.after.failed as f64 - case.before.failed as f64).collect();
    let mut report = Report {
        caught: Share::new(count(caught), bad),
        missed: Share::new(bad - count(caught), bad),
        false_alarms: Share::new(count(alarms), good),
        minutes_added: Difference::of(&minutes),
        seconds_later: Difference::of(&later),
        failed_more: Difference::of(&failed),
        sentence: String::new(),
        cases,
    };
    report.sentence = sentence(&report);
    report
}

fn sentence(report: &Report) -> String {
    let mut certain = Vec::new();
    let words = |difference: &Difference, more: &str, less: &str, unit: &str| {
        let word = if difference.mean > 0.0 { more } else { less };
        format!("{:.1} {unit} {word}", difference.mean.abs())
    };
    if report.seconds_later.is_certain() {
        certain.push(words(&report.seconds_later, "later", "sooner", "s"));
    }
    if report.failed_more.is_certain() {
        certain.push(words(&report.failed_more, "more", "fewer", "failed requests"));
    }
    if report.minutes_added.is_certain() {
        certain.push(words(&report.minutes_added, "longer", "shorter", "minutes"));
    }
    if certain.is_empty() {
        return "the recordings do not tell the changed policy from the recorded one".to_owned();
    }
    format!("the changed policy is, for certain: {}", certain.join(", "))
}

/// What a policy makes of a recording.
///
/// # Errors
/// [`Unreadable`] when an entry cannot be put into the cells of the policy.
pub fn replay(recording: &Recording, traffic: &Traffic) -> Result<Outcome, Unreadable> {
    let mut hearing = seat(recording, traffic)?;
    let map = rebin::Map::new(&recording.header.plan.traffic, traffic);
    let dwell_ms = u64::try_from(traffic.dwell.as_millis()).unwrap_or(0);
    let mut watch = Watch::new(dwell_ms);
    for (entry, _) in &recording.entries {
        let entry = map.entry(entry);
        hearing.take(&entry, &recording::encode_entry(&entry)?);
        if watch.hear(&entry, &hearing) {
            break;
        }
    }
    Ok(watch.end())
}

/// A judge of the recording's part under another policy.
fn seat(recording: &Recording, traffic: &Traffic) -> Result<Hearing, Unreadable> {
    seat_for(recording, traffic, recording.header.instances)
}

/// The same for so many instances of the candidate and of live.
fn seat_for(
    recording: &Recording,
    traffic: &Traffic,
    instances: (u32, u32),
) -> Result<Hearing, Unreadable> {
    let mut header = recording.header.clone();
    header.instances = instances;
    let plan = Plan { traffic: traffic.clone(), ..(*header.plan).clone() };
    header.plan = Arc::new(plan);
    Hearing::new(header)
}

/// Follows one replay.
struct Watch {
    dwell_ms: u64,
    first_ms: Option<u64>,
    last_ms: u64,
    step: Option<(u64, Option<u64>)>,
    outcome: Outcome,
}

impl Watch {
    fn new(dwell_ms: u64) -> Self {
        let outcome = Outcome {
            rollback_after_s: None,
            sentence: None,
            failed: 0,
            exposed: 0,
            minutes_added: 0.0,
            steps_unpassed: 0,
        };
        Self { dwell_ms, first_ms: None, last_ms: 0, step: None, outcome }
    }

    /// Takes an entry that was heard; true when the policy has sent the candidate back.
    fn hear(&mut self, entry: &Entry, hearing: &Hearing) -> bool {
        match entry {
            Entry::Step { at_ms, .. } => {
                self.close(*at_ms);
                self.step = Some((*at_ms, None));
                false
            }
            Entry::Tick(counted) => {
                self.last_ms = counted.at_ms;
                let Some(candidate) = &counted.candidate else { return false };
                let first_ms = *self.first_ms.get_or_insert(counted.at_ms);
                self.outcome.exposed = self.outcome.exposed.saturating_add(candidate.requests);
                self.outcome.failed = self.outcome.failed.saturating_add(candidate.failures);
                if hearing.alarm() == Alarm::Rollback {
                    let after_ms = counted.at_ms.saturating_sub(first_ms);
                    self.outcome.rollback_after_s = Some(after_ms as f64 / 1_000.0);
                    self.outcome.sentence = hearing.verdict().map(|verdict| verdict.sentence);
                    self.step = None;
                    return true;
                }
                if let Some((since_ms, passed @ None)) = &mut self.step
                    && counted.at_ms.saturating_sub(*since_ms) >= self.dwell_ms
                    && hearing.verdict().is_some_and(|verdict| verdict.call == Call::Advance)
                {
                    *passed = Some(counted.at_ms);
                }
                false
            }
        }
    }

    /// Ends the step that ran: how much longer than the recorded one it would have taken.
    fn close(&mut self, recorded_end_ms: u64) {
        let Some((since_ms, passed)) = self.step.take() else { return };
        let recorded_ms = recorded_end_ms.saturating_sub(since_ms) as f64;
        let needed_ms = match passed {
            Some(at_ms) => at_ms.saturating_sub(since_ms) as f64,
            None => {
                self.outcome.steps_unpassed += 1;
                recorded_ms.max(self.dwell_ms as f64)
            }
        };
        self.outcome.minutes_added += (needed_ms - recorded_ms) / 60_000.0;
    }

    fn end(mut self) -> Outcome {
        let last_ms = self.last_ms;
        self.close(last_ms);
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::{Difference, Share};

    #[test]
    fn differences_have_the_interval_of_the_page() {
        let three = Difference::of(&[1.0, 2.0, 3.0]);
        let (low, high) = (three.low.unwrap_or(0.0), three.high.unwrap_or(0.0));
        assert!((low + 0.484).abs() < 1e-2 && (high - 4.484).abs() < 1e-2, "{three:?}");
        assert!(!three.is_certain(), "zero is within");
        assert!(Difference::of(&[1.0, 1.1, 0.9]).is_certain());
        assert!(!Difference::of(&[5.0]).is_certain(), "one pair tells nothing");
        assert!(!Difference::of(&[]).is_certain());
    }

    #[test]
    fn of_nothing_everything_is_possible() {
        let none = Share::new(0, 0);
        assert!(none.low.abs() < 1e-12 && (none.high - 1.0).abs() < 1e-12);
        // The rule of three: none of 300 is below 1.3 % with 97.5 % one-sided.
        let shams = Share::new(0, 300);
        assert!(shams.high > 0.012 && shams.high < 0.0125, "{shams:?}");
    }
}
