//! Incidents: how bad, whose, since when, which clocks run, and what is still owed when it is over.
//! Must never close one by itself: only a verified way back or a person's reason does.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::{Actor, DeploymentId, IncidentId};

/// Incidents remembered of one service; older ones that are over stay in the journal alone.
pub const INCIDENTS_MAX: usize = 64;
/// Notes of one incident; past it the oldest is left to the journal.
pub const NOTES_MAX: usize = 200;
/// Most rungs of a ladder.
pub const RUNGS_MAX: usize = 16;
/// How often an incident without a ladder is called out again while nobody answers.
pub const CALLS_WITHOUT_LADDER: u32 = 3;
/// Most action items of one post-mortem.
pub const ITEMS_MAX: usize = 64;
/// Longest text of a note, a title or an action item, characters.
pub const TEXT_CHARS_MAX: usize = 4_000;
/// When a post-mortem is due after the end, where the file does not say.
pub const POSTMORTEM_WITHIN: SignedDuration = SignedDuration::from_hours(48);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Users have nothing, or nobody knows what they have.
    P0,
    /// Users had something that failed.
    P1,
    /// Something that users can do without.
    P2,
    /// No user had it.
    P3,
}

impl Severity {
    /// Every class, worst first.
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    /// The word in files and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::P0 => "p0",
            Self::P1 => "p1",
            Self::P2 => "p2",
            Self::P3 => "p3",
        }
    }

    /// How soon somebody answers, where the file does not say.
    #[must_use]
    pub fn within(self) -> SignedDuration {
        match self {
            Self::P0 => SignedDuration::from_mins(5),
            Self::P1 => SignedDuration::from_mins(15),
            Self::P2 => SignedDuration::from_hours(1),
            Self::P3 => SignedDuration::from_hours(24),
        }
    }
}

/// What a class means here, and its clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// In the words of the runbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
    /// How soon somebody answers.
    pub within: SignedDuration,
}

/// Somebody outside who has to be told, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// Who does it.
    pub owner: String,
    /// Until when after it was opened.
    pub within: SignedDuration,
}

/// What is done about incidents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The classes that the file names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub severity: BTreeMap<Severity, Class>,
    /// Who is called, in order, each after the class's clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<String>,
    /// What is done, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// How soon the cause is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub investigate: Option<SignedDuration>,
    /// How soon after the end the post-mortem is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postmortem: Option<SignedDuration>,
    /// What it must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// Where people are reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<String>,
    /// The authority that has to be told when rules were broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regulator: Option<Duty>,
}

impl Policy {
    /// How soon somebody answers to a class.
    #[must_use]
    pub fn within(&self, severity: Severity) -> SignedDuration {
        self.severity.get(&severity).map_or_else(|| severity.within(), |class| class.within)
    }

    /// Who a rung calls; nobody by name where there is no ladder.
    #[must_use]
    pub fn called(&self, rung: u32) -> Option<&str> {
        let index = usize::try_from(rung).ok()?;
        self.ladder.get(index).map(String::as_str)
    }

    /// How often it calls.
    #[must_use]
    pub fn rungs(&self) -> u32 {
        match u32::try_from(self.ladder.len()).unwrap_or(u32::MAX) {
            0 => CALLS_WITHOUT_LADDER,
            rungs => rungs,
        }
    }
}

/// Something that is owed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owed {
    /// The cause.
    Cause,
    /// The word to the authority.
    Regulator,
    /// The post-mortem.
    Postmortem,
}

impl Owed {
    /// The words in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Cause => "the cause",
            Self::Regulator => "the word to the regulator",
            Self::Postmortem => "the post-mortem",
        }
    }
}

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// What.
    pub text: String,
    /// What it settles, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settles: Option<Owed>,
}

/// Work that keeps it from happening again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionItem {
    /// What.
    pub what: String,
    /// Who.
    pub owner: String,
    /// Until when, in the words of who wrote it.
    pub until: String,
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// When, and by whom.
    pub done: Done,
    /// On what ground.
    pub why: String,
    /// Whether the check after the rollback had passed.
    pub verified: bool,
}

