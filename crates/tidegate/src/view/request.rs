//! What the API is asked: bodies of requests. Unknown fields are refused, so that a misspelt
//! wish is never silently dropped. Must never carry who asks: the socket says that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_engine::backtest::sham::Trials;
use utoipa::ToSchema;

/// Begin a deployment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deploy {
    /// An absolute path on this machine, or a URL that git understands.
    pub(crate) repository: String,
    /// The tag.
    pub(crate) version: String,
    /// Path of the configuration inside the commit.
    #[serde(default = "default_config")]
    pub(crate) config: String,
    /// The environment; by default the one that the file names.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Take the place of a deployment in flight.
    #[serde(default)]
    pub(crate) supersede: bool,
    /// Deploy an artifact that was rolled back before.
    #[serde(default)]
    pub(crate) despite_quarantine: bool,
    /// The same key takes effect once; a repeat answers with the first deployment.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// Values of variables that the configuration declares.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// What this run demands beside the file, `KEY=VALUE` with the keys of a policy.
    #[serde(default)]
    pub(crate) tighten: Vec<String>,
}

/// Foresee a deployment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Foresee {
    /// An absolute path on this machine, or a URL that git understands.
    pub(crate) repository: String,
    /// The tag.
    pub(crate) version: String,
    /// Path of the configuration inside the commit.
    #[serde(default = "default_config")]
    pub(crate) config: String,
    /// The environment; by default the one that the file names.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Values of variables that the configuration declares.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// What this run demands beside the file, `KEY=VALUE` with the keys of a policy.
    #[serde(default)]
    pub(crate) tighten: Vec<String>,
    /// Requests that users make, to count those that would meet the candidate.
    #[serde(default)]
    pub(crate) requests_per_second: Option<f64>,
}

fn default_config() -> String {
    DEFAULT_CONFIG.to_owned()
}

/// Name of the configuration file.
pub(crate) const DEFAULT_CONFIG: &str = "tidegate.yaml";

/// A deployment was accepted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Accepted {
    /// The deployment; for a rollback, the one that goes back or brings the earlier release.
    pub(crate) id: String,
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The version.
    pub(crate) version: String,
    /// Sequence of the stream behind the command.
    pub(crate) seq: u64,
    /// Whether an earlier request with the same key had started it.
    pub(crate) repeated: bool,
    /// Warnings and notes on the configuration, laid out for people.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

