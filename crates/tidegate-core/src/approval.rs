//! Who has to agree to a deployment, who wrote it, and what people said: the words of approvals.
//! Must never say whether it is enough: that is [`quorum`], asked by [`gate`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::digest::{Component, Digest};
use crate::ids::{Actor, DeploymentId};
use crate::plan::Plan;
use crate::weight::Weight;

pub mod gate;
pub mod past;
pub mod quorum;

/// Most rules of one policy: each is a sentence that somebody has to read.
pub const RULES_MAX: usize = 16;
/// Most people that one rule may ask for.
pub const NEED_MAX: u32 = 16;
/// Most members of one group that is written in the file; larger ones are the directory's.
pub const MEMBERS_MAX: usize = 256;
/// Most things that somebody has to vouch for.
pub const ITEMS_MAX: usize = 32;
/// Refusals that a service remembers until they are answered.
pub const REVIEWS_MAX: usize = 20;
/// How long an approval counts, and how long is waited for all of them, when nothing is said.
pub const EXPIRES: SignedDuration = SignedDuration::from_hours(24);
/// Longest time for which somebody can vouch.
pub const VOUCHED_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a hold that an approver asked for waits for that person.
pub const CONFIRM_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// Who has to agree: all rules, each by people of its groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    /// All of them must be met.
    pub rules: Vec<Quorum>,
    /// Whether an owner of each touched path must be among those who agree.
    #[serde(default)]
    pub owners: bool,
    /// Whether one person may count for several rules; otherwise each counts for one.
    #[serde(default)]
    pub shared: bool,
    /// What becomes of a signature that is given before its round.
    #[serde(default)]
    pub early: Early,
    /// The groups that the rules name.
    #[serde(default)]
    pub people: BTreeMap<String, Group>,
    /// What somebody has to vouch for.
    #[serde(default)]
    pub attest: Vec<String>,
    /// How long is waited for all of it.
    pub within: SignedDuration,
    /// How long one approval counts.
    pub expires: SignedDuration,
}

impl Approve {
    /// The policy as it is written, whatever a change touches.
    #[must_use]
    pub fn declared(&self) -> Self {
        let mut declared = self.clone();
        for rule in &mut declared.rules {
            rule.applies = true;
        }
        declared
    }

    /// One person who had no part in it: what a plan means that demands approvals and no more.
    #[must_use]
    pub fn anyone() -> Self {
        Self {
            rules: vec![Quorum {
                name: "approval".to_owned(),
                need: 1,
                from: Vec::new(),
                round: 1,
                touches: Vec::new(),
                applies: true,
                when: None,
                unless: None,
            }],
            owners: false,
            shared: false,
            early: Early::Refuse,
            people: BTreeMap::new(),
            attest: Vec::new(),
            within: EXPIRES,
            expires: EXPIRES,
        }
    }
}

/// So many people of these groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// What people call it.
    pub name: String,
    /// How many different people, 1 to [`NEED_MAX`].
    pub need: u32,
    /// Groups, any of which will do; empty takes everybody who may approve.
    pub from: Vec<String>,
    /// Rules of a later round open when those of the earlier ones are met; from 1.
    pub round: u32,
    /// Patterns of paths: it applies only to a change that touches one of them; empty always does.
    #[serde(default)]
    pub touches: Vec<String>,
    /// Whether this change is of its kind; decided when the plan is made.
    #[serde(default = "yes")]
    pub applies: bool,
    /// It applies only when this condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// It does not apply when this condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
}

fn yes() -> bool {
    true
}

/// What becomes of a signature that is given before its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Early {
    /// It is not taken: who signs last has seen the others.
    #[default]
    Refuse,
    /// It is kept and counts when its round comes.
    Queue,
}

/// Who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Group {
    /// People by the name of their account.
    #[serde(default)]
    pub members: BTreeSet<String>,
    /// A group of the server's directory whose members belong to it as well.
    #[serde(default)]
    pub directory: Option<String>,
    /// What an owners file calls it: `@acme/security`.
    #[serde(default)]
    pub handles: BTreeSet<String>,
}

/// What a release changes, and by whose hands, read from the repository and never from a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// The commit that is live; `None` for the first deployment.
    pub base: Option<String>,
    /// Digest of the owners file at the base.
    pub owners: Option<Digest>,
    /// The touched paths by who owns them.
    pub owned: Vec<Owned>,
    /// How many paths are touched.
    pub paths: u64,
    /// Names and addresses of authors, committers and the tagger, in lower case.
    pub hands: BTreeSet<String>,
}

/// Touched paths with the same owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// One of the paths.
    pub path: String,
    /// How many there are.
    pub paths: u64,
    /// Who owns them, as the owners file writes it; empty when nobody does.
    pub owners: Vec<String>,
}

/// What is known of an account at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The human being behind it: linked accounts share it.
    pub person: String,
    /// Its other names, in lower case: addresses, handles.
    #[serde(default)]
    pub names: BTreeSet<String>,
    /// Its groups in the server's directory.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Whether it is a human being's.
    pub human: bool,
    /// Whether it is active and its roles allow to approve here.
    pub entitled: bool,
}

/// What the directory said about everybody who has a part in the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Sequence of the event that brought it.
    pub seq: u64,
    /// When it was said.
    pub at: Timestamp,
    /// By the name of the account; who is missing is unknown to the directory.
    pub facts: BTreeMap<String, Facts>,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credential {
    /// The door: `socket` for the kernel's word, `session` for a sign-in.
    pub door: String,
    /// The factors: `kernel`, `password+totp`.
    pub factor: String,
    /// When they were shown.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// One approval of exactly one D.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Whose.
    pub by: Actor,
    /// Sequence of the event.
    pub seq: u64,
    /// When it was given.
    pub at: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
    /// What was known of the account then.
    pub facts: Facts,
    /// How they proved who they are.
    pub credential: Credential,
    /// Hold before more than this share until this person confirms.
    pub condition: Option<Weight>,
    /// What they wrote.
    pub note: Option<String>,
}

/// Somebody vouches for something that no machine can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Who.
    pub by: Actor,
    /// Sequence of the event.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What they wrote.
    pub note: Option<String>,
    /// Until when their word counts; `None` for as long as the deployment is in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl Attestation {
    /// Whether it counts at a time.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The code or the design.
    Code,
    /// What was tested, or was not.
    Tests,
    /// Security.
    Security,
    /// A law, a contract, a standard.
    Compliance,
    /// Texts and instructions.
    Documentation,
    /// Not at this time.
    Timing,
    /// Something else.
    #[default]
    Other,
}

impl Category {
    /// The word in commands and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Tests => "tests",
            Self::Security => "security",
            Self::Compliance => "compliance",
            Self::Documentation => "documentation",
            Self::Timing => "timing",
            Self::Other => "other",
        }
    }

    /// Every category.
    pub const ALL: [Self; 7] = [
        Self::Code,
        Self::Tests,
        Self::Security,
        Self::Compliance,
        Self::Documentation,
        Self::Timing,
        Self::Other,
    ];
}

/// Something was refused and waits to be answered by another plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// What was refused.
    pub deployment: DeploymentId,
    /// Its plan, to be compared with the next.
    pub plan: std::sync::Arc<Plan>,
    /// D, if it was known.
    pub binding: Option<Digest>,
    /// The digests of the parts of D.
    pub parts: BTreeMap<Component, Digest>,
    /// What kind of fault.
    pub category: Category,
    /// Why.
    pub reason: String,
    /// Who refused it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The deployment that answered it, once people agreed to that.
    pub answered: Option<DeploymentId>,
}
