//! The route table of one service: what it may contain, and the checksum that seals it.
//!
//! A [`Table`] cannot be constructed unless it is valid: sealing and deserialising both check.
//! Nothing here knows which table is newer or whether its endpoints answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::check::check;
use super::checksum::checksum;
use super::edge::{Behind, Protocol, Tls};

/// Limits on what a table or a request may hold. Past one: a refusal, never a truncation.
pub mod limits {
    /// Longest service key, revision, slot, actor or similar name, in bytes.
    pub const NAME_BYTES: usize = 128;
    /// Longest host, path prefix, preview value or reason, in bytes.
    pub const TEXT_BYTES: usize = 1_024;
    /// Routes of one service.
    pub const ROUTES: usize = 64;
    /// Revisions of one service: live, candidate, standby and room for previews.
    pub const BACKENDS: usize = 16;
    /// Endpoints (instances) of one revision.
    pub const ENDPOINTS: usize = 256;
    /// Values of a preview header.
    pub const PREVIEWS: usize = 64;
    /// Local brake rules.
    pub const BRAKES: usize = 8;
    /// Certificates of one service: one for each name and kind of key, and room.
    pub const CERTIFICATES: usize = 16;
    /// Networks of what stands in front of the proxy: a cloud's load balancers and a CDN.
    pub const NETWORKS: usize = 256;
    /// Exact histogram edges; the judge accepts no more.
    pub const LIMITS_MS: usize = 16;
    /// Highest latency limit: one hour in milliseconds.
    pub const LATENCY_MS: f64 = 3_600_000.0;
    /// Longest traffic lease: one hour in milliseconds.
    pub const LEASE_MS: u64 = 3_600_000;
    /// Longest window of a brake rule: ten minutes in milliseconds.
    pub const BRAKE_MS: u64 = 600_000;
    /// Longest grace of a drain: ten minutes in milliseconds.
    pub const DRAIN_MS: u64 = 600_000;
    /// Services in one proxy, deleted ones whose fence is remembered included.
    pub const SERVICES: usize = 1_024;
    /// Ticks in one answer: five minutes of a busy service stay well under a megabyte.
    pub const TICKS_IN_ANSWER: usize = 600;
    /// Instances of a revision that a tick tells apart; of more, only the whole is told.
    pub const INSTANCES_TOLD: usize = 64;
    /// Largest request body on the control socket: a full table needs about 100 kB.
    pub const CONTROL_BYTES: usize = 1_048_576;
}

/// A share of new requests in basis points, 0 to 10,000.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

impl Weight {
    /// No new requests.
    pub const ZERO: Self = Self(0);
    /// Every new request.
    pub const FULL: Self = Self(10_000);

    /// `None` above 10,000 basis points.
    #[must_use]
    pub const fn new(basis_points: u16) -> Option<Self> {
        if basis_points <= Self::FULL.0 { Some(Self(basis_points)) } else { None }
    }

    /// 10,000 means every request.
    #[must_use]
    pub const fn basis_points(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = TableError;

    fn try_from(basis_points: u16) -> Result<Self, TableError> {
        Self::new(basis_points).ok_or(TableError::WeightRange { found: basis_points })
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

/// Which requests belong to the service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Lower-case host without port; absent means any host.
    pub host: Option<String>,
    /// Begins with `/`. Matches whole segments: `/api` matches `/api` and `/api/x`, not `/apix`.
    pub path_prefix: String,
}

/// A revision the table may send requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Name of the revision, unique in the table.
    pub revision: String,
    /// Name of the slot it runs in.
    pub slot: String,
    /// Its share of new requests.
    pub weight: Weight,
    /// Its instances. Must not be empty where the revision has a weight, here or in the fallback.
    pub endpoints: Vec<SocketAddr>,
    /// What its instances speak.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
}

/// A share of a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Name of the revision.
    pub revision: String,
    /// Its share of new requests.
    pub weight: Weight,
}

/// A request header whose value names a revision, whatever its weight. Such requests do not
/// count in the statistics of user traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Lower-case header name.
    pub header: String,
    /// Header value to revision.
    pub values: BTreeMap<String, String>,
}

/// How a client keeps its place while weights grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// Cookie name.
    pub cookie: String,
    /// Changes with each deployment, so that not always the same people go first.
    pub seed: String,
    /// When false, each request is placed at random and no cookie is set.
    pub enabled: bool,
    /// What tells clients apart.
    #[serde(default, skip_serializing_if = "CohortBy::is_cookie")]
    pub by: CohortBy,
}