/// Go no further.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HoldRequest)]
pub(crate) struct Hold {
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// For how long, milliseconds; one hour by default.
    #[serde(default)]
    pub(crate) lasts_ms: Option<u64>,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// A reason and nothing else.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Go to the next step.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advance {
    /// The step that the person believes is running, from 1.
    pub(crate) step: u32,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// A release by its tag.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReleaseRequest)]
pub(crate) struct Release {
    /// An absolute path on this machine, or a URL that git understands.
    pub(crate) repository: String,
    /// The tag.
    pub(crate) version: String,
    /// Path of the configuration inside the commit.
    #[serde(default = "default_config")]
    pub(crate) config: String,
    /// The environment; by default the one that the file names.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Values of variables that the configuration declares.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// What this run demands beside the file, `KEY=VALUE` with the keys of a policy.
    #[serde(default)]
    pub(crate) tighten: Vec<String>,
}

/// Set a gate aside for one version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waive {
    /// The release.
    pub(crate) release: Release,
    /// The gate.
    pub(crate) gate: String,
    /// Why.
    pub(crate) reason: String,
    /// For how long, milliseconds; at most 30 days.
    pub(crate) lasts_ms: u64,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Remove what nobody needs any more.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collect {
    /// Releases of each service that stay for a rollback, newest first, 1 to 10; 5 by default.
    #[serde(default)]
    pub(crate) keep: Option<u8>,
    /// Days that logs of ended deployments stay, 1 to 3650; 90 by default.
    #[serde(default)]
    pub(crate) logs_days: Option<u16>,
    /// Only say what would go.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// Let no deployment begin for a time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freeze {
    /// The environment; needed when the service has several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Its name; one of the same name is replaced.
    pub(crate) name: String,
    /// Why.
    pub(crate) reason: String,
    /// From when; now, when it is left away.
    #[serde(default)]
    pub(crate) from: Option<jiff::Timestamp>,
    /// Until when: at most 90 days after its beginning.
    pub(crate) until: jiff::Timestamp,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// End a freeze before its end.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thaw {
    /// The environment; needed when the service has several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// The name of the freeze.
    pub(crate) name: String,
    /// Why.
    pub(crate) reason: String,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Agree to exactly this.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    /// D as the person saw it.
    pub(crate) binding: String,
    /// Hold before more than this share, in basis points, until the person confirms.
    #[serde(default)]
    pub(crate) hold_at_bp: Option<u16>,
    /// What they write.
    #[serde(default)]
    pub(crate) comment: Option<String>,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Refuse.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reject {
    /// `code`, `tests`, `security`, `compliance`, `documentation`, `timing` or `other`.
    #[serde(default)]
    pub(crate) category: Option<String>,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Vouch for something that no machine can see.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attest {
    /// What, as the policy or the checklist words it, or a box by its name, `before.3`.
    pub(crate) item: String,
    /// What they write.
    #[serde(default)]
    pub(crate) comment: Option<String>,
    /// For how long their word counts, milliseconds, at most 30 days; without it, as long as the
    /// deployment is in flight.
    #[serde(default)]
    pub(crate) lasts_ms: Option<u64>,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Bring back what was live before.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// The environment; needed when the service has several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// A version; the previous live one by default.
    #[serde(default)]
    pub(crate) to: Option<String>,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// The same key takes effect once.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Ask a slot's probes, or run its suite, once and without consequence.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// The environment; needed when the service has several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Only this part.
    #[serde(default)]
    pub(crate) part: Option<String>,
    /// Only this slot; every slot that runs something by default.
    #[serde(default)]
    pub(crate) slot: Option<String>,
}

/// A configuration to look at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// The text of the file.
    pub(crate) source: String,
    /// The name to print with findings.
    #[serde(default = "default_config")]
    pub(crate) name: String,
    /// The environment; by default the one that the file names.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Texts of the files that it uses, by the path under which it names them.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Values of declared variables.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
}

/// Replay recorded deployments through the policy of this file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backtest {
    /// The text of a `tidegate.yaml`.
    pub(crate) source: String,
    /// What findings call it.
    #[serde(default = "default_config")]
    pub(crate) name: String,
    /// Sham canaries, at most 1,000.
    #[serde(default = "default_shams")]
    pub(crate) shams: u32,
    /// Rollouts of each grafted fault, at most 200.
    #[serde(default = "default_faults")]
    pub(crate) faults: u32,
    /// The same seed gives the same result.
    #[serde(default)]
    pub(crate) seed: u64,
}

/// Sham canaries of one backtest when nothing is said.
pub(crate) const SHAMS: u32 = 100;
/// Rollouts of each fault when nothing is said.
pub(crate) const FAULTS: u32 = 20;

fn default_shams() -> u32 {
    SHAMS
}

fn default_faults() -> u32 {
    FAULTS
}

impl Backtest {
    /// What is tried how often, within what one answer can take.
    pub(crate) fn trials(&self) -> Trials {
        Trials { shams: self.shams.min(1_000), faults: self.faults.min(200), seed: self.seed }
    }
}

/// What a person says of a custom step whose end nobody saw.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settle {
    /// Whether it was done; else it is done anew.
    pub(crate) done: bool,
    /// How they know.
    pub(crate) reason: String,
    /// A repeat with the same key changes nothing.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Which service's backups.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupOfService {
    /// Needed when the service runs in several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// A repeat with the same key changes nothing.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// Where a backup is restored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupRestore {
    /// Needed when the service runs in several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// An absolute path at which nothing is, or the address of an empty database.
    pub(crate) into: String,
}

/// Keep a backup beyond its time, or let it go.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupHold {
    /// Needed when the service runs in several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Whether it is held.
    pub(crate) held: bool,
    /// Why.
    pub(crate) reason: String,
    /// A repeat with the same key changes nothing.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

/// That a duty was done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DutyDoneAsked)]
pub(crate) struct DutyDone {
    /// Needed when the service runs in several.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// What shows it.
    pub(crate) evidence: String,
    /// A repeat with the same key changes nothing.
    #[serde(default)]
    pub(crate) key: Option<String>,
}
