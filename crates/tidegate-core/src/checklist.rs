//! Checklists: the boxes of a runbook as a view over gates, phases and what people vouch for.
//! Must never close a box for want of news: what nothing has shown is open.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::gate::GateResult;
use crate::plan::Plan;
use crate::state::{Deployment, Phase, PhaseResult, StepStands};

/// Most boxes of one plan: the five longest checklists known have 45 boxes together.
pub const BOXES_MAX: usize = 256;
/// Longest words of a box, characters.
pub const WORDS_CHARS_MAX: usize = 300;

/// One box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The list that it stands in: `before`.
    pub list: String,
    /// Its place in the list, from 1.
    pub number: u32,
    /// The words of the runbook.
    pub words: String,
    /// The line of the runbook, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What closes it.
    pub proof: Proof,
    /// Whether a deployment succeeds only with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mandatory: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Item {
    /// How it is named on the command line: `before.3`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.list, self.number)
    }

    /// Whether a person closes it: nothing else can see it.
    #[must_use]
    pub fn is_vouched_for(&self) -> bool {
        matches!(self.proof, Proof::Vouched { .. } | Proof::Declared { .. })
    }
}

/// What closes a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The gate of that name is open.
    Gate {
        /// Its name.
        name: String,
    },
    /// The phase of that word has passed.
    Phase {
        /// Its word.
        word: String,
    },
    /// The custom step of that name, or all that a matrix made of it, ended well.
    Step {
        /// Its name.
        name: String,
    },
    /// Somebody vouches for it.
    Vouched {
        /// Who is asked, in the words of the runbook.
        by: String,
    },
    /// A key of the file that says how it is, and that nothing watches: somebody vouches for it.
    Declared {
        /// The key.
        key: String,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate { name } => write!(f, "the gate {name}"),
            Self::Phase { word } => write!(f, "the phase {word}"),
            Self::Step { name } => write!(f, "the step {name}"),
            Self::Vouched { by } => write!(f, "the word of {by}"),
            Self::Declared { key } => write!(f, "somebody's word for `{key}`"),
        }
    }
}

/// How a box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Something showed it.
    Closed,
    /// Nothing has shown it yet.
    Open,
    /// It was shown not to be so.
    Failed,
}

impl Stand {
    /// The word in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Failed => "failed",
        }
    }
}

/// A box with how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing<'a> {
    /// The box.
    pub item: &'a Item,
    /// How it stands.
    pub stand: Stand,
    /// Why, in one line.
    pub sentence: String,
}

/// The box that somebody names, by `before.3` or by its words.
#[must_use]
pub fn find<'a>(plan: &'a Plan, named: &str) -> Option<&'a Item> {
    let by_name = plan.checklist.iter().find(|item| item.name() == named);
    by_name.or_else(|| plan.checklist.iter().find(|item| item.words == named))
}

/// How every box of a deployment stands, in the order of the file.
#[must_use]
pub fn standing(deployment: &Deployment, now: Timestamp) -> Vec<Standing<'_>> {
    let stand = |item| {
        let (stand, sentence) = of(item, deployment, now);
        Standing { item, stand, sentence }
    };
    deployment.plan.checklist.iter().map(stand).collect()
}

/// The mandatory boxes that are not closed.
#[must_use]
pub fn missing(deployment: &Deployment, now: Timestamp) -> Vec<&Item> {
    let all = standing(deployment, now).into_iter();
    let missing = all.filter(|one| one.item.mandatory && one.stand != Stand::Closed);
    missing.map(|one| one.item).collect()
}

/// What of it is missing, in one line; `None` when nothing is.
#[must_use]
pub fn missing_sentence(deployment: &Deployment, now: Timestamp) -> Option<String> {
    let missing = missing(deployment, now);
    let first = missing.first()?;
    let mandatory = deployment.plan.checklist.iter().filter(|item| item.mandatory).count();
    let more = match missing.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "{} of {mandatory} mandatory boxes are not closed: {} \"{}\"{more}",
        missing.len(),
        first.name(),
        first.words
    ))
}