/// What tells clients apart when they are placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortBy {
    /// A cookie that the proxy sets and signs.
    #[default]
    Cookie,
    /// The value of this request header, lower-case; the address for requests without it. Who
    /// sets the header chooses the side, so it belongs behind something that sets it.
    Header(String),
    /// The client's address; of an IPv6 address the first 64 bits.
    Address,
}

impl CohortBy {
    fn is_cookie(&self) -> bool {
        *self == Self::Cookie
    }
}

/// Copies of requests that another revision gets to see. Their answers are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The revision; requests that it serves anyway are not copied.
    pub revision: String,
    /// Share of the safe, bodiless requests (GET, HEAD, OPTIONS) that are copied.
    pub share: Weight,
}

/// Go back to the fallback without asking anybody when a revision that gained weight over the
/// fallback fails too often for too long: a rollback rule of the policy, evaluated by the judge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrakeRule {
    /// Fires above this share of failed requests, in percent, 0 to 100.
    pub errors_above_percent: f64,
    /// When every evaluation of this time was above it, milliseconds; across tables.
    pub over_ms: u64,
    /// An evaluation of fewer requests than this is none.
    pub min_requests: u64,
}

/// The judge that the proxy carries along, with the numbers that the control plane judges by:
/// the same ticks make both say the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrakeJudge {
    /// Whether a rule that the other revisions break as well is let pass.
    pub attributed: bool,
    /// Sequential evidence beside the rules; without it the rules alone decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<BrakeEvidence>,
}

/// What counts as worse, as in `tidegate_judge`'s policy of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrakeEvidence {
    /// Share of requests that may fail whatever the others do, 0 to 0.5.
    pub objective: f64,
    /// A revision that fails up to this many times as often as the others is no worse, 1 to 100.
    pub rho: f64,
    /// Slowness that is let pass, as a fraction, 0 to 10.
    pub latency_margin: f64,
    /// Time after its first traffic in which latency is not compared, milliseconds.
    pub warm_up_ms: u64,
    /// How long the rollout is planned to take, milliseconds.
    pub horizon_ms: u64,
    /// Changes of the share that are planned.
    pub changes: u32,
}

/// The content of a table before it is sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableParts {
    /// Key of the service, e.g. `shop/web`.
    pub service: String,
    /// Fencing epoch of the control plane that made the table.
    pub epoch: u64,
    /// Counts up with each table of the service.
    pub generation: u64,
    /// Where clients connect. Port 0 is refused: a restart would move it.
    pub listen: SocketAddr,
    /// Which requests belong to the service; at least one.
    pub routes: Vec<Route>,
    /// Revisions and their weights. The weights sum to 10,000, or are all zero while the first
    /// deployment is not ready: requests are answered 503 with Retry-After then.
    pub backends: Vec<Backend>,
    /// Previews, if any.
    #[serde(default)]
    pub preview: Option<Preview>,
    /// How clients keep their place.
    pub cohort: Cohort,
    /// Where lease, brake and emergency rollback go back to. Sums to 10,000.
    #[serde(default)]
    pub fallback: Option<Vec<Share>>,
    /// Traffic lease in milliseconds, in mid-shift only; needs a fallback.
    #[serde(default)]
    pub lease_ms: Option<u64>,
    /// Local brake; needs a fallback.
    #[serde(default)]
    pub brake: Vec<BrakeRule>,
    /// The judge behind the brake; needs a fallback. Without it rules are taken literally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<BrakeJudge>,
    /// Latency limits of the policy, milliseconds; exact edges of the histogram.
    #[serde(default)]
    pub limits_ms: Vec<f64>,
    /// Sequence of the override this table answers, if the maker knows of one.
    #[serde(default)]
    pub acknowledges_override: Option<u64>,
    /// Who gets copies of requests, if anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Share of the requests that the access log has a line for; absent means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<Weight>,
    /// TLS towards clients; absent means plain HTTP. All services of one address agree on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What stands between clients and the proxy; absent means nothing that is believed. All
    /// services of one address agree on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
}

