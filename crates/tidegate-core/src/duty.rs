//! Duties: what falls due again and again, when it was last done, and what showed it.
//! Must never count a duty as done that nobody vouched for.

use std::collections::BTreeMap;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::ids::Actor;
use crate::plan::Plan;
use crate::state::State;

/// Most duties of one service: the five longest runbooks known have fewer than ten each.
pub const DUTIES_MAX: usize = 64;
/// Most times of one duty that are remembered, newest last: five years of a weekly one.
pub const DONE_MAX: usize = 260;
/// Longest text of a duty or of its evidence, bytes.
pub const TEXT_BYTES_MAX: usize = 2_000;

/// Something that falls due again and again, as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// Its name, unique within the plan.
    pub name: String,
    /// How often.
    pub every: Every,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What shows that it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// What that must show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Whether no release begins while it is overdue.
    #[serde(default)]
    pub blocks: bool,
}

/// How often a duty falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// After so many days.
    Days(u16),
    /// After so many months of the calendar.
    Months(u16),
    /// After each deployment that ended.
    Deployment,
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(1) => f.write_str("day"),
            Self::Days(7) => f.write_str("week"),
            Self::Days(days) => write!(f, "{days} days"),
            Self::Months(1) => f.write_str("month"),
            Self::Months(12) => f.write_str("year"),
            Self::Months(months) => write!(f, "{months} months"),
            Self::Deployment => f.write_str("deployment"),
        }
    }
}

/// That it was done once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When somebody said so.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// What shows it.
    pub evidence: String,
}

/// What is known of a duty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// When the first deployment began that declared it: its clock runs from there.
    pub since: Timestamp,
    /// The times that it was done, oldest first.
    #[serde(default)]
    pub done: Vec<Done>,
}

/// How a duty stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing<'s> {
    /// The duty.
    pub duty: &'s Duty,
    /// The last time that it was done.
    pub last: Option<&'s Done>,
    /// When it is due; `None` is not before the next deployment ends.
    pub due: Option<Timestamp>,
}

impl Standing<'_> {
    /// Whether its time is over.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

/// How the duties of a plan stand. One that no deployment declared before has its whole time.
#[must_use]
pub fn standings<'s>(state: &'s State, plan: &'s Plan, now: Timestamp) -> Vec<Standing<'s>> {
    let one = |duty: &'s Duty| {
        let known = state.duties.get(&duty.name);
        let last = known.and_then(|known| known.done.last());
        let from =
            last.map(|done| done.at).or_else(|| known.map(|known| known.since)).unwrap_or(now);
        Standing { duty, last, due: due(state, duty.every, from) }
    };
    plan.duties.iter().map(one).collect()
}

fn due(state: &State, every: Every, from: Timestamp) -> Option<Timestamp> {
    let after = |span: Span| {
        // What lies beyond the end of the calendar never comes.
        from.to_zoned(TimeZone::UTC).checked_add(span).ok().map(|due| due.timestamp())
    };
    match every {
        Every::Days(days) => after(i64::from(days).days()),
        Every::Months(months) => after(i64::from(months).months()),
        Every::Deployment => {
            state.history.iter().map(|ended| ended.ended_at).find(|ended| *ended >= from)
        }
    }
}

/// What a plan that begins makes known of its duties.
pub(crate) fn declare(known: &mut BTreeMap<String, Known>, plan: &Plan, at: Timestamp) {
    for duty in &plan.duties {
        let new = || Known { since: at, done: Vec::new() };
        known.entry(duty.name.clone()).or_insert_with(new);
    }
}

#[cfg(test)]
mod tests {
    use super::Every;

    #[test]
    fn a_month_is_one_of_the_calendar() {
        let state = crate::state::State::default();
        let from = "2026-01-31T12:00:00Z".parse().unwrap();
        let due = |every| super::due(&state, every, from).map(|due| due.to_string());
        assert_eq!(due(Every::Months(1)).as_deref(), Some("2026-02-28T12:00:00Z"));
        assert_eq!(due(Every::Months(12)).as_deref(), Some("2027-01-31T12:00:00Z"));
        assert_eq!(due(Every::Days(7)).as_deref(), Some("2026-02-07T12:00:00Z"));
        assert_eq!(due(Every::Deployment), None);
    }
}
