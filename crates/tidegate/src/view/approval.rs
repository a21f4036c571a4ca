//! What the API says about decisions of people: the sheet that an approver reads, and the inbox.
//! Must never hold what is not in the journal, but for where a decision stands at this moment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::Stakes;

/// Everything that somebody needs to judge a deployment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Sheet {
    /// The deployment.
    pub(crate) deployment: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version it brings.
    pub(crate) version: String,
    /// Who started it.
    pub(crate) started_by: String,
    /// D, once known: an approval names it.
    pub(crate) binding: Option<String>,
    /// Whether people are asked at this moment.
    pub(crate) open: bool,
    /// What was said, what is missing and when it starts, in one sentence.
    pub(crate) sentence: String,
    /// What is missing, a sentence each; empty when it is enough.
    pub(crate) missing: Vec<String>,
    /// Until when it is waited for.
    pub(crate) until: Option<Timestamp>,
    /// The rules that apply.
    pub(crate) rules: Vec<Rule>,
    /// Who approved.
    pub(crate) approvals: Vec<Approval>,
    /// What somebody has to vouch for.
    pub(crate) attestations: Vec<Attestation>,
    /// What the release changes; absent when nobody is asked about it.
    pub(crate) change: Option<Change>,
    /// Why approvals of the deployment before do not count.
    pub(crate) voided: Option<String>,
    /// The refusal that this has to answer.
    pub(crate) review: Option<Review>,
    /// What is at stake.
    pub(crate) stakes: Option<Stakes>,
}

/// One rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rule {
    /// Its name.
    pub(crate) name: String,
    /// How many people it needs.
    pub(crate) need: u32,
    /// Who counts for it.
    pub(crate) by: Vec<String>,
    /// Its round.
    pub(crate) round: u32,
    /// Whether its round has come.
    pub(crate) open: bool,
}

/// One approval.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Approval {
    /// Who.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
    /// Until when it counts.
    pub(crate) expires: Timestamp,
    /// How they proved who they are.
    pub(crate) factor: String,
    /// Why it does not count; absent when it does.
    pub(crate) barred: Option<String>,
    /// The share, in basis points, that they want to look at before it goes on.
    pub(crate) hold_at_bp: Option<u16>,
    /// What they wrote.
    pub(crate) comment: Option<String>,
}

/// One thing that somebody vouches for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Attestation {
    /// What, as the policy words it.
    pub(crate) item: String,
    /// Who vouched; absent while nobody has.
    pub(crate) by: Option<String>,
    /// When.
    pub(crate) at: Option<Timestamp>,
    /// What they wrote.
    pub(crate) comment: Option<String>,
}

/// What a release changes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Change {
    /// The commit that is live; absent for a first deployment.
    pub(crate) base: Option<String>,
    /// How many paths are touched.
    pub(crate) paths: u64,
    /// The touched paths by who owns them.
    pub(crate) owned: Vec<Owned>,
    /// Who has a hand in it: none of them counts.
    pub(crate) hands: Vec<String>,
}

/// Touched paths with the same owners.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Owned {
    /// One of the paths.
    pub(crate) path: String,
    /// How many there are.
    pub(crate) paths: u64,
    /// Who owns them.
    pub(crate) owners: Vec<String>,
}

/// A refusal that waits for an answer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Review {
    /// What was refused.
    pub(crate) deployment: String,
    /// The version it brought.
    pub(crate) version: String,
    /// What kind of fault.
    pub(crate) category: String,
    /// Why.
    pub(crate) reason: String,
    /// Who refused it.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
    /// What of the plan differs from what was refused.
    pub(crate) differences: Vec<Difference>,
}

/// One value of the plan that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Difference {
    /// Where in the plan: `parts[0].run.env.LIMIT`.
    pub(crate) place: String,
    /// As it was; absent when it is new.
    pub(crate) before: Option<String>,
    /// As it is; absent when it is gone.
    pub(crate) after: Option<String>,
}

/// What waits for people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Inbox {
    /// Whose.
    pub(crate) who: String,
    /// The items, those with the nearest deadline first.
    pub(crate) items: Vec<Item>,
}

/// One thing that waits.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Item {
    /// `approval`, `attestation`, `condition`, `review`, or `release` for one that can begin.
    pub(crate) kind: String,
    /// The deployment; empty for a release that has not begun.
    pub(crate) deployment: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version.
    pub(crate) version: String,
    /// What is asked, in one sentence.
    pub(crate) sentence: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Until when.
    pub(crate) until: Option<Timestamp>,
    /// The command that answers it.
    pub(crate) command: String,
}
