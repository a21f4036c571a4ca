//! Ports of what is done once for a deployment: custom steps.
//! Must never be asked for a level: what is done here has an end.

use std::fmt;

use async_trait::async_trait;
use tidegate_core::effect::StepJob;
use tidegate_core::ids::DeploymentId;
use tidegate_core::input::StepReport;

/// What carries out custom steps.
///
/// # Guarantees
/// An attempt is carried out at most once, whoever dies in between.
/// # Idempotency
/// Asked again about an attempt that began, it says what became of it: what was recorded, else what
/// the step's own `verify` says, else that it is lost. Only a step that says that it is idempotent
/// is done again.
/// # Errors
/// None: whatever goes wrong is a report.
#[async_trait]
pub trait Steps: Send + Sync + fmt::Debug {
    /// Carries out one attempt, and returns when it is over. Dropping the call stops it.
    async fn attempt(&self, deployment: &DeploymentId, attempt: u32, job: &StepJob) -> StepReport;
}
