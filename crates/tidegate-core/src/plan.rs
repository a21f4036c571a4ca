//! The declared plan of one deployment: everything that will be done, decided before anything is.
//! It holds no clock time, no forecast and no live value, so that the same declaration always has
//! the same bytes. Must never change after the deployment started: a change is a new deployment.

mod backup;
mod custom;
mod edge;
mod judging;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::approval::{Approve, Change};
use crate::checklist::Item;
use crate::duty::Duty;
use crate::gate::Gate;
use crate::ids::{MetricName, PartName, Scope, SlotName, StepName};
use crate::incident;
use crate::layer::Added;
use crate::message;
use crate::weight::Weight;
use crate::window::Window;

pub use backup::{Backup, BackupOf, Bucket, Encryption, Place, Targets};
pub use custom::{
    CUSTOM_MAX, CUSTOM_RUNNING_MAX, Class, CustomStep, Database, Migration, Moment, OutputKind,
    RETRIES_MAX, When, Work, disorder, steers,
};
pub use edge::{Behind, Certificate, Protocol, Speaks, Tls};
pub use judging::{Evidence, Judging, SOURCES_MAX, Source};

/// Most parts of one release.
pub const PARTS_MAX: usize = 16;
/// Most traffic steps of one deployment.
pub const STEPS_MAX: usize = 32;
/// Most instances of one part in one slot.
pub const INSTANCES_MAX: u32 = 64;

/// Everything one deployment will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which service, and where.
    pub scope: Scope,
    /// What is deployed.
    pub release: Release,
    /// How the release becomes an artifact; `None` takes the exported files as they are.
    pub build: Option<Step>,
    /// The pieces that deploy together, in the order in which they are listed.
    pub parts: Vec<Part>,
    /// The traffic steps and their rules.
    pub traffic: Traffic,
    /// Watching after the last step.
    pub bake: Bake,
    /// Phases that have no rules in this plan read *not required*, never *passed*.
    pub required: Required,
    /// Limits on the waits that are not in the hands of a rule.
    pub limits: Limits,
    /// What the release must show before people are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// When it may begin; `None` is always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Who has to agree; `None` with approvals required means one person who had no part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// What the release changes and by whose hands, where approvals ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The copy that is made before anything changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Work of the user's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<CustomStep>,
    /// The boxes that have to be closed, each with its proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<Item>,
    /// What falls due again and again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<Duty>,
    /// What layers above the file added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Added>,
    /// Who hears of what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tell: Vec<message::Route>,
    /// What is done when it goes wrong; without it a rollback opens no incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<incident::Policy>,
}

impl Plan {
    /// The part of that name.
    #[must_use]
    pub fn part(&self, name: &PartName) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == *name)
    }

    /// The custom step of that name.
    #[must_use]
    pub fn custom_step(&self, name: &StepName) -> Option<&CustomStep> {
        self.custom.iter().find(|step| step.name == *name)
    }

    /// How long traffic is planned to be judged: every step, and the watch after the last.
    #[must_use]
    pub fn horizon(&self) -> SignedDuration {
        let steps = i32::try_from(self.traffic.steps.len()).unwrap_or(i32::MAX);
        self.traffic.dwell.saturating_mul(steps).saturating_add(self.bake.watch)
    }

    /// Changes of the candidate's share that are planned after the first.
    #[must_use]
    pub fn share_changes(&self) -> u32 {
        u32::try_from(self.traffic.steps.len().saturating_sub(1)).unwrap_or(0)
    }
}

/// What is deployed: a tag of a repository, pinned to the commit it named when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The tag as written: `v2.1.0`.
    pub version: String,
    /// Where the repository is: a path on this machine or a URL that git understands.
    pub repository: String,
    /// The commit, 40 or 64 hex digits.
    pub commit: String,
}

/// A command that is run once: argv, never a shell line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The variables it sees besides `PATH`, `HOME` and `LANG`.
    pub env: BTreeMap<String, String>,
    /// Killed after this.
    pub timeout: SignedDuration,
}

/// Which of the phases whose content is optional this plan demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Required {
    /// Gates on evidence.
    pub gates: bool,
    /// Approvals by people.
    pub approvals: bool,
    /// A verified backup.
    pub backup: bool,
}

/// One deployable piece.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, unique within the release.
    pub name: PartName,
    /// Whether user requests reach it.
    pub kind: PartKind,
    /// The two places it can run in. Which is live is state, not plan.
    pub slots: [SlotName; 2],
    /// How one instance is run.
    pub run: Run,
    /// How many instances a full slot has, 1 to [`INSTANCES_MAX`].
    pub instances: u32,
    /// Questions that every instance must answer before and during traffic.
    pub probes: Vec<Probe>,
    /// The smoke suite, asked on the candidate before traffic.
    pub smoke: Option<Smoke>,
}

