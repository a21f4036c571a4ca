//! The one line at the end, measured by the load and the journal, and whether it is what was
//! promised. It must never call a run good when a number is missing.

use serde::Serialize;

use super::ledger::{Outcome, Record, Version};
use super::scene::Fail;

/// An answer slower than this is a bad one where the release is bad at latency, in milliseconds:
/// the limit of the rollback rule.
const SLOW_MS: u64 = 1_000;

/// How a deployment went, as the command line told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Course {
    /// One word: `succeeded`, `rolled_back`, ...
    pub(crate) result: String,
    /// When it was asked for, microseconds since 1970.
    pub(crate) from_us: u64,
    /// When it had ended, microseconds since 1970.
    pub(crate) to_us: u64,
    /// When the release began to get requests, microseconds since 1970.
    pub(crate) exposed_from_us: Option<u64>,
    /// Set when it was sent back.
    pub(crate) sent_back: Option<SentBack>,
}

/// Who sent a release back, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentBack {
    /// The reason as the journal has it: `verdict`, `check`, ...
    pub(crate) reason: String,
    /// When that was decided, microseconds since 1970.
    pub(crate) at_us: u64,
    /// In one line, with the numbers.
    pub(crate) why: String,
}

/// All that the summary is made of.
#[derive(Debug)]
pub(crate) struct Evidence<'e> {
    pub(crate) records: &'e [Record],
    pub(crate) good: &'e Course,
    pub(crate) bad: &'e Course,
    pub(crate) fail: Fail,
    pub(crate) journal_verified: bool,
}

/// The closing line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Closing {
    pub(crate) summary: Summary,
}

/// Its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) good: Good,
    pub(crate) bad: Bad,
    /// Requests without an answer of the shop that are not charged to the bad release.
    pub(crate) dropped_by_proxy: u64,
    pub(crate) journal_verified: bool,
}

/// The good release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Good {
    pub(crate) result: String,
    /// Requests of all users while it was deployed.
    pub(crate) requests: u64,
    /// Those that were not answered well.
    pub(crate) failed: u64,
}

/// The bad release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Bad {
    pub(crate) result: String,
    /// First bad response (memory, health: begin of the fault) to the last response from the
    /// release. Absent when no bad response was seen.
    pub(crate) time_to_safe_ms: Option<u64>,
    /// Who decided to send it back: `judge` for a verdict, else the journal's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_back_by: Option<String>,
    /// From its first request to that decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decided_after_ms: Option<u64>,
    /// What the decision rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Requests that reached it.
    pub(crate) exposed_requests: u64,
    /// Those that it did not answer well.
    pub(crate) failed_requests: u64,
}

impl Summary {
    /// Whether everything is as it was promised.
    pub(crate) fn holds(&self) -> bool {
        self.good.result == "succeeded"
            && self.good.failed == 0
            && self.good.requests > 0
            && self.bad.result == "rolled_back"
            && self.bad.time_to_safe_ms.is_some()
            && self.dropped_by_proxy == 0
            && self.journal_verified
    }
}

/// Counts.
pub(crate) fn sum_up(evidence: &Evidence<'_>) -> Summary {
    let during_good: Vec<&Record> =
        evidence.records.iter().filter(|record| evidence.good.covers(record)).collect();
    let exposed: Vec<&Record> =
        evidence.records.iter().filter(|record| evidence.met_the_bad(record)).collect();
    let count = |records: &[&Record], which: fn(&Record) -> bool| {
        records.iter().filter(|record| which(record)).count() as u64
    };
    let is_bad_answer = |record: &Record| !record.outcome.is_good();
    let dropped = evidence.records.iter().filter(|record| evidence.is_dropped(record));
    Summary {
        good: Good {
            result: evidence.good.result.clone(),
            requests: during_good.len() as u64,
            failed: count(&during_good, is_bad_answer),
        },
        bad: Bad {
            result: evidence.bad.result.clone(),
            time_to_safe_ms: time_to_safe_ms(evidence.fail, &exposed),
            sent_back_by: evidence.bad.sent_back.as_ref().map(SentBack::by),
            decided_after_ms: decided_after_ms(evidence.bad, &exposed),
            why: evidence.bad.sent_back.as_ref().map(|sent_back| sent_back.why.clone()),
            exposed_requests: exposed.len() as u64,
            failed_requests: count(&exposed, is_bad_answer),
        },
        dropped_by_proxy: dropped.count() as u64,
        journal_verified: evidence.journal_verified,
    }
}

impl SentBack {
    fn by(&self) -> String {
        let word = if self.reason == "verdict" { "judge" } else { &self.reason };
        word.to_owned()
    }
}

impl Course {
    /// Whether a request was meant to be sent while this deployment was under way.
    fn covers(&self, record: &Record) -> bool {
        (self.from_us..=self.to_us).contains(&record.intended_us)
    }
}

impl Evidence<'_> {
    /// Whether a request was routed to the bad release: it says so itself, or it dies under its
    /// users, had requests at the time, and the proxy answered that nobody did.
    fn met_the_bad(&self, record: &Record) -> bool {
        match record.outcome {
            Outcome::Shop { version, .. } => version == Version::BAD,
            Outcome::Proxy { status: 502 | 504 } if self.fail == Fail::Crash => {
                let from = self.bad.exposed_from_us;
                from.is_some_and(|from| record.ended_us >= from)
                    && record.intended_us <= self.bad.to_us
            }
            Outcome::Proxy { .. } | Outcome::Silence => false,
        }
    }

    /// Whether a user got no answer of the shop through no fault of the bad release.
    fn is_dropped(&self, record: &Record) -> bool {
        let unanswered = match record.outcome {
            Outcome::Shop { whole, .. } => !whole,
            Outcome::Proxy { .. } | Outcome::Silence => true,
        };
        unanswered && !self.met_the_bad(record)
    }
}

/// From the first request that met the bad release to the decision to send it back.
fn decided_after_ms(bad: &Course, exposed: &[&Record]) -> Option<u64> {
    let first = exposed.iter().map(|record| record.intended_us).min()?;
    Some(bad.sent_back.as_ref()?.at_us.saturating_sub(first) / 1_000)
}

/// `exposed` are the requests that met the bad release.
fn time_to_safe_ms(fail: Fail, exposed: &[&Record]) -> Option<u64> {
    let last = exposed.iter().map(|record| record.ended_us).max()?;
    let began = exposed.iter().filter_map(|record| match fail {
        Fail::Errors | Fail::Crash => (!record.outcome.is_good()).then_some(record.ended_us),
        Fail::Latency => {
            let is_bad = !record.outcome.is_good() || record.latency_ms() > SLOW_MS;
            is_bad.then_some(record.ended_us)
        }
        // Users notice nothing yet: the instance itself says since when it is faulty.
        Fail::Memory | Fail::Health => match record.outcome {
            Outcome::Shop { fault_age_ms: Some(age), .. } => {
                Some(record.ended_us.saturating_sub(age.saturating_mul(1_000)))
            }
            _ => None,
        },
    });
    Some(last.saturating_sub(began.min()?) / 1_000)
}

#[cfg(test)]
mod tests;
