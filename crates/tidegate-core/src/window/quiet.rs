//! The hour in which the fewest users are met, by the requests that were recorded.
//! Must never propose an hour of which nothing is known: no news is not silence.

use jiff::{SignedDuration, Timestamp};

use super::{Door, Window, zone};

/// Hours of a day.
const HOURS: usize = 24;
/// Least time that an hour of the day was seen, seconds; less says nothing of it.
const SEEN_SECONDS: f64 = 60.0;
/// How far ahead an hour is proposed: a week has every day and every hour.
const AHEAD_HOURS: i64 = 7 * 24;

/// Requests by the hour of the day, as they were recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// Seconds that were seen, and requests in them.
    hours: [(f64, f64); HOURS],
}

/// An hour that is proposed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quiet {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub to: Timestamp,
    /// Requests a second that were recorded in this hour of the day.
    pub rate: f64,
    /// The same of the busiest hour that is known.
    pub busiest: f64,
    /// Hours of the day of which something is known, 1 to 24.
    pub known: usize,
}

impl Load {
    /// Adds what was seen in an hour of the day, 0 to 23; another hour is none.
    pub fn add(&mut self, hour: usize, seconds: f64, requests: f64) {
        if let Some(seen) = self.hours.get_mut(hour) {
            seen.0 += seconds;
            seen.1 += requests;
        }
    }

    /// Requests a second in an hour of the day; `None` when it was not seen for long enough.
    fn rate(&self, hour: usize) -> Option<f64> {
        let (seconds, requests) = self.hours.get(hour)?;
        (*seconds >= SEEN_SECONDS).then(|| requests / seconds)
    }
}

impl Window {
    /// The hour of the day at a time, by the clock of the window's zone.
    #[must_use]
    pub fn hour_of_day(&self, at: Timestamp) -> Option<usize> {
        usize::try_from(zone(&self.zone)?.to_datetime(at).hour()).ok()
    }

    /// The hour of the next week in which a deployment may begin and the fewest requests were
    /// recorded; of equal ones the first. `None` when nothing is known of any of them.
    #[must_use]
    pub fn quietest(&self, load: &Load, now: Timestamp) -> Option<Quiet> {
        let rates: Vec<f64> = (0..HOURS).filter_map(|hour| load.rate(hour)).collect();
        let busiest = rates.iter().copied().reduce(f64::max)?;
        let first = now.as_second().div_euclid(3_600) + 1;
        let mut best: Option<Quiet> = None;
        for hour in first..first + AHEAD_HOURS {
            let Ok(from) = Timestamp::from_second(hour * 3_600) else { continue };
            let known = self.hour_of_day(from).and_then(|hour| load.rate(hour));
            let Some(rate) = known.filter(|rate| best.is_none_or(|best| *rate < best.rate)) else {
                continue;
            };
            if matches!(self.at(from), Door::Open { .. }) {
                let to = from.checked_add(SignedDuration::from_hours(1)).unwrap_or(from);
                best = Some(Quiet { from, to, rate, busiest, known: rates.len() });
            }
        }
        best
    }
}