fn of(item: &Item, deployment: &Deployment, now: Timestamp) -> (Stand, String) {
    match &item.proof {
        Proof::Gate { name } => by_gate(name, &deployment.gates),
        Proof::Phase { word } => by_phase(word, deployment),
        Proof::Step { name } => by_step(name, deployment),
        Proof::Vouched { .. } | Proof::Declared { .. } => by_word(item, deployment, now),
    }
}

fn by_gate(name: &str, gates: &[GateResult]) -> (Stand, String) {
    let Some(result) = gates.iter().find(|result| result.gate == name) else {
        return (Stand::Open, format!("the gate {name} was not weighed yet"));
    };
    let sentence = format!("{name} {}: {}", result.outcome.word(), result.sentence);
    if !result.needed {
        (Stand::Closed, format!("{name} is not needed: {}", result.sentence))
    } else if result.outcome.allows_progress() {
        (Stand::Closed, sentence)
    } else {
        (Stand::Failed, sentence)
    }
}

fn by_phase(word: &str, deployment: &Deployment) -> (Stand, String) {
    if word == "rollback" {
        return way_back(deployment);
    }
    // The roles have moved when this phase is entered; what is left is that it is read back.
    if word == Phase::Finish.word() && deployment.phase == Phase::Finish {
        return (Stand::Closed, "the roles have moved".to_owned());
    }
    let last = deployment.passed.iter().rev().find(|record| record.phase.word() == word);
    let Some(record) = last.filter(|_| deployment.phase.word() != word) else {
        return (Stand::Open, format!("{word} has not ended"));
    };
    match record.result {
        PhaseResult::Passed => (Stand::Closed, format!("{word} passed at {:.0}", record.until)),
        PhaseResult::NotRequired => {
            (Stand::Open, format!("{word} is not required by this plan: nothing was shown"))
        }
        PhaseResult::Skipped => (Stand::Open, format!("{word} was skipped: nothing was shown")),
        PhaseResult::Failed => (Stand::Failed, format!("{word} failed at {:.0}", record.until)),
    }
}

/// By a step, or by every step that a matrix made of it.
fn by_step(name: &str, deployment: &Deployment) -> (Stand, String) {
    let of_matrix = |step: &str| step.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let steps = deployment.plan.custom.iter().map(|step| &step.name);
    let steps: Vec<_> =
        steps.filter(|step| step.as_str() == name || of_matrix(step.as_str())).collect();
    if steps.is_empty() {
        return (Stand::Open, format!("the plan has no step {name}"));
    }
    let mut sentence = String::new();
    for step in steps {
        let Some(record) = deployment.steps.get(step) else {
            return (Stand::Open, format!("the step {step} has not begun"));
        };
        let word = record.stands.word();
        sentence = format!("the step {step} {word}: {}", record.summary);
        match record.stands {
            StepStands::Ended(outcome) if outcome.allows_progress() => {}
            StepStands::Ended(_) => return (Stand::Failed, sentence),
            StepStands::Skipped => {}
            StepStands::Running | StepStands::Lost => {
                return (Stand::Open, format!("the step {step} is {word}"));
            }
        }
    }
    (Stand::Closed, sentence)
}

/// A way back is there from the moment in which something runs that it leads away from.
fn way_back(deployment: &Deployment) -> (Stand, String) {
    if let Some(back) = &deployment.going_back {
        return (Stand::Closed, format!("it was taken: {}", back.why));
    }
    match deployment.targets.values().next() {
        Some(target) if deployment.phase.rollback_is_armed() => {
            (Stand::Closed, format!("armed: it leads to {}", target.revision))
        }
        Some(_) => (Stand::Open, "it is armed when the candidate is started".to_owned()),
        None => (Stand::Open, "nothing was live: there is no way back".to_owned()),
    }
}

fn by_word(item: &Item, deployment: &Deployment, now: Timestamp) -> (Stand, String) {
    let Some(word) = deployment.attested.get(&item.words) else {
        return (Stand::Open, format!("it waits for {}", item.proof));
    };
    let note = word.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
    let who = format!("{} at {:.0}{note}", word.by, word.at);
    if word.counts(now) {
        (Stand::Closed, format!("vouched for by {who}"))
    } else {
        (Stand::Open, format!("expired; it was vouched for by {who}"))
    }
}
