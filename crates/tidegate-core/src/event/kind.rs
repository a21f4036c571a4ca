//! The names of all kinds of events, and whose each is. Must never give a name to a second kind.

use super::Event;
use crate::ids::IncidentId;

impl Event {
    /// The incident that it is about.
    #[must_use]
    pub fn incident(&self) -> Option<&IncidentId> {
        match self {
            Self::IncidentOpened { incident, .. }
            | Self::IncidentAcknowledged { incident }
            | Self::IncidentCalled { incident, .. }
            | Self::IncidentAssigned { incident, .. }
            | Self::IncidentNoted { incident, .. }
            | Self::IncidentWeighed { incident, .. }
            | Self::IncidentOverdue { incident, .. }
            | Self::IncidentResolved { incident, .. }
            | Self::IncidentLearnt { incident, .. } => Some(incident),
            _ => None,
        }
    }

    /// The kind as it stands in the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DeploymentStarted { .. } => "deployment_started",
            Self::DeploymentQueued { .. } => "deployment_queued",
            Self::PhaseEntered { .. } => "phase_entered",
            Self::TaskFinished { .. } => "task_finished",
            Self::TaskRetried { .. } => "task_retried",
            Self::TaskBegan { .. } => "task_began",
            Self::TaskLost { .. } => "task_lost",
            Self::TaskSettled { .. } => "task_settled",
            Self::StepGave { .. } => "step_gave",
            Self::StepSkipped { .. } => "step_skipped",
            Self::ArtifactPinned { .. } => "artifact_pinned",
            Self::EvidenceAdded { .. } => "evidence_added",
            Self::GateWaived { .. } => "gate_waived",
            Self::FreezeBegan { .. } => "freeze_began",
            Self::FreezeEnded { .. } => "freeze_ended",
            Self::BackupMade { .. } => "backup_made",
            Self::BackupDrilled { .. } => "backup_drilled",
            Self::BackupHeld { .. } => "backup_held",
            Self::BackupExpired { .. } => "backup_expired",
            Self::BackupDropped { .. } => "backup_dropped",
            Self::DutyDone { .. } => "duty_done",
            Self::GatesWeighed { .. } => "gates_weighed",
            Self::ApprovalGiven { .. } => "approval_given",
            Self::ApprovalWithdrawn { .. } => "approval_withdrawn",
            Self::RightsSeen { .. } => "rights_seen",
            Self::Attested { .. } => "attested",
            Self::ConditionConfirmed { .. } => "condition_confirmed",
            Self::ReviewOpened { .. } => "review_opened",
            Self::SlotWanted { .. } => "slot_wanted",
            Self::SlotChanged { .. } => "slot_changed",
            Self::SplitWanted { .. } => "split_wanted",
            Self::SplitConfirmed { .. } => "split_confirmed",
            Self::SplitRefused { .. } => "split_refused",
            Self::SplitLost { .. } => "split_lost",
            Self::SplitOverridden { .. } => "split_overridden",
            Self::StepConverged { .. } => "step_converged",
            Self::StepPassed { .. } => "step_passed",
            Self::StepBraked { .. } => "step_braked",
            Self::VerdictChanged { .. } => "verdict_changed",
            Self::HoldBegan { .. } => "hold_began",
            Self::HoldEnded { .. } => "hold_ended",
            Self::PersonCalled { .. } => "person_called",
            Self::RollbackBegan { .. } => "rollback_began",
            Self::RolesMoved { .. } => "roles_moved",
            Self::DeploymentEnded { .. } => "deployment_ended",
            Self::MessageQueued { .. } => "message_queued",
            Self::MessageSent { .. } => "message_sent",
            Self::MessageFailed { .. } => "message_failed",
            Self::MessageRetried { .. } => "message_retried",
            Self::MessageDropped { .. } => "message_dropped",
            Self::IncidentOpened { .. } => "incident_opened",
            Self::IncidentAcknowledged { .. } => "incident_acknowledged",
            Self::IncidentCalled { .. } => "incident_called",
            Self::IncidentAssigned { .. } => "incident_assigned",
            Self::IncidentNoted { .. } => "incident_noted",
            Self::IncidentWeighed { .. } => "incident_weighed",
            Self::IncidentOverdue { .. } => "incident_overdue",
            Self::IncidentResolved { .. } => "incident_resolved",
            Self::IncidentLearnt { .. } => "incident_learnt",
            Self::Faulted { .. } => "faulted",
        }
    }

    /// Every kind: the corpus holds a file of each.
    pub const KINDS: [&'static str; 60] = [
        "deployment_started",
        "deployment_queued",
        "phase_entered",
        "task_finished",
        "task_retried",
        "task_began",
        "task_lost",
        "task_settled",
        "step_gave",
        "step_skipped",
        "artifact_pinned",
        "evidence_added",
        "gate_waived",
        "freeze_began",
        "freeze_ended",
        "backup_made",
        "backup_drilled",
        "backup_held",
        "backup_expired",
        "backup_dropped",
        "duty_done",
        "gates_weighed",
        "approval_given",
        "approval_withdrawn",
        "rights_seen",
        "attested",
        "condition_confirmed",
        "review_opened",
        "slot_wanted",
        "slot_changed",
        "split_wanted",
        "split_confirmed",
        "split_refused",
        "split_lost",
        "split_overridden",
        "step_converged",
        "step_passed",
        "step_braked",
        "verdict_changed",
        "hold_began",
        "hold_ended",
        "person_called",
        "rollback_began",
        "roles_moved",
        "deployment_ended",
        "message_queued",
        "message_sent",
        "message_failed",
        "message_retried",
        "message_dropped",
        "incident_opened",
        "incident_acknowledged",
        "incident_called",
        "incident_assigned",
        "incident_noted",
        "incident_weighed",
        "incident_overdue",
        "incident_resolved",
        "incident_learnt",
        "faulted",
    ];
}
