//! What people are told: the routes of a plan, one message for one receiver, and the outbox that
//! keeps each until it was taken or given up.
//! Must never hold a secret, nor hold up a deployment: nothing waits for a message.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::{DeploymentId, IncidentId};

/// Most routes of one plan.
pub const ROUTES_MAX: usize = 32;
/// Most receivers of one route.
pub const RECEIVERS_MAX: usize = 16;
/// Attempts of one message; with the waits between them that is three quarters of an hour.
pub const ATTEMPTS_MAX: u32 = 12;
/// The wait after the first attempt; it doubles with each one.
pub const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(5);
/// The longest wait of our own between two attempts.
pub const RETRY_MOST: SignedDuration = SignedDuration::from_mins(10);
/// The longest wait that a receiver may ask for: a longer one would be silence.
pub const RETRY_ASKED_MOST: SignedDuration = SignedDuration::from_hours(1);
/// Most messages that wait, are drafts or were given up: past it the oldest is dropped, and the
/// journal says so.
pub const OUTBOX_MAX: usize = 256;
/// Messages that were taken and are remembered, newest last.
pub const SENT_MAX: usize = 64;
/// Conversations whose first message is remembered, so that others follow it there.
pub const THREADS_MAX: usize = 256;
/// Longest text that a person gives a public message, characters.
pub const TEXT_CHARS_MAX: usize = 4_000;

/// What people are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A deployment began.
    Start,
    /// It waits for approvals.
    Approval,
    /// It holds.
    Hold,
    /// It goes back, and later: how that ended.
    Rollback,
    /// Its release is live.
    Success,
    /// It ended before users had anything of it.
    Failure,
    /// Only a person can end what it waits for.
    Person,
    /// An incident was opened, called out again, or is overdue.
    Incident,
    /// An incident is over.
    Resolved,
}

impl Occasion {
    /// Every occasion.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Approval,
        Self::Hold,
        Self::Rollback,
        Self::Success,
        Self::Failure,
        Self::Person,
        Self::Incident,
        Self::Resolved,
    ];

    /// The word in files and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Approval => "approval",
            Self::Hold => "hold",
            Self::Rollback => "rollback",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Person => "person",
            Self::Incident => "incident",
            Self::Resolved => "resolved",
        }
    }
}

/// A kind of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Mail to addresses or groups.
    Email,
    /// A pager.
    Pagerduty,
    /// A room of a chat.
    Slack,
    /// The page that customers read.
    StatusPage,
    /// A room of another chat.
    Teams,
    /// A machine.
    Webhook,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 6] =
        [Self::Email, Self::Pagerduty, Self::Slack, Self::StatusPage, Self::Teams, Self::Webhook];

    /// The word in files and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Pagerduty => "pagerduty",
            Self::Slack => "slack",
            Self::StatusPage => "status_page",
            Self::Teams => "teams",
            Self::Webhook => "webhook",
        }
    }
}

/// Who hears of it: a channel of the server, and an address that it knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Receiver {
    /// The channel.
    pub family: Family,
    /// The room, address, severity or name there; `draft` or `publish` for the public page.
    pub address: String,
}

impl std::fmt::Display for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.family.word(), self.address)
    }
}

/// A route: an occasion, and who hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The occasion.
    pub on: Occasion,
    /// Who.
    pub to: Vec<Receiver>,
    /// Lines that every such message has besides its own; `{version}` and the like stand for what
    /// the message is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<String>,
}

/// What a message asks of a pager and of the public page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Something happened.
    Note,
    /// Somebody has to act.
    Trigger,
    /// Somebody does.
    Acknowledge,
    /// It is over.
    Resolve,
}

/// One message for one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What it is about.
    pub on: Occasion,
    /// For whom.
    pub to: Receiver,
    /// What it asks for.
    pub signal: Signal,
    /// What messages about one thing have in common: the conversation.
    pub about: String,
    /// The page that it opens, answers or closes; empty for a note.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub page: String,
    /// The deployment, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// The incident, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// The version that it is about; empty where none is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// One line.
    pub title: String,
    /// Why, with the numbers.
    pub text: String,
    /// The command to run next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What an attempt gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Taken {
        /// What the channel calls it, to follow it there later.
        receipt: Option<String>,
    },
    /// It was not, or nobody knows.
    Refused {
        /// Why, with its code.
        why: String,
        /// Whether another attempt may do better.
        retryable: bool,
        /// How long the receiver asks to be left alone.
        after: Option<SignedDuration>,
    },
}

/// What a person does about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handling {
    /// Sends one again that was given up.
    Redeliver,
    /// Lets a draft out, in their own words or as it stands.
    Release {
        /// Their words.
        text: Option<String>,
    },
    /// Takes one out that nobody needs any more.
    Drop {
        /// Why.
        reason: String,
    },
}

/// A message that is not done with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its number: the sequence of the event that queued it.
    pub number: u64,
    /// Since when it is there.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
    /// The attempt that is out, or was last, from 1; 0 before the first.
    pub attempt: u32,
    /// How it stands.
    pub stands: Stands,
}

/// How a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stands")]
pub enum Stands {
    /// A person has to let it out.
    Draft,
    /// It is to be sent.
    Due,
    /// It is sent again then.
    Resting {
        /// Not before.
        until: Timestamp,
        /// What the last attempt said.
        said: String,
    },
    /// It was given up.
    Dead {
        /// What the last attempt said.
        said: String,
    },
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its number.
    pub number: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// After how many attempts.
    pub attempts: u32,
    /// The message.
    pub message: Message,
}

/// A conversation that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// With whom.
    pub to: Receiver,
    /// About what.
    pub about: String,
    /// What the channel calls its first message.
    pub receipt: String,
}

/// Messages of one service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outbox {
    /// Those that are not done with, oldest first.
    pub letters: Vec<Letter>,
    /// Those that were taken, oldest first.
    pub sent: Vec<Sent>,
    /// Conversations, oldest first.
    pub threads: Vec<Thread>,
    /// Pages that are open: each name, and the conversation that it belongs to.
    pub pages: BTreeMap<String, String>,
}

impl Outbox {
    /// A message that is not done with.
    #[must_use]
    pub fn letter(&self, number: u64) -> Option<&Letter> {
        self.letters.iter().find(|letter| letter.number == number)
    }

    /// What the conversation of a message began with.
    #[must_use]
    pub fn follows(&self, message: &Message) -> Option<&str> {
        let same = |thread: &&Thread| thread.to == message.to && thread.about == message.about;
        self.threads.iter().find(same).map(|thread| thread.receipt.as_str())
    }

    /// Those that are to be sent now: of each receiver the oldest, so that nobody is stormed and
    /// answers come after what they answer.
    #[must_use]
    pub fn due(&self) -> Vec<&Letter> {
        let mut first: BTreeMap<&Receiver, &Letter> = BTreeMap::new();
        for letter in &self.letters {
            if matches!(letter.stands, Stands::Due | Stands::Resting { .. }) {
                first.entry(&letter.message.to).or_insert(letter);
            }
        }
        first.into_values().filter(|letter| letter.stands == Stands::Due).collect()
    }

    /// When the next one is to be sent again.
    #[must_use]
    pub fn next_retry(&self) -> Option<Timestamp> {
        let resting = self.letters.iter().filter_map(|letter| match letter.stands {
            Stands::Resting { until, .. } => Some(until),
            Stands::Draft | Stands::Due | Stands::Dead { .. } => None,
        });
        resting.min()
    }
}
