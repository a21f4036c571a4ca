//! Why core says no to a person. Shown as it is; branch on the variant, never on the text.
//! Must never be used for what the world did: that is an observation.

use jiff::Timestamp;

use crate::ids::{DeploymentId, IncidentId, SlotName, StepName};

/// A command that does not fit the state. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such deployment is in flight.
    #[error("{deployment} is not in flight")]
    NotInFlight {
        /// The one that was named.
        deployment: DeploymentId,
    },
    /// Another deployment is in flight.
    #[error("{deployment} is in flight ({version}, {phase}): one at a time for each service")]
    Occupied {
        /// Which.
        deployment: DeploymentId,
        /// What it brings.
        version: String,
        /// Where it is.
        phase: String,
    },
    /// The person saw another step than the one that runs.
    #[error("step {named} is not running: {running}")]
    WrongStep {
        /// The step that was named, from 1 as people count.
        named: u32,
        /// What runs.
        running: String,
    },
    /// It is on its way back: nothing goes forward.
    #[error("{deployment} is going back: {why}")]
    GoingBack {
        /// Which.
        deployment: DeploymentId,
        /// Why it went back.
        why: String,
    },
    /// No earlier release is known to be good.
    #[error("there is nothing to go back to: {what}")]
    NothingToGoBackTo {
        /// What is missing.
        what: String,
    },
    /// The tag names another commit than when it was first deployed.
    #[error("tag {version} was moved: it named {first}, it names {found}")]
    TagMoved {
        /// The tag.
        version: String,
        /// The commit at its first deployment.
        first: String,
        /// The commit that it names in this request.
        found: String,
    },
    /// Nothing is held.
    #[error("{deployment} is not held")]
    NotHeld {
        /// Which.
        deployment: DeploymentId,
    },
    /// The judge holds it: only evidence ends that, or an explicit advance.
    #[error("{deployment} is held by the judge, not by a person: {why}")]
    HeldByJudge {
        /// Which.
        deployment: DeploymentId,
        /// The judge's sentence.
        why: String,
    },
    /// A person holds it.
    #[error("{deployment} is held: {why}")]
    HeldByPerson {
        /// Which.
        deployment: DeploymentId,
        /// Their reason.
        why: String,
    },
    /// The phase does not know this command.
    #[error("{deployment} is in phase {phase}: {what}")]
    WrongPhase {
        /// Which.
        deployment: DeploymentId,
        /// Where it is.
        phase: String,
        /// Why that does not fit.
        what: String,
    },
    /// There are no readings: absence never advances.
    #[error("{deployment} cannot advance: {what}")]
    NoReadings {
        /// Which.
        deployment: DeploymentId,
        /// What is missing.
        what: String,
    },
    /// What was approved is not what would run.
    #[error("{deployment} changed since: you approved {named}, it would run {current}")]
    BindingChanged {
        /// Which.
        deployment: DeploymentId,
        /// D as the person saw it.
        named: String,
        /// D as it is.
        current: String,
    },
    /// This account may not approve this.
    #[error("{who} cannot approve {deployment}: {who} {why}")]
    NotYours {
        /// Which.
        deployment: DeploymentId,
        /// Whose account.
        who: String,
        /// Why, beginning with a verb.
        why: String,
    },
    /// No role or token of this account allows it here.
    #[error("{who} has no role that may {act} {scope}")]
    NotAllowed {
        /// Whose account.
        who: String,
        /// What they asked for.
        act: &'static str,
        /// Where.
        scope: String,
    },
    /// The signature belongs to a later round.
    #[error("{who} signs later: {missing}")]
    TooEarly {
        /// Whose account.
        who: String,
        /// What comes before.
        missing: String,
    },
    /// The condition cannot be met.
    #[error("{deployment} cannot be approved so: {what}")]
    BadCondition {
        /// Which.
        deployment: DeploymentId,
        /// Why not.
        what: String,
    },
    /// Somebody else is asked to confirm.
    #[error("{deployment} waits for {who}, who approved it on that condition")]
    NotConfirmedByYou {
        /// Which.
        deployment: DeploymentId,
        /// Who is asked.
        who: String,
    },
    /// There is nothing of one's own to take back.
    #[error("{who} has not approved {deployment}")]
    NothingToWithdraw {
        /// Which.
        deployment: DeploymentId,
        /// Whose account.
        who: String,
    },
    /// Nobody is asked to vouch for that.
    #[error("nobody is asked to vouch for `{item}`; the items are {known}")]
    UnknownItem {
        /// What was named.
        item: String,
        /// What there is.
        known: String,
    },
    /// The plan cannot be carried out.
    #[error("the plan cannot be carried out: {what}")]
    PlanInvalid {
        /// What is wrong.
        what: String,
    },
    /// An invariant broke; only a rollback is accepted.
    #[error("this service is frozen ({code}): {what}")]
    Frozen {
        /// The code of the fault.
        code: String,
        /// What was found.
        what: String,
    },
    /// A report cannot be taken as evidence.
    #[error("the report is not taken: {what}")]
    EvidenceInvalid {
        /// What is wrong.
        what: String,
    },
    /// A gate cannot be set aside so.
    #[error("the gate is not set aside: {what}")]
    WaiverInvalid {
        /// What is wrong.
        what: String,
    },
    /// A freeze cannot begin or end so.
    #[error("the freeze is not changed: {what}")]
    FreezeInvalid {
        /// What is wrong.
        what: String,
    },
    /// The calendar holds it, and a person ends that only by a waiver.
    #[error("{deployment} waits for its window: {why}")]
    WindowClosed {
        /// Which.
        deployment: DeploymentId,
        /// Why it is closed.
        why: String,
    },
    /// A backup cannot be held or let go so.
    #[error("the backup {id} is as it was: {what}")]
    BackupInvalid {
        /// Which.
        id: String,
        /// Why not.
        what: String,
    },
    /// That a duty was done cannot be said so.
    #[error("nothing is to be said of the duty {duty}: {what}")]
    DutyInvalid {
        /// Which.
        duty: String,
        /// Why not.
        what: String,
    },
    /// No release begins while a duty that demands it is overdue.
    #[error("the duty {duty} fell due {due:.0}, and no release begins before it is done")]
    DutyOverdue {
        /// Which.
        duty: String,
        /// When it was due.
        due: Timestamp,
    },
    /// There is nothing to say of this step.
    #[error("nothing is to be said of the step {step}: {what}")]
    NotLost {
        /// Which.
        step: StepName,
        /// Why not.
        what: String,
    },
    /// There is no such incident.
    #[error("there is no incident {incident} here")]
    NoIncident {
        /// The one that was named.
        incident: IncidentId,
    },
    /// That cannot be done about an incident.
    #[error("{incident} is not changed: {what}")]
    IncidentInvalid {
        /// Which.
        incident: IncidentId,
        /// Why not.
        what: String,
    },
    /// Nothing shows that an incident is over.
    #[error("{incident} is not over: no check after the rollback passed")]
    NotVerified {
        /// Which.
        incident: IncidentId,
    },
    /// That cannot be done about a message.
    #[error("message {number} is not changed: {what}")]
    MessageInvalid {
        /// Its number.
        number: u64,
        /// Why not.
        what: String,
    },
    /// The slot that would be used carries user requests.
    #[error("slot {slot} carries user requests and cannot take another revision")]
    SlotInUse {
        /// The slot.
        slot: SlotName,
    },
}