impl Part {
    /// Where its requests come in; `None` for a worker.
    #[must_use]
    pub fn route(&self) -> Option<&Route> {
        match &self.kind {
            PartKind::Web(route) => Some(route),
            PartKind::Worker => None,
        }
    }
}

/// Whether user requests reach a part.
#[expect(clippy::large_enum_variant, reason = "a release has a handful of parts, most of them web")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// Behind the proxy, moved by weights.
    Web(Route),
    /// No requests: moved instance by instance under the same rules.
    Worker,
}

/// Where user requests of a part come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Address and port that the proxy listens on, `127.0.0.1:8080`.
    pub listen: String,
    /// Only requests for this host; `None` is any host.
    pub host: Option<String>,
    /// Only requests whose path begins so; `/` is all.
    pub path: String,
    /// Header whose value names a slot's role (`candidate`, `live`) for previews.
    pub preview_header: Option<String>,
    /// Whether a user stays with the side they met.
    pub sticky: bool,
    /// TLS towards users; `None` is plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What stands in front of the proxy and is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
    /// What tells users apart.
    #[serde(default, skip_serializing_if = "CohortBy::is_cookie")]
    pub cohort: CohortBy,
    /// Share of the safe requests that a candidate gets copies of; its answers are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Weight>,
    /// Share of the requests that the access log has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<Weight>,
}

impl Route {
    /// Whether requests come in at the same place in the same way: what a data plane may refuse.
    #[must_use]
    pub fn enters_like(&self, other: &Self) -> bool {
        let entrance = |route: &Self| {
            let Self { listen, host, path, tls, behind, .. } = route.clone();
            (listen, host, path, tls, behind)
        };
        entrance(self) == entrance(other)
    }
}

/// What tells users apart when they are placed on a side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortBy {
    /// A cookie that the data plane sets and signs.
    #[default]
    Cookie,
    /// The value of this request header.
    Header(String),
    /// The address they come from.
    Address,
}

impl CohortBy {
    fn is_cookie(&self) -> bool {
        *self == Self::Cookie
    }
}

/// How one instance of a part is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments; the working directory is the artifact.
    pub argv: Vec<String>,
    /// The variables it sees besides `PATH`, `HOME`, `LANG` and the port.
    pub env: BTreeMap<String, String>,
    /// Name of the variable that carries the port it must listen on.
    pub port_env: String,
    /// What it speaks on that port.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
    /// Time between SIGTERM and SIGKILL.
    pub grace: SignedDuration,
    /// Memory that reads as 100 %, in bytes; `None` takes the machine's.
    pub memory_max: Option<u64>,
    /// Most bytes kept of each instance's log.
    pub log_bytes_max: u64,
}

/// One question to an instance, with the words known from Compose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Its name, unique within the part.
    pub name: String,
    /// What is asked.
    pub ask: Ask,
    /// Time between two askings.
    pub interval: SignedDuration,
    /// An answer later than this is none.
    pub timeout: SignedDuration,
    /// Consecutive failures that make an instance unhealthy.
    pub retries: u32,
    /// Failures in this time after the start do not count.
    pub start_period: SignedDuration,
    /// Whether the answer depends on somebody else: a failure then holds, never rolls back.
    pub theirs: bool,
}

/// The kinds of question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// GET a path and look at the answer.
    Http {
        /// Path and query.
        path: String,
        /// Accepted status codes; empty accepts 200 to 299.
        status: Vec<u16>,
        /// Headers that must be there with exactly this value.
        headers: BTreeMap<String, String>,
        /// A text that the body must contain.
        body: Option<String>,
        /// The answer must come within this.
        within: Option<SignedDuration>,
    },
    /// The port accepts a connection.
    Tcp,
    /// A command exits 0. It sees the port in the part's port variable.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// The certificate served on the port is valid for more than so many days.
    Tls {
        /// Name asked for and checked.
        server_name: String,
        /// Strictly more days than this must be left.
        days_left: u32,
    },
}

/// What proves that the release does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smoke {
    /// What runs.
    pub run: SmokeRun,
    /// All of it must end within this.
    pub timeout: SignedDuration,
}

/// The two kinds of smoke suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmokeRun {
    /// A YAML file of HTTP steps, relative to the artifact.
    Suite {
        /// Its path.
        file: String,
    },
    /// A command; with `junit` its report decides, else its exit code.
    Command {
        /// Program and arguments. It sees `TIDEGATE_TARGET`, the candidate's base URL.
        argv: Vec<String>,
        /// The report it writes, relative to the artifact.
        junit: Option<String>,
    },
}

