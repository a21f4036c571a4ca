//! Triggers as the API answers. Must never show a secret of a webhook.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What watches a repository for releases.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Trigger {
    /// Its name.
    pub(crate) name: String,
    /// The repository.
    pub(crate) repository: String,
    /// Which tags, `v*`.
    pub(crate) tags: String,
    /// `by-hand` shows a new release as ready, `automatic` begins it.
    pub(crate) start: String,
    /// When it last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) looked_at: Option<Timestamp>,
    /// The newest release there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// The commit that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    /// How it stands, in one sentence.
    pub(crate) sentence: String,
    /// Whether the newest release waits for somebody to begin it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ready: Option<Ready>,
    /// Whether something stands in the way, and a person has to look.
    pub(crate) troubled: bool,
}

/// A release that waits for somebody to begin it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Ready {
    /// The service.
    pub(crate) service: String,
    /// Where it would run.
    pub(crate) environment: String,
    /// The version.
    pub(crate) version: String,
    /// Since when it is known.
    pub(crate) since: Timestamp,
    /// The command that begins it.
    pub(crate) command: String,
}

/// All of them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Triggers {
    /// In the order of the settings.
    pub(crate) triggers: Vec<Trigger>,
}
