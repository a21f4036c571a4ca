//! Why there is a deployment, what it would go back to, and why the data plane acted by itself.
//! Must never lose a word that an event was written with.

use serde::{Deserialize, Serialize};

use crate::ids::SlotName;

/// Why there is a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentKind {
    /// A release goes forward.
    Release {
        /// Whether a quarantined artifact was explicitly allowed.
        despite_quarantine: bool,
    },
    /// An earlier release comes back, without steps and without waiting for anyone.
    Return {
        /// The person's reason.
        reason: String,
        /// Whether it still runs in its slot: traffic goes back first and is verified then.
        #[serde(default)]
        hot: bool,
    },
}

/// What runs live and is gone back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The slot.
    pub slot: SlotName,
    /// Label of the revision in it.
    pub revision: String,
}

/// Why the data plane acted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideKind {
    /// It heard nothing from the control plane for longer than the lease.
    Lease,
    /// Its own rule saw the candidate fail.
    Brake,
    /// A person asked at its socket.
    Emergency,
}