/// The traffic steps and what judges them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Shares of the candidate, strictly growing, the last is the whole.
    pub steps: Vec<Weight>,
    /// How long each step lasts at least.
    pub dwell: SignedDuration,
    /// Confidence that the advance rules demand, 0.5 to 0.9999; `None` takes the plain value.
    pub confidence: Option<f64>,
    /// Least number of requests at the candidate in each step.
    pub at_least: u64,
    /// All must hold to advance.
    pub advance_if: Vec<Rule>,
    /// Any of them rolls back.
    pub rollback_if: Vec<Rule>,
    /// What to do between the limits.
    pub otherwise: Otherwise,
    /// Whether a breach that the live revision shares counts against the candidate.
    pub floor: Floor,
    /// What judges beside the rules.
    #[serde(default, skip_serializing_if = "Judging::is_default")]
    pub judging: Judging,
}

/// One comparison of a metric with a limit, as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// What is measured.
    pub metric: Metric,
    /// How it is compared.
    pub comparison: Comparison,
    /// The limit, in the metric's unit: percent, or milliseconds for latency.
    pub limit: f64,
    /// Every evaluation within this time must breach; zero fires at once.
    pub sustained: SignedDuration,
}

/// What is measured at each side, in its one unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Failed requests, percent.
    Errors,
    /// Time to the response head, milliseconds, 50th percentile.
    P50,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// Processor use of the busiest instance, percent of one core times the cores it may use.
    Cpu,
    /// Memory use of the largest instance, percent of its limit.
    Memory,
    /// Failed probes, percent.
    Sick,
    /// A number that another system measures, in a unit of its own.
    Named {
        /// The name of its [`Source`].
        name: MetricName,
        /// Its unit; may be empty.
        unit: String,
    },
}

impl Metric {
    /// The word in configuration, output and messages.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Errors => "errors",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Sick => "sick",
            Self::Named { name, .. } => name.as_str(),
        }
    }

    /// The unit printed behind a value.
    #[must_use]
    pub fn unit(&self) -> &str {
        match self {
            Self::P50 | Self::P95 | Self::P99 => "ms",
            Self::Errors | Self::Cpu | Self::Memory | Self::Sick => "%",
            Self::Named { unit, .. } => unit,
        }
    }

    /// Whether its limits must be edges of the latency histogram.
    #[must_use]
    pub fn is_latency(&self) -> bool {
        matches!(self, Self::P50 | Self::P95 | Self::P99)
    }

    /// Every metric that Tidegate measures itself, in the order in which tables show them.
    pub const ALL: [Self; 7] =
        [Self::Errors, Self::P50, Self::P95, Self::P99, Self::Cpu, Self::Memory, Self::Sick];
}

/// How a value is compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Whether it is true of high values.
    #[must_use]
    pub fn points_up(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// Whether `value` compares so with `limit`; what is no number does not.
    #[must_use]
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }

    /// The sign as people write it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// What to do between the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Otherwise {
    /// Hold for at most this long.
    pub hold: SignedDuration,
    /// And then.
    pub then: HoldEnd,
}

/// How a hold ends by itself. There is no value that advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldEnd {
    /// Go back.
    Rollback,
    /// Keep the weights and call a person.
    Page,
}

/// Whether a breach shared by both sides counts against the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Floor {
    /// Rules as written, whatever the live side does.
    Literal,
    /// A breach that the live side shares holds instead.
    Attributed,
}

/// Watching after the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bake {
    /// How long the rules stay armed at 100 %.
    pub watch: SignedDuration,
    /// Whether the previous slot keeps running after the bake.
    pub keep_previous: KeepPrevious,
}

/// What becomes of the previous revision after the bake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepPrevious {
    /// It keeps running: a later rollback takes about a second.
    Warm,
    /// It is stopped: a later rollback starts it first.
    Cold,
}

/// Limits on waits that no rule governs. Each ends the phase; none advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A slot must be ready within this after it was wanted.
    pub start: SignedDuration,
    /// Each check of the live side, of the candidate's health, and after a rollback.
    pub check: SignedDuration,
    /// A split must be read back within this.
    pub split: SignedDuration,
    /// Each of the four stages of a rollback.
    pub rollback_stage: SignedDuration,
    /// The proxy goes back by itself when it hears nothing for this long in mid-shift.
    pub traffic_lease: SignedDuration,
    /// How often an attempt that may be repeated is made, 1 to 10.
    pub attempts: u32,
}

impl Default for Limits {
    /// The documented defaults: a start within 5 minutes, a check within 2, a split read back
    /// within 30 seconds, a rollback stage within 2 minutes, a lease of 60 seconds, 3 attempts.
    fn default() -> Self {
        Self {
            start: SignedDuration::from_mins(5),
            check: SignedDuration::from_mins(2),
            split: SignedDuration::from_secs(30),
            rollback_stage: SignedDuration::from_mins(2),
            traffic_lease: SignedDuration::from_secs(60),
            attempts: 3,
        }
    }
}
