//! Who may do what: roles as data, acts as the verbs of the product, and the one matrix of both.
//! Must never allow what no row says: an act that is missing from a role is denied.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::input::Command;
use crate::state::State;

/// What somebody can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Look at anything.
    Read,
    /// Begin a deployment, or take the place of one.
    Deploy,
    /// Go no further.
    Hold,
    /// End a hold.
    Resume,
    /// Go to the next step early.
    Advance,
    /// End a deployment before any traffic.
    Abort,
    /// Agree, or take that back.
    Approve,
    /// Refuse.
    Reject,
    /// Vouch for something.
    Attest,
    /// Add a report that gates rest on.
    AddEvidence,
    /// Set a gate aside.
    Waive,
    /// Send back what is in flight.
    RollBack,
    /// Bring an earlier release back when nothing is in flight.
    Return,
    /// Answer incidents and look after messages.
    Respond,
    /// Ask probes and suites by hand.
    Ask,
    /// Verify and export the journal.
    Audit,
    /// Accounts, groups, roles and tokens of others.
    People,
    /// Stop the server.
    Serve,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 18] = [
        Self::Read,
        Self::Deploy,
        Self::Hold,
        Self::Resume,
        Self::Advance,
        Self::Abort,
        Self::Approve,
        Self::Reject,
        Self::Attest,
        Self::AddEvidence,
        Self::Waive,
        Self::RollBack,
        Self::Return,
        Self::Respond,
        Self::Ask,
        Self::Audit,
        Self::People,
        Self::Serve,
    ];

    /// The act that a command is, in a state.
    #[must_use]
    pub fn of(command: &Command, state: &State) -> Self {
        match command {
            Command::Deploy { .. } => Self::Deploy,
            Command::Hold { .. } | Command::Freeze { .. } => Self::Hold,
            Command::Resume { .. } | Command::Thaw { .. } | Command::Settle { .. } => Self::Resume,
            Command::Advance { .. } => Self::Advance,
            Command::Approve { .. } | Command::Withdraw { .. } => Self::Approve,
            Command::Attest { .. } | Command::DoneDuty { .. } => Self::Attest,
            Command::AddEvidence { .. } | Command::AddBackup { .. } | Command::AddDrill { .. } => {
                Self::AddEvidence
            }
            Command::Waive { .. } | Command::HoldBackup { .. } => Self::Waive,
            Command::Reject { .. } => Self::Reject,
            Command::Abort { .. } => Self::Abort,
            Command::Message { .. } | Command::Incident { .. } => Self::Respond,
            Command::Rollback { .. } if state.current.is_some() => Self::RollBack,
            Command::Rollback { .. } => Self::Return,
        }
    }

    /// The word in tokens, tables and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Advance => "advance",
            Self::Abort => "abort",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Attest => "attest",
            Self::AddEvidence => "add-evidence",
            Self::Waive => "waive",
            Self::RollBack => "roll-back",
            Self::Return => "return",
            Self::Respond => "respond",
            Self::Ask => "ask",
            Self::Audit => "audit",
            Self::People => "people",
            Self::Serve => "serve",
        }
    }

    /// What only a human being may do, whatever a token says.
    #[must_use]
    pub fn is_human(self) -> bool {
        matches!(self, Self::Approve | Self::Reject | Self::Attest | Self::Waive | Self::People)
    }
}

/// What somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The user of the machine who runs the server, by the kernel's word.
    Owner,
    /// Looks after accounts and the server; decides about no release.
    Administrator,
    /// Brings releases to production.
    ReleaseManager,
    /// Keeps production running: stops and goes back, begins nothing.
    Sre,
    /// Looks after the machines.
    Devops,
    /// Tests releases.
    Qa,
    /// Writes them.
    Developer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Administrator,
        Self::ReleaseManager,
        Self::Sre,
        Self::Devops,
        Self::Qa,
        Self::Developer,
    ];

    /// The word in commands and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Administrator => "administrator",
            Self::ReleaseManager => "release-manager",
            Self::Sre => "sre",
            Self::Devops => "devops",
            Self::Qa => "qa",
            Self::Developer => "developer",
        }
    }

    /// What it allows: the matrix. Going back with what is in flight is everybody's.
    #[must_use]
    pub fn acts(self) -> &'static [Act] {
        match self {
            Self::Owner => &Act::ALL,
            Self::Administrator => &[Act::Read, Act::RollBack, Act::Audit, Act::People, Act::Serve],
            Self::ReleaseManager => &[
                Act::Read,
                Act::Deploy,
                Act::Hold,
                Act::Resume,
                Act::Advance,
                Act::Abort,
                Act::Approve,
                Act::Reject,
                Act::Attest,
                Act::AddEvidence,
                Act::Waive,
                Act::RollBack,
                Act::Return,
                Act::Respond,
                Act::Ask,
                Act::Audit,
            ],
            Self::Sre => &[
                Act::Read,
                Act::Hold,
                Act::Resume,
                Act::Abort,
                Act::Approve,
                Act::Reject,
                Act::Attest,
                Act::RollBack,
                Act::Return,
                Act::Respond,
                Act::Ask,
                Act::Audit,
            ],
            Self::Devops => &[
                Act::Read,
                Act::Hold,
                Act::Resume,
                Act::Approve,
                Act::Reject,
                Act::Attest,
                Act::AddEvidence,
                Act::RollBack,
                Act::Respond,
                Act::Ask,
            ],
            Self::Qa => &[
                Act::Read,
                Act::Resume,
                Act::Approve,
                Act::Reject,
                Act::Attest,
                Act::AddEvidence,
                Act::RollBack,
                Act::Ask,
            ],
            Self::Developer => &[
                Act::Read,
                Act::Resume,
                Act::Approve,
                Act::Reject,
                Act::Attest,
                Act::AddEvidence,
                Act::RollBack,
            ],
        }
    }
}

/// What one account or token may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grant {
    /// What a person is.
    pub roles: BTreeSet<Role>,
    /// What a machine's token names, act by act.
    pub acts: BTreeSet<Act>,
    /// Only these services; empty is all of them.
    pub services: BTreeSet<String>,
    /// Whether it is a human being's.
    pub human: bool,
}

impl Grant {
    /// Everything, for whoever runs the server.
    #[must_use]
    pub fn owner() -> Self {
        Self { roles: BTreeSet::from([Role::Owner]), human: true, ..Self::default() }
    }

    /// Whether an act is allowed on a service; without a service, on the server itself.
    #[must_use]
    pub fn allows(&self, act: Act, service: Option<&str>) -> bool {
        let here =
            service.is_none_or(|name| self.services.is_empty() || self.services.contains(name));
        let named = self.acts.contains(&act) && !act.is_human();
        let by_role = self.human && self.roles.iter().any(|role| role.acts().contains(&act));
        here && (named || by_role)
    }
}