/// What was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postmortem {
    /// When, and by whom.
    pub done: Done,
    /// Where it is, or what it says in short.
    pub text: String,
    /// What is to be done.
    pub items: Vec<ActionItem>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The deployment that it came from.
    pub deployment: Option<DeploymentId>,
    /// What is done about it: the policy of the moment when it was opened.
    pub policy: Policy,
    /// When it was opened, and by whom.
    pub opened: Done,
    /// Who answered.
    pub acknowledged: Option<Done>,
    /// The rung that was called last, from 0.
    pub rung: u32,
    /// When it was called.
    pub called_at: Timestamp,
    /// Who does what: `commander`, `scribe`.
    pub roles: BTreeMap<String, String>,
    /// What people wrote.
    pub notes: Vec<Note>,
    /// What was said to be overdue.
    pub late: BTreeSet<Owed>,
    /// Whether the check after the rollback passed.
    pub verified: bool,
    /// How it ended.
    pub resolved: Option<Resolution>,
    /// What was learnt.
    pub postmortem: Option<Postmortem>,
}

impl Incident {
    /// Whether it is not over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.resolved.is_none()
    }

    /// Whether something is settled by a note.
    #[must_use]
    pub fn settled(&self, owed: Owed) -> bool {
        match owed {
            Owed::Postmortem => self.postmortem.is_some(),
            Owed::Cause | Owed::Regulator => {
                self.notes.iter().any(|note| note.settles == Some(owed))
            }
        }
    }

    /// When somebody has to have answered; `None` once somebody did, or all were called.
    #[must_use]
    pub fn answer_due(&self) -> Option<Timestamp> {
        let waits = self.is_open() && self.acknowledged.is_none();
        let more = self.rung.saturating_add(1) < self.policy.rungs();
        let due = self.called_at.checked_add(self.policy.within(self.severity)).ok();
        due.filter(|_| waits && more)
    }

    /// What is owed, and until when; what is settled is left out.
    #[must_use]
    pub fn owed(&self) -> Vec<(Owed, Timestamp)> {
        let after = |since: Timestamp, within: SignedDuration| since.checked_add(within).ok();
        let opened = self.opened.at;
        let cause = self.policy.investigate.and_then(|within| after(opened, within));
        let regulator = self.policy.regulator.as_ref().and_then(|duty| after(opened, duty.within));
        let within = self.policy.postmortem.unwrap_or(POSTMORTEM_WITHIN);
        let written = self.resolved.as_ref().and_then(|resolved| after(resolved.done.at, within));
        let cause = cause.filter(|_| self.is_open());
        let all = [(Owed::Cause, cause), (Owed::Regulator, regulator), (Owed::Postmortem, written)];
        let each = all.into_iter().filter_map(|(owed, at)| Some((owed, at?)));
        each.filter(|(owed, _)| !self.settled(*owed)).collect()
    }

    /// When something follows by itself.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let owed = self.owed().into_iter().filter(|(owed, _)| !self.late.contains(owed));
        owed.map(|(_, at)| at).chain(self.answer_due()).min()
    }
}

/// What a person does about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handling {
    /// Opens it.
    Open {
        /// How bad.
        severity: Severity,
        /// One line.
        title: String,
        /// The deployment that it came from.
        deployment: Option<DeploymentId>,
    },
    /// Says that they are on it.
    Acknowledge,
    /// Says who does what.
    Assign {
        /// What: `commander`.
        role: String,
        /// Who.
        who: String,
    },
    /// Writes something down.
    Note {
        /// What.
        text: String,
        /// What it settles.
        settles: Option<Owed>,
    },
    /// Says that it is better or worse than it was.
    Weigh {
        /// How bad.
        severity: Severity,
        /// Why.
        reason: String,
    },
    /// Says that it is over.
    Resolve {
        /// Why; may be left away when the check after the rollback passed.
        reason: Option<String>,
    },
    /// Says what was learnt.
    Learn {
        /// Where it is written, or what it says in short.
        text: String,
        /// What is to be done.
        items: Vec<ActionItem>,
    },
}
