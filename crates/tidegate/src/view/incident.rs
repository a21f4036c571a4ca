//! Incidents as the API answers, and what it is asked about them.
//! Must never hold an impact that was not counted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::message::Message;
use super::report::Did;

/// Something that went wrong, in short.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Incident {
    /// Its id, `i-7k3`.
    pub(crate) id: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// `p0` to `p3`, the worst first.
    pub(crate) severity: String,
    /// One line.
    pub(crate) title: String,
    /// `open`, `acknowledged` or `resolved`.
    pub(crate) state: String,
    /// How it stands and what comes next, in one sentence.
    pub(crate) sentence: String,
    /// The deployment that it came from.
    pub(crate) deployment: Option<String>,
    /// When it was opened.
    pub(crate) opened_at: Timestamp,
    /// By whom.
    pub(crate) opened_by: String,
    /// When somebody has to have answered; absent once somebody did, or all were called.
    pub(crate) answer_due: Option<Timestamp>,
    /// What is owed.
    pub(crate) owed: Vec<Owed>,
    /// When it was over.
    pub(crate) resolved_at: Option<Timestamp>,
}

/// Something that is owed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Owed {
    /// What, in words.
    pub(crate) what: String,
    /// Until when.
    pub(crate) until: Timestamp,
    /// Whether that is past.
    pub(crate) late: bool,
}

/// Everything about one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Whole {
    /// In short.
    #[serde(flatten)]
    pub(crate) incident: Incident,
    /// Who is called now; nobody by name where there is no ladder.
    pub(crate) called: Option<String>,
    /// Who is on it.
    pub(crate) acknowledged_by: Option<String>,
    /// Since when.
    pub(crate) acknowledged_at: Option<Timestamp>,
    /// Who does what.
    pub(crate) roles: Vec<Part>,
    /// What it cost users; absent where no deployment is to blame.
    pub(crate) impact: Option<Impact>,
    /// What is done, in order, as the file has it.
    pub(crate) steps: Vec<String>,
    /// Where people are reached.
    pub(crate) contact: Vec<String>,
    /// Whether the check after the rollback passed.
    pub(crate) verified: bool,
    /// On what ground it was resolved.
    pub(crate) resolved_why: Option<String>,
    /// By whom.
    pub(crate) resolved_by: Option<String>,
    /// What was learnt.
    pub(crate) postmortem: Option<Learnt>,
    /// What a post-mortem must have.
    pub(crate) contains: Vec<String>,
    /// Messages about it that wait for a person.
    pub(crate) drafts: Vec<Message>,
    /// Everything that happened, in order: the deployment's course and what people did about it.
    pub(crate) timeline: Vec<Did>,
}

/// A part that somebody has.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = IncidentPart)]
pub(crate) struct Part {
    /// What they do.
    pub(crate) role: String,
    /// Who.
    pub(crate) who: String,
}

/// What it cost users, from recorded traffic.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Impact {
    /// Requests that met the new version.
    pub(crate) requests: Option<u64>,
    /// Of those, failed, by the last verdict.
    pub(crate) failed: Option<u64>,
    /// From the first user until all were safe, milliseconds.
    pub(crate) users_ms: Option<i64>,
    /// The largest share of the traffic that it had, basis points.
    pub(crate) share_bp: Option<u16>,
}

/// What was learnt.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Learnt {
    /// When.
    pub(crate) at: Timestamp,
    /// By whom.
    pub(crate) by: String,
    /// Where it is written, or what it says in short.
    pub(crate) text: String,
    /// What is to be done.
    pub(crate) items: Vec<Item>,
}

/// An action item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ActionItem)]
pub(crate) struct Item {
    /// What.
    pub(crate) what: String,
    /// Who.
    pub(crate) owner: String,
    /// Until when.
    pub(crate) until: String,
}

/// Those of this server.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Incidents {
    /// Open ones first, the newest of each first.
    pub(crate) incidents: Vec<Incident>,
}

/// Open one by hand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OpenIncident)]
pub(crate) struct Open {
    /// The service.
    pub(crate) service: String,
    /// The environment; by default the only one.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// `p0` to `p3`.
    pub(crate) severity: String,
    /// One line.
    pub(crate) title: String,
    /// The deployment that it came from.
    #[serde(default)]
    pub(crate) deployment: Option<String>,
    /// A repeat with the same key changes nothing.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Do something about one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HandleIncident)]
pub(crate) struct Handle {
    /// `ack`, `assign`, `note`, `cause`, `regulator`, `weigh`, `resolve` or `learn`.
    pub(crate) act: String,
    /// A note, a cause, what the regulator was told, or where the post-mortem is.
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// Why it is weighed anew, or over.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// For `weigh`: `p0` to `p3`.
    #[serde(default)]
    pub(crate) severity: Option<String>,
    /// For `assign`: what they do.
    #[serde(default)]
    pub(crate) role: Option<String>,
    /// For `assign`: who.
    #[serde(default)]
    pub(crate) who: Option<String>,
    /// For `learn`: what is to be done.
    #[serde(default)]
    pub(crate) items: Vec<Item>,
    /// A repeat with the same key changes nothing.
    #[serde(default)]
    pub(crate) key: Option<String>,
}
