//! What users met while traffic was shifted: the records of the load generator held against the
//! changes that were made. Pure: it reads text and counts. Must never leave a request out.
//!
//! All times are microseconds since 1970 by one machine's clock.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::sample::Sample;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// When it was to be sent.
    pub(crate) intended_us: u64,
    /// When it was sent.
    pub(crate) sent_us: u64,
    /// When its answer was whole, or given up.
    pub(crate) ended_us: u64,
    /// When it reached the application; 0 when none answered.
    pub(crate) started_us: u64,
    /// Status, 0 without a response.
    pub(crate) status: u16,
    /// The revision that answered.
    pub(crate) revision: String,
}

impl Hit {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut time = || words.next()?.parse().ok();
        let (intended_us, sent_us, ended_us, started_us) = (time()?, time()?, time()?, time()?);
        let status = words.next()?.parse().ok()?;
        let revision = words.next()?.to_owned();
        Some(Self { intended_us, sent_us, ended_us, started_us, status, revision })
    }

    /// Whether the user got what was asked for.
    pub(crate) fn is_good(&self) -> bool {
        self.status == 200
    }
}

/// One change of the split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// When it was decided: the request to the proxy left.
    pub(crate) decided_us: u64,
    /// When it was acknowledged.
    pub(crate) acked_us: u64,
    /// The revisions that get requests from here on.
    pub(crate) revisions: BTreeSet<String>,
    /// Whether it is a way back.
    pub(crate) is_rollback: bool,
}

impl Change {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind @ ("table" | "rollback"), _, decided, acked, named] = words.as_slice() else {
            return None;
        };
        Some(Self {
            decided_us: decided.parse().ok()?,
            acked_us: acked.parse().ok()?,
            revisions: named.split(',').map(str::to_owned).collect(),
            is_rollback: *kind == "rollback",
        })
    }
}

/// Reads the file of the load generator.
///
/// # Errors
/// When a line is not understood.
pub(crate) fn hits(text: &str) -> anyhow::Result<Vec<Hit>> {
    let parsed =
        text.lines().map(|line| Hit::parse(line).with_context(|| format!("not a hit: {line}")));
    parsed.collect()
}

/// Reads what the control plane of a benchmark printed.
///
/// # Errors
/// When a line is not understood.
pub(crate) fn changes(text: &str) -> anyhow::Result<Vec<Change>> {
    let parsed = text
        .lines()
        .map(|line| Change::parse(line).with_context(|| format!("not a change: {line}")));
    parsed.collect()
}

/// Requests without a good answer.
pub(crate) fn failed(hits: &[Hit]) -> u64 {
    count(hits.iter().filter(|hit| !hit.is_good()))
}

/// Requests that met a revision which was neither in the table in force nor in the one before it,
/// at any moment between their start at the user and their start at the application.
pub(crate) fn strangers(hits: &[Hit], changes: &[Change]) -> u64 {
    let strange = |hit: &&Hit| {
        // In force at the user's start: the last acknowledged one. By the application's start, at
        // most the last one decided.
        let acked = changes.partition_point(|change| change.acked_us <= hit.sent_us);
        let decided = changes.partition_point(|change| change.decided_us <= hit.started_us);
        let possible = changes.get(acked.saturating_sub(2)..decided.max(1)).unwrap_or_default();
        !possible.iter().any(|change| change.revisions.contains(&hit.revision))
    };
    count(hits.iter().filter(|hit| hit.is_good()).filter(strange))
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    u64::try_from(items.count()).unwrap_or(u64::MAX)
}

/// How long the old split lived on, for each change that took a revision away.
#[derive(Debug, Default)]
pub(crate) struct OldSplit {
    /// From the decision to the last start on a revision that the change took away, milliseconds;
    /// 0 where nothing started there after the decision.
    pub(crate) after_decision_ms: Vec<f64>,
    /// The same from the acknowledgement.
    pub(crate) after_ack_ms: Vec<f64>,
    /// From the decision to the acknowledgement.
    pub(crate) ack_ms: Vec<f64>,
}

/// Looks at every change that `wanted` picks. A revision that a change takes away is looked for
/// until it comes back with a later change.
pub(crate) fn old_split(
    hits: &[Hit],
    changes: &[Change],
    wanted: impl Fn(&Change) -> bool,
) -> OldSplit {
    let mut by_start: Vec<&Hit> = hits.iter().filter(|hit| hit.is_good()).collect();
    by_start.sort_by_key(|hit| hit.started_us);
    let mut found = OldSplit::default();
    for (at, pair) in changes.windows(2).enumerate() {
        let [before, change] = pair else { continue };
        if !wanted(change) {
            continue;
        }
        let later = changes.get(at + 2..).unwrap_or_default();
        let left = before.revisions.difference(&change.revisions);
        let last = left.filter_map(|gone| {
            let back = later.iter().find(|other| other.revisions.contains(gone));
            let until = back.map_or(u64::MAX, |back| back.decided_us);
            last_start(&by_start, gone, change.decided_us, until)
        });
        let last_us = last.max().unwrap_or(change.decided_us);
        found.after_decision_ms.push(millis(change.decided_us, last_us));
        found.after_ack_ms.push(millis(change.acked_us, last_us));
        found.ack_ms.push(millis(change.decided_us, change.acked_us));
    }
    found
}

