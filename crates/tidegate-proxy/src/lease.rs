//! When the proxy leaves the split of a table by itself: a lease that ran out, a brake that
//! fired. Decisions only, from values given; applying them is the store's work.

use std::collections::BTreeMap;

use crate::ticks::Ring;
use crate::wire::{Table, Weight};

/// The revisions whose share is above what the fallback gives them: the ones under trial.
fn on_trial(table: &Table) -> impl Iterator<Item = &str> {
    let fallback: BTreeMap<&str, Weight> = table
        .fallback
        .iter()
        .flatten()
        .map(|share| (share.revision.as_str(), share.weight))
        .collect();
    let gained = table.backends.iter().filter(move |backend| {
        backend.weight > fallback.get(backend.revision.as_str()).copied().unwrap_or(Weight::ZERO)
    });
    gained.map(|backend| backend.revision.as_str())
}

/// The reason to brake, if a rule of the table fires over the newest ticks. Ticks numbered below
/// `since` belong to a trial that has been answered for and are left out.
pub(crate) fn brake_reason(table: &Table, ring: &Ring, since: u64) -> Option<String> {
    for rule in &table.brake {
        for revision in on_trial(table) {
            let mut span_ms = 0;
            let (mut requests, mut failures) = (0, 0);
            for tick in ring.newest().take_while(|tick| tick.seq >= since) {
                if span_ms >= rule.over_ms {
                    break;
                }
                span_ms += tick.length_ms;
                for counted in tick.revisions.iter().filter(|r| r.revision == revision) {
                    requests += counted.requests;
                    failures += counted.failures.total();
                }
            }
            let limit = rule.errors_above_percent;
            if requests >= rule.min_requests.max(1) && percent(failures, requests) > limit {
                return Some(format!(
                    "{failures} of {requests} requests to {revision} failed within {} ms, the \
                     limit is {limit} %",
                    rule.over_ms
                ));
            }
        }
    }
    None
}

#[expect(clippy::cast_precision_loss, reason = "counts of some minutes are far below 2^52")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}