impl TableParts {
    /// Every request of an address to these revisions and nothing besides: the first table of the
    /// first epoch, with a cookie for each client.
    #[must_use]
    pub fn plain(service: &str, listen: SocketAddr, backends: Vec<Backend>) -> Self {
        Self {
            service: service.to_owned(),
            epoch: 1,
            generation: 1,
            listen,
            routes: vec![Route { host: None, path_prefix: "/".to_owned() }],
            backends,
            preview: None,
            cohort: Cohort {
                cookie: "tidegate".to_owned(),
                seed: "seed".to_owned(),
                enabled: true,
                by: CohortBy::Cookie,
            },
            fallback: None,
            lease_ms: None,
            brake: Vec::new(),
            judge: None,
            limits_ms: Vec::new(),
            acknowledges_override: None,
            mirror: None,
            access_log: None,
            tls: None,
            behind: None,
        }
    }
}

impl Backend {
    /// One endpoint that speaks HTTP/1.1, in a slot of the revision's name.
    #[must_use]
    pub fn plain(revision: &str, weight: Weight, endpoint: SocketAddr) -> Self {
        Self {
            revision: revision.to_owned(),
            slot: revision.to_owned(),
            weight,
            endpoints: vec![endpoint],
            protocol: Protocol::Http1,
        }
    }
}

/// A table as it comes from a socket or a disk, not believed yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncheckedTable {
    table: TableParts,
    checksum: String,
}

impl UncheckedTable {
    /// Checks content and checksum.
    ///
    /// # Errors
    /// [`TableError::Checksum`] when content and checksum differ, else what is wrong with it.
    pub fn verify(self) -> Result<Table, TableError> {
        let sealed = Table::seal(self.table)?;
        if sealed.checksum == self.checksum {
            Ok(sealed)
        } else {
            Err(TableError::Checksum { stated: self.checksum, computed: sealed.checksum })
        }
    }

    /// Key of the service the table claims to be for.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.table.service
    }
}

/// A valid, sealed route table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedTable")]
pub struct Table {
    table: TableParts,
    checksum: String,
}

impl TryFrom<UncheckedTable> for Table {
    type Error = TableError;

    fn try_from(unchecked: UncheckedTable) -> Result<Self, TableError> {
        unchecked.verify()
    }
}

impl std::ops::Deref for Table {
    type Target = TableParts;

    fn deref(&self) -> &TableParts {
        &self.table
    }
}

impl Table {
    /// Validates the parts and computes the checksum.
    ///
    /// # Errors
    /// The first rule of [`TableError`] that the parts break.
    pub fn seal(parts: TableParts) -> Result<Self, TableError> {
        check(&parts)?;
        let checksum = checksum(&parts);
        Ok(Self { table: parts, checksum })
    }

    /// Lower-case hexadecimal SHA-256 of the content.
    #[must_use]
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// (epoch, generation), the order in which tables are applied.
    #[must_use]
    pub fn fence(&self) -> (u64, u64) {
        (self.table.epoch, self.table.generation)
    }

    /// True while no revision has a weight: the first deployment is not ready.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.backends.iter().all(|backend| backend.weight == Weight::ZERO)
    }

    /// The split of the table, revisions without weight left out.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let weighted = self.table.backends.iter().filter(|b| b.weight > Weight::ZERO);
        weighted.map(|b| Share { revision: b.revision.clone(), weight: b.weight }).collect()
    }

    /// The backend of a revision.
    #[must_use]
    pub fn backend(&self, revision: &str) -> Option<&Backend> {
        self.table.backends.iter().find(|backend| backend.revision == revision)
    }

    /// Takes the parts out, to build the next table from.
    #[must_use]
    pub fn into_parts(self) -> TableParts {
        self.table
    }
}

/// Why these parts are no table.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    #[error("a weight is at most 10000 basis points, found {found}")]
    WeightRange { found: u16 },
    #[error("the weights of {of} sum to {found} basis points, not 10000")]
    WeightSum { of: &'static str, found: u64 },
    #[error("{what} `{value}` is not valid: {rule}")]
    Name { what: &'static str, value: String, rule: &'static str },
    #[error("{found} {what}, allowed are {least} to {most}")]
    Count { what: &'static str, found: usize, least: usize, most: usize },
    #[error("{what} `{value}` appears twice")]
    Twice { what: &'static str, value: String },
    #[error("{of} names the revision `{revision}`, which is not among the backends")]
    UnknownRevision { of: &'static str, revision: String },
    #[error("revision `{revision}` is named by {of} but has no endpoint")]
    NoEndpoint { of: &'static str, revision: String },
    #[error("{what} needs a fallback to go back to")]
    NeedsFallback { what: &'static str },
    #[error("{what} is {found}, allowed are {rule}")]
    Range { what: &'static str, found: String, rule: &'static str },
    #[error("checksum is {stated}, the content has {computed}")]
    Checksum { stated: String, computed: String },
}
