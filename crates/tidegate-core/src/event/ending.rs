//! How deployments end. Must never gain a word that means two things.

use serde::{Deserialize, Serialize};

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Live, watched and good.
    Succeeded,
    /// Live, but nobody used it enough to say that it is good.
    LiveUnverified,
    /// Everything is on the previous revision again, and that was verified.
    RolledBack,
    /// Everything is on the previous revision, but it did not answer as it should.
    RolledBackUnverified,
    /// A check failed before anything was changed.
    Stopped,
    /// A person ended it before any traffic.
    Aborted,
    /// A person refused it.
    Rejected,
    /// A newer deployment took its place.
    Superseded,
}

impl Ending {
    /// Whether the release it brought became live.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Succeeded | Self::LiveUnverified)
    }

    /// The words in every output.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::LiveUnverified => "live, unverified",
            Self::RolledBack => "rolled back",
            Self::RolledBackUnverified => "rolled back, unverified",
            Self::Stopped => "stopped",
            Self::Aborted => "aborted",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
        }
    }
}