fn last_start(by_start: &[&Hit], revision: &str, from_us: u64, until_us: u64) -> Option<u64> {
    let begin = by_start.partition_point(|hit| hit.started_us <= from_us);
    let end = by_start.partition_point(|hit| hit.started_us < until_us);
    let window = by_start.get(begin..end).unwrap_or_default();
    window.iter().rev().find(|hit| hit.revision == revision).map(|hit| hit.started_us)
}

/// Milliseconds from one time to a later one; 0 when it is not later.
pub(crate) fn millis(from_us: u64, to_us: u64) -> f64 {
    u32::try_from(to_us.saturating_sub(from_us)).map_or(f64::INFINITY, f64::from) / 1_000.0
}

/// Latency from the intended time, milliseconds, of requests that were to be sent in a window.
pub(crate) fn latency_ms(hits: &[Hit], from_us: u64, until_us: u64) -> Sample {
    let within = hits.iter().filter(|hit| (from_us..until_us).contains(&hit.intended_us));
    Sample::of(within.map(|hit| millis(hit.intended_us, hit.ended_us)))
}

/// How late the generator itself was, milliseconds.
pub(crate) fn lateness_ms(hits: &[Hit]) -> Sample {
    Sample::of(hits.iter().map(|hit| millis(hit.intended_us, hit.sent_us)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(sent_us: u64, started_us: u64, revision: &str) -> Hit {
        let (intended_us, ended_us, status) = (sent_us, started_us + 1_000, 200);
        Hit { intended_us, sent_us, ended_us, started_us, status, revision: revision.to_owned() }
    }

    /// Tables a+b, b+c, c+d and so on, decided every 100 ms and acknowledged 10 ms later.
    fn ring() -> Vec<Change> {
        let lines = [("a,b", 1), ("b,c", 2), ("c,d", 3), ("d,e", 4), ("e,f", 5), ("f,a", 6)];
        let text = lines.map(|(named, at)| {
            format!("table {at} {} {} {named}\n", at * 100_000, at * 100_000 + 10_000)
        });
        changes(&text.concat()).unwrap()
    }

    #[test]
    fn lines_are_read_or_refused() {
        let [read] = hits("1 2 9 3 200 v1").unwrap().try_into().unwrap();
        assert_eq!((read.intended_us, read.sent_us, read.ended_us), (1, 2, 9));
        assert_eq!((read.started_us, read.status, read.revision.as_str()), (3, 200, "v1"));
        assert!(hits("1 2 9 3 200").is_err());
        assert!(changes("tables 1 2 3 a").is_err());
        assert!(changes("rollback 1 2 3 live").unwrap()[0].is_rollback);
    }

    #[test]
    fn a_stranger_is_in_neither_table() {
        let ring = ring();
        // Table 3 (c,d) is in force, table 2 (b,c) was before it.
        for known in ["b", "c", "d"] {
            assert_eq!(strangers(&[hit(350_000, 350_500, known)], &ring), 0, "{known}");
        }
        for strange in ["a", "e", "f"] {
            assert_eq!(strangers(&[hit(350_000, 350_500, strange)], &ring), 1, "{strange}");
        }
        // Decided and not yet acknowledged: the next table may be in force.
        assert_eq!(strangers(&[hit(399_000, 405_000, "e")], &ring), 0);
        // Before the first change there is the first table alone.
        assert_eq!(strangers(&[hit(150_000, 150_500, "a")], &ring), 0);
        assert_eq!(strangers(&[hit(150_000, 150_500, "c")], &ring), 1);
    }

    #[test]
    fn a_request_that_failed_is_failed_and_no_stranger() {
        let failing = Hit { status: 0, started_us: 0, ..hit(350_000, 350_500, "-") };
        assert_eq!(failed(std::slice::from_ref(&failing)), 1);
        assert_eq!(strangers(&[failing], &ring()), 0);
    }

    #[test]
    fn the_old_split_ends_with_its_last_start() {
        // Table 2 takes `a` away at 200 ms, acknowledged at 210 ms; `a` is back at 600 ms.
        let hits = [
            hit(190_000, 199_000, "a"),
            hit(200_000, 204_000, "a"),
            hit(211_000, 213_000, "a"),
            hit(611_000, 613_000, "a"),
            hit(250_000, 251_000, "b"),
        ];
        let ring = ring();
        let old = old_split(&hits, &ring[..2], |_| true);
        // Without a later change every start counts.
        assert_eq!(old.after_decision_ms, [413.0]);
        let old = old_split(&hits, &ring, |_| true);
        assert_eq!(old.after_decision_ms[..1], [13.0]);
        assert_eq!(old.after_ack_ms[..1], [3.0]);
        assert_eq!(old.ack_ms[..1], [10.0]);
        // Table 3 takes `b` away: nothing started there afterwards.
        assert_eq!(old.after_decision_ms[1..2], [0.0]);
        assert_eq!(old.after_ack_ms[1..2], [0.0]);
    }

    #[test]
    fn only_the_wanted_changes_are_looked_at() {
        let text =
            "table 1 100 200 live,next\nrollback 1 1000 2000 live\ntable 2 9000 9900 live,next\n";
        let changes = changes(text).unwrap();
        let hits = [hit(1_000, 1_500, "next"), hit(9_100, 9_200, "next")];
        let old = old_split(&hits, &changes, |change| change.is_rollback);
        assert_eq!(old.after_decision_ms, [0.5]);
        assert_eq!(old.after_ack_ms, [0.0]);
    }
}
