//! Messages as the API answers, and what it is asked about them.
//! Must never show how a channel is reached: that may be a secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One message for one receiver.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Message {
    /// Its number within its service.
    pub(crate) number: u64,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// What it is about: `start`, `rollback`, ...
    pub(crate) on: String,
    /// The channel: `slack`, `email`, ...
    pub(crate) channel: String,
    /// The room, address, severity or name there.
    pub(crate) address: String,
    /// `draft`, `due`, `resting`, `dead` or `sent`.
    pub(crate) state: String,
    /// Since when it is there; when it was taken, for one that was.
    pub(crate) at: Timestamp,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// When it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    /// What the last attempt said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) said: Option<String>,
    /// One line.
    pub(crate) title: String,
    /// Why, with the numbers.
    pub(crate) text: String,
    /// The deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deployment: Option<String>,
    /// The incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) incident: Option<String>,
}

impl Message {
    /// Whether somebody has to do something about it.
    pub(crate) fn needs_somebody(&self) -> bool {
        matches!(self.state.as_str(), "draft" | "dead")
    }
}

/// Messages, those that are not done with first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Messages {
    /// Of every service that was asked for.
    pub(crate) messages: Vec<Message>,
}

/// Do something about a message.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Handle {
    /// `redeliver` one that was given up, `release` a draft, `drop` one that nobody needs.
    pub(crate) act: String,
    /// The environment; by default the only one.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// For a draft: the words that customers read, where they are other than the draft's.
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// Why it is dropped.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// A repeat with the same key changes nothing.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Send a test message.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Try {
    /// The channel: `slack`, `email`, `teams`, `pagerduty`, `webhook`.
    pub(crate) channel: String,
    /// The room, address, severity or name there.
    pub(crate) address: String,
}
