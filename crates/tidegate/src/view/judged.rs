//! Verdicts on record, and what replays of recordings say, as they travel.
//! Must never hold a number that no recording or journal holds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_engine::backtest::Report;
use tidegate_engine::backtest::sham::Shams;
use utoipa::ToSchema;

use super::Verdict;

/// The verdicts of a deployment, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Verdicts {
    /// The verdicts.
    pub(crate) verdicts: Vec<Judged>,
}

/// A verdict as it was journaled: one for each change of advice.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Judged {
    /// `d-7k3x/4`: the deployment, and which of its verdicts, from 1.
    pub(crate) id: String,
    /// Sequence of its event.
    pub(crate) seq: u64,
    /// When it was decided.
    pub(crate) at: Timestamp,
    /// What it says.
    pub(crate) verdict: Verdict,
    /// What it was made from, one a part; empty when it is not on record.
    pub(crate) inputs: Vec<Heard>,
}

/// What a part's judge had heard.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Heard {
    /// The part.
    pub(crate) part: String,
    /// Entries of its recording up to the verdict.
    pub(crate) entries: u64,
    /// SHA-256 over the plan and those entries.
    pub(crate) digest: String,
}

/// A verdict made again from its recording.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Replayed {
    /// As it was journaled.
    pub(crate) journaled: Judged,
    /// `same`, `other_inputs`, `other_verdict`, `other_judge` or `no_recording`.
    pub(crate) result: String,
    /// One sentence.
    pub(crate) sentence: String,
    /// What the replay says; absent without a whole recording.
    pub(crate) replay: Option<Verdict>,
    /// What the replay had heard.
    pub(crate) inputs: Vec<Heard>,
    /// Version of the judge that listened.
    pub(crate) judge: Option<String>,
}

/// Recorded deployments under a changed policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Backtested {
    /// Every case under both policies, and what that comes to: see the page on backtests.
    #[schema(value_type = Object)]
    pub(crate) report: Report,
    /// Sham canaries and grafted faults; absent when there is too little of live to throw.
    #[schema(value_type = Object)]
    pub(crate) shams: Option<Shams>,
    /// Recordings that could not be replayed, with the reason.
    pub(crate) left_out: Vec<String>,
}
