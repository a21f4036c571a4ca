//! The phases of a deployment, the stages of its way back, and how each ended.
//! Must never hold what a phase found out: that is the state's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The release is known; the live side is checked.
    Ready,
    /// Evidence is weighed.
    Gates,
    /// The artifact is made and D computed.
    Plan,
    /// People decide.
    Approvals,
    /// A copy is made and verified.
    Backup,
    /// The candidate is started.
    Deploy,
    /// The candidate answers its probes.
    Health,
    /// The candidate does its work.
    Smoke,
    /// User requests move.
    Traffic {
        /// Which step, from 0.
        step: u32,
    },
    /// All requests are on the candidate, the rules are still armed.
    Bake,
    /// Roles move.
    Finish,
    /// The way back.
    Rollback {
        /// How far.
        stage: Stage,
    },
    /// The way back is stuck: a person must look.
    NeedsPerson {
        /// The stage that it cannot complete.
        stage: Stage,
    },
}

impl Phase {
    /// The word in every output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Gates => "gates",
            Self::Plan => "plan",
            Self::Approvals => "approvals",
            Self::Backup => "backup",
            Self::Deploy => "deploy",
            Self::Health => "health",
            Self::Smoke => "smoke",
            Self::Traffic { .. } => "traffic",
            Self::Bake => "bake",
            Self::Finish => "finish",
            Self::Rollback { .. } => "rollback",
            Self::NeedsPerson { .. } => "needs-person",
        }
    }

    /// Whether something in the world was changed that a rollback has to undo.
    #[must_use]
    pub fn rollback_is_armed(self) -> bool {
        self >= Self::Deploy && !self.is_going_back()
    }

    /// Whether the way back has begun.
    #[must_use]
    pub fn is_going_back(self) -> bool {
        matches!(self, Self::Rollback { .. } | Self::NeedsPerson { .. })
    }

    /// The phases in their order, as a rail shows them.
    pub const RAIL: [&'static str; 11] = [
        "ready",
        "gates",
        "plan",
        "approvals",
        "backup",
        "deploy",
        "health",
        "smoke",
        "traffic",
        "bake",
        "finish",
    ];
}

/// The four stages of the way back, always in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The previous revision has all its instances.
    Capacity,
    /// All requests are on it.
    Traffic,
    /// It answers.
    Verify,
    /// The candidate is stopped.
    ScaleDown,
}

impl Stage {
    /// The word in every output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Traffic => "traffic",
            Self::Verify => "verify",
            Self::ScaleDown => "scale-down",
        }
    }
}

/// How a phase ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseResult {
    /// There was evidence and it was good.
    Passed,
    /// The plan has no rules for it.
    NotRequired,
    /// It does not apply: the first deployment has nothing to split.
    Skipped,
    /// It did not pass.
    Failed,
}

/// A phase that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// Which.
    pub phase: Phase,
    /// How.
    pub result: PhaseResult,
    /// When it began.
    pub since: Timestamp,
    /// When it ended.
    pub until: Timestamp,
}
