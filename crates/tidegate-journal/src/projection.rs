//! The list of deployments as it follows from the events.
//! Must never hold what no event said.

use serde_json::Value;
use tidegate_core::event::{Ending, Event, Recorded};
use tidegate_core::ids::{DeploymentId, Scope};
use tidegate_engine::ports::{DeploymentRow, JournalError};

use crate::entry::time_of;

/// What one event changes in the list.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A row is added.
    Started(Box<DeploymentRow>),
    /// A row is completed, if there is one: a deployment that only ever waited has none.
    Ended(Closing),
}

/// How a deployment ended.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    pub(crate) deployment: DeploymentId,
    pub(crate) last_seq: u64,
    pub(crate) ended_us: i64,
    pub(crate) ending: Ending,
    pub(crate) why: String,
}

impl Change {
    /// What this event of this stream changes, if anything.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when its time is none.
    pub(crate) fn of(scope: &Scope, recorded: &Recorded) -> Result<Option<Self>, JournalError> {
        Ok(match &recorded.event {
            Event::DeploymentStarted { deployment, plan, .. } => {
                Some(Self::Started(Box::new(DeploymentRow {
                    deployment: deployment.clone(),
                    scope: scope.clone(),
                    version: plan.release.version.clone(),
                    first_seq: recorded.seq,
                    last_seq: None,
                    // Rows have whole microseconds, whichever store keeps them.
                    started_at: time_of(recorded.at.as_microsecond())?,
                    started_by: recorded.actor.clone(),
                    ended_at: None,
                    ending: None,
                    why: None,
                })))
            }
            Event::DeploymentEnded { deployment, ending, why } => Some(Self::Ended(Closing {
                deployment: deployment.clone(),
                last_seq: recorded.seq,
                ended_us: recorded.at.as_microsecond(),
                ending: *ending,
                why: why.clone(),
            })),
            _ => None,
        })
    }
}

impl Closing {
    /// Completes a row.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when its time is none.
    pub(crate) fn complete(self, row: &mut DeploymentRow) -> Result<(), JournalError> {
        row.last_seq = Some(self.last_seq);
        row.ended_at = Some(time_of(self.ended_us)?);
        row.ending = Some(self.ending);
        row.why = Some(self.why);
        Ok(())
    }
}

/// An ending as a column: the word it has in the events.
pub(crate) fn ending_text(ending: Ending) -> String {
    match serde_json::to_value(ending) {
        Ok(Value::String(word)) => word,
        // A unit variant is always a string; the words people read are unique as well.
        Ok(_) | Err(_) => ending.words().to_owned(),
    }
}

/// Reads [`ending_text`].
pub(crate) fn ending_of(word: &str) -> Option<Ending> {
    serde_json::from_value(Value::String(word.to_owned())).ok()
}
