//! When deployments of a service may begin. Must never be read as a promise: a gate, a person or a
//! freeze may stand in the way until then.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The calendar of a service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Calendar {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The time zone of the window; absent without a window.
    pub(crate) zone: Option<String>,
    /// What becomes of a deployment that is under way when it closes: `finish` or `hold`.
    pub(crate) overrun: Option<String>,
    /// Whether one may begin now.
    pub(crate) door: Door,
    /// When one may begin, in order; empty without a window.
    pub(crate) openings: Vec<Opening>,
    /// Freezes that are on or to come.
    pub(crate) freezes: Vec<Freeze>,
    /// The hour with the fewest recorded requests, where the window prefers low traffic.
    #[serde(default)]
    pub(crate) proposal: Option<Proposal>,
    /// Duties of the service, those without a date among them.
    #[serde(default)]
    pub(crate) duties: Vec<super::duty::Duty>,
}

/// An hour that is proposed; it is opened by nothing.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = CalendarProposal)]
pub(crate) struct Proposal {
    /// The hour; absent while nothing was recorded in any hour in which one may begin.
    pub(crate) hour: Option<Opening>,
    /// Why, with the numbers.
    pub(crate) sentence: String,
}

/// Whether a deployment may begin now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Door {
    /// Whether it may.
    pub(crate) open: bool,
    /// When that changes; absent when no such time is in sight.
    pub(crate) until: Option<Timestamp>,
    /// Why not, in one line.
    pub(crate) why: Option<String>,
}

impl Door {
    /// As it is decided.
    pub(crate) fn of(door: tidegate_core::window::Door) -> Self {
        match door {
            tidegate_core::window::Door::Open { closes } => {
                Self { open: true, until: closes, why: None }
            }
            tidegate_core::window::Door::Closed { why, opens } => {
                Self { open: false, until: opens, why: Some(why) }
            }
        }
    }

    /// As one line.
    pub(crate) fn sentence(&self) -> String {
        match (self.open, self.until) {
            (true, None) => "a deployment may begin".to_owned(),
            (true, Some(until)) => format!("a deployment may begin until {until:.0}"),
            (false, until) => {
                let why = self.why.as_deref().unwrap_or("it is closed");
                let then = match until {
                    Some(until) => format!("a deployment waits until {until:.0}"),
                    None => "no time is in sight at which one may begin".to_owned(),
                };
                format!("{why}; {then}, a rollback does not")
            }
        }
    }
}

/// A time in which a deployment may begin.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = CalendarOpening)]
pub(crate) struct Opening {
    /// From when.
    pub(crate) from: Timestamp,
    /// Until when.
    pub(crate) to: Timestamp,
}

/// A time in which none may.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = CalendarFreeze)]
pub(crate) struct Freeze {
    /// Its name.
    pub(crate) name: String,
    /// Why.
    pub(crate) reason: String,
    /// From when.
    pub(crate) from: Timestamp,
    /// Until when.
    pub(crate) until: Timestamp,
    /// Who.
    pub(crate) by: String,
}
