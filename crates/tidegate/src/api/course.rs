//! The course of one deployment: its own events, folded. The same fold for one that runs and
//! one that ended years ago. Must never read events of another deployment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_core::apply;
use tidegate_core::event::{Ending, Event, Recorded};
use tidegate_core::state::{Phase, State};
use tidegate_core::verdict::Verdict;
use tidegate_engine::ports::DeploymentRow;

use super::Api;
use crate::problem::Problem;

/// Most events of one deployment that are read; a longer one is shown without its newest notes.
pub(crate) const EVENTS_MAX: usize = 20_000;
/// Events in one read of the journal.
const BATCH: u32 = 500;
/// Notes kept of one phase: retries of a task that flaps must not fill the screen.
const NOTES_MAX: usize = 12;

/// What the events of one deployment say.
pub(crate) struct Course {
    /// The state that its own events fold to, just before its end.
    pub(crate) state: State,
    /// What the checks of each phase said.
    pub(crate) notes: BTreeMap<&'static str, Vec<String>>,
    /// The judge's last word, which a way back does not take away.
    pub(crate) verdict: Option<Verdict>,
    /// Its end.
    pub(crate) end: Option<(Ending, String, Timestamp)>,
    /// Sequence of its newest event.
    pub(crate) seq: u64,
}

/// Reads and folds the events of a deployment.
///
/// # Errors
/// Those of the journal.
pub(crate) async fn read(api: &Api, row: &DeploymentRow) -> Result<Course, Problem> {
    let mut course = Course::of(row);
    follow(api, row, &mut course).await?;
    Ok(course)
}

/// Reads on, and folds what came since.
///
/// # Errors
/// Those of the journal.
pub(crate) async fn follow(
    api: &Api,
    row: &DeploymentRow,
    course: &mut Course,
) -> Result<(), Problem> {
    // Behind the end stand the events of the next one.
    if course.end.is_none() {
        for recorded in events(api, row, course.seq).await? {
            course.take(&recorded);
        }
    }
    Ok(())
}

/// The events of a deployment after a sequence, oldest first, at most [`EVENTS_MAX`].
///
/// # Errors
/// Those of the journal.
pub(crate) async fn events(
    api: &Api,
    row: &DeploymentRow,
    after: u64,
) -> Result<Vec<Recorded>, Problem> {
    let last = row.last_seq.unwrap_or(u64::MAX);
    let mut from = after.max(row.first_seq.saturating_sub(1));
    let mut found = Vec::new();
    while found.len() < EVENTS_MAX {
        let batch = api.ports().journal.read(&row.scope, from, BATCH).await?;
        let Some(newest) = batch.last().map(|recorded| recorded.seq) else {
            break;
        };
        let mine: Vec<Recorded> =
            batch.into_iter().filter(|recorded| recorded.seq <= last).collect();
        let ends = mine.iter().any(|recorded| is_end(&recorded.event, row));
        found.extend(mine);
        if newest >= last || ends {
            break;
        }
        from = newest;
    }
    cut_after_end(&mut found, row);
    Ok(found)
}

/// Events behind the end belong to the next deployment; the row may have been read before it.
fn cut_after_end(found: &mut Vec<Recorded>, row: &DeploymentRow) {
    if let Some(end) = found.iter().position(|recorded| is_end(&recorded.event, row)) {
        found.truncate(end + 1);
    }
}

pub(crate) fn is_end(event: &Event, row: &DeploymentRow) -> bool {
    matches!(event, Event::DeploymentEnded { deployment, .. } if *deployment == row.deployment)
}

impl Course {
    /// Nothing is read yet.
    pub(crate) fn of(row: &DeploymentRow) -> Self {
        Self {
            state: State::default(),
            notes: BTreeMap::new(),
            verdict: None,
            end: None,
            seq: row.first_seq.saturating_sub(1),
        }
    }

    fn take(&mut self, recorded: &Recorded) {
        self.seq = recorded.seq;
        let phase = self.state.current.as_ref().map(|deployment| deployment.phase);
        match &recorded.event {
            // The state before the end tells more than the state after it.
            Event::DeploymentEnded { ending, why, .. } => {
                self.end = Some((*ending, why.clone(), recorded.at));
                return;
            }
            Event::TaskFinished { summary, retry_at: None, .. } => self.note(phase, summary),
            Event::TaskFinished { summary, attempt, .. } => {
                self.note(phase, &format!("attempt {attempt}: {summary}"));
            }
            Event::VerdictChanged { verdict, .. } => self.verdict = Some(verdict.clone()),
            Event::StepBraked { why, .. } => self.note(phase, why),
            Event::StepPassed { bypassed: Some(missing), .. } => {
                self.note(phase, &format!("advanced by {} despite: {missing}", recorded.actor));
            }
            _ => {}
        }
        apply(&mut self.state, recorded);
    }

    fn note(&mut self, phase: Option<Phase>, text: &str) {
        if let Some(phase) = phase {
            let notes = self.notes.entry(phase.word()).or_default();
            if notes.len() < NOTES_MAX && !text.is_empty() {
                notes.push(text.to_owned());
            }
        }
    }
}
