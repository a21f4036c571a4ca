//! What became of every request of the load: one record each, in the words of the users' side.
//!
//! Must never guess in favour of the product: a request without a whole answer of the shop is
//! either charged to the release that is bad on purpose, with proof, or it counts as dropped.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most records kept. The highest rate for as long as the longest run takes stays below it;
/// past it the ledger says that it is incomplete, and nothing is claimed from it.
pub(crate) const RECORDS_MAX: usize = 1_000_000;

/// The release that answered: 3 for `v3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u8);

impl Version {
    pub(crate) const BAD: Self = Self(3);

    /// Reads what the shop echoes, `v3`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.strip_prefix('v')?.parse().ok().map(Self)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// How a request ended, seen from the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The shop answered.
    Shop {
        version: Version,
        status: u16,
        /// Whether the body arrived to its end.
        whole: bool,
        /// For how long, in milliseconds, the answering instance had been faulty.
        fault_age_ms: Option<u64>,
    },
    /// The proxy answered in the shop's place.
    Proxy { status: u16 },
    /// Nobody answered.
    Silence,
}

impl Outcome {
    /// Whether the user got what they came for.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Shop { status: 200..=399, whole: true, .. })
    }
}

/// One request. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it was meant to be sent, whether or not the machine was ready to.
    pub(crate) intended_us: u64,
    /// When its outcome was known.
    pub(crate) ended_us: u64,
    pub(crate) outcome: Outcome,
}

impl Record {
    /// From the intended time, so that a stalled server cannot hide its own slowness.
    pub(crate) fn latency_ms(&self) -> u64 {
        self.ended_us.saturating_sub(self.intended_us) / 1_000
    }
}

/// Requests since the last look: what a progress line shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Answers by release.
    pub(crate) answered: BTreeMap<Version, u64>,
}

impl Pulse {
    /// The observed share of a release in percent of what the shop answered.
    pub(crate) fn percent(&self, version: Version) -> Option<u64> {
        let all: u64 = self.answered.values().sum();
        let own = self.answered.get(&version).copied().unwrap_or_default();
        (own * 100 + all / 2).checked_div(all)
    }
}

#[derive(Debug, Default)]
struct Pages {
    records: Vec<Record>,
    overflown: bool,
    closed: bool,
    pulse: Pulse,
}

/// All records of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Pages>);

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one request.
    pub(crate) fn note(&self, record: Record) {
        let mut pages = self.pages();
        pages.pulse.requests += 1;
        pages.pulse.failed += u64::from(!record.outcome.is_good());
        if let Outcome::Shop { version, .. } = record.outcome {
            *pages.pulse.answered.entry(version).or_default() += 1;
        }
        if pages.closed {
            return;
        }
        if pages.records.len() < RECORDS_MAX {
            pages.records.push(record);
        } else {
            pages.overflown = true;
        }
    }

    /// What came since the last call.
    pub(crate) fn pulse(&self) -> Pulse {
        std::mem::take(&mut self.pages().pulse)
    }

    /// Takes the records out and keeps none from here on. `None` when some are missing.
    pub(crate) fn close(&self) -> Option<Vec<Record>> {
        let mut pages = self.pages();
        pages.closed = true;
        let records = std::mem::take(&mut pages.records);
        (!pages.overflown).then_some(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(version: u8, status: u16) -> Record {
        let outcome =
            Outcome::Shop { version: Version(version), status, whole: true, fault_age_ms: None };
        Record { intended_us: 1_000, ended_us: 4_500, outcome }
    }

    #[test]
    fn a_pulse_counts_shares_and_failures_once() {
        let ledger = Ledger::default();
        for _ in 0..19 {
            ledger.note(shop(1, 200));
        }
        ledger.note(shop(2, 500));
        ledger.note(Record { outcome: Outcome::Silence, ..shop(1, 200) });
        let pulse = ledger.pulse();
        assert_eq!((pulse.requests, pulse.failed), (21, 2));
        assert_eq!(pulse.percent(Version(2)), Some(5));
        assert_eq!(ledger.pulse(), Pulse::default());
        assert_eq!(Pulse::default().percent(Version::BAD), None);
    }

    #[test]
    fn a_closed_ledger_gives_its_records_and_keeps_none() {
        let ledger = Ledger::default();
        ledger.note(shop(1, 200));
        let records = ledger.close().unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].latency_ms(), 3);
        ledger.note(shop(1, 200));
        assert_eq!(ledger.close().unwrap(), []);
        assert_eq!(ledger.pulse().requests, 2);
    }

    #[test]
    fn half_an_answer_is_no_good_answer() {
        let half =
            Outcome::Shop { version: Version(2), status: 200, whole: false, fault_age_ms: None };
        assert!(!half.is_good());
        assert!(!Outcome::Proxy { status: 200 }.is_good());
        assert_eq!(Version::parse("v3"), Some(Version::BAD));
        assert_eq!(Version::parse("3"), None);
    }
}