impl Rejection {
    /// The code for people and machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotInFlight { .. } => "TG8001",
            Self::Occupied { .. } => "TG8002",
            Self::WrongStep { .. } => "TG8003",
            Self::GoingBack { .. } => "TG8004",
            Self::NothingToGoBackTo { .. } => "TG8005",
            Self::TagMoved { .. } => "TG8006",
            Self::NotHeld { .. } => "TG8007",
            Self::HeldByJudge { .. } => "TG8008",
            Self::HeldByPerson { .. } => "TG8009",
            Self::WrongPhase { .. } => "TG8010",
            Self::NoReadings { .. } => "TG8011",
            Self::BindingChanged { .. } => "TG8012",
            Self::PlanInvalid { .. } => "TG8013",
            Self::Frozen { .. } => "TG8014",
            Self::SlotInUse { .. } => "TG8015",
            Self::EvidenceInvalid { .. } => "TG8040",
            Self::WaiverInvalid { .. } => "TG8041",
            Self::FreezeInvalid { .. } => "TG8042",
            Self::WindowClosed { .. } => "TG8043",
            Self::NotYours { .. } => "TG8050",
            Self::TooEarly { .. } => "TG8051",
            Self::BadCondition { .. } => "TG8052",
            Self::NotConfirmedByYou { .. } => "TG8053",
            Self::NothingToWithdraw { .. } => "TG8054",
            Self::UnknownItem { .. } => "TG8055",
            Self::NotAllowed { .. } => "TG8056",
            Self::NotLost { .. } => "TG6601",
            Self::BackupInvalid { .. } => "TG6624",
            Self::DutyInvalid { .. } => "TG7130",
            Self::DutyOverdue { .. } => "TG7131",
            Self::NoIncident { .. } => "TG7150",
            Self::IncidentInvalid { .. } => "TG7151",
            Self::NotVerified { .. } => "TG7152",
            Self::MessageInvalid { .. } => "TG7153",
        }
    }
}
