//! The route table of one service: what it may contain, and the checksum that seals it.
//!
//! A [`Table`] cannot be constructed unless it is valid: sealing and deserialising both check.
//! Nothing here knows which table is newer or whether its endpoints answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
}

/// Go back to the fallback without asking anybody when a revision that gained weight over the
/// fallback fails too often.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrakeRule {
    /// Fires above this share of failed requests, in percent, 0 to 100.
    pub errors_above_percent: f64,
    /// Over the ticks of this trailing time, milliseconds. The window runs on across tables.
    pub over_ms: u64,
    /// Never fires on fewer requests than this.
    pub min_requests: u64,
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
    /// Latency limits of the policy, milliseconds; exact edges of the histogram.
    #[serde(default)]
    pub limits_ms: Vec<f64>,
    /// Sequence of the override this table answers, if the maker knows of one.
    #[serde(default)]
    pub acknowledges_override: Option<u64>,
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
        check_names(&parts)?;
        check_routes(&parts)?;
        check_backends(&parts)?;
        check_fallback(&parts)?;
        check_rules(&parts)?;
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

fn count(what: &'static str, found: usize, least: usize, most: usize) -> Result<(), TableError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(TableError::Count { what, found, least, most })
    }
}

fn name(what: &'static str, value: &str) -> Result<(), TableError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./+:@".contains(&b);
    if !value.is_empty() && value.len() <= limits::NAME_BYTES && value.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "1 to 128 letters, digits or -_./+:@";
    Err(TableError::Name { what, value: value.chars().take(limits::NAME_BYTES).collect(), rule })
}

fn token(what: &'static str, value: &str) -> Result<(), TableError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if !value.is_empty() && value.len() <= limits::NAME_BYTES && value.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "1 to 128 lower-case letters, digits, - or _";
    Err(TableError::Name { what, value: value.chars().take(limits::NAME_BYTES).collect(), rule })
}

fn text(what: &'static str, value: &str, allowed: fn(u8) -> bool) -> Result<(), TableError> {
    if !value.is_empty() && value.len() <= limits::TEXT_BYTES && value.bytes().all(allowed) {
        return Ok(());
    }
    let rule = "1 to 1024 printable characters that fit its kind";
    Err(TableError::Name { what, value: value.chars().take(limits::NAME_BYTES).collect(), rule })
}

fn check_names(parts: &TableParts) -> Result<(), TableError> {
    name("service", &parts.service)?;
    token("cohort cookie", &parts.cohort.cookie)?;
    text("cohort seed", &parts.cohort.seed, |b| b.is_ascii_graphic())?;
    count("backends", parts.backends.len(), 0, limits::BACKENDS)?;
    let mut seen = BTreeSet::new();
    for backend in &parts.backends {
        name("revision", &backend.revision)?;
        name("slot", &backend.slot)?;
        if !seen.insert(&backend.revision) {
            return Err(TableError::Twice { what: "revision", value: backend.revision.clone() });
        }
    }
    Ok(())
}

fn check_routes(parts: &TableParts) -> Result<(), TableError> {
    if parts.listen.port() == 0 {
        let rule = "1 to 65535";
        return Err(TableError::Range { what: "the listen port", found: "0".into(), rule });
    }
    count("routes", parts.routes.len(), 1, limits::ROUTES)?;
    let mut seen = BTreeSet::new();
    for route in &parts.routes {
        if let Some(host) = &route.host {
            let allowed =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._[]:".contains(&b);
            text("host", host, allowed)?;
        }
        text("path prefix", &route.path_prefix, |b| {
            b.is_ascii_graphic() && !b"?#\\\"<>".contains(&b)
        })?;
        if !route.path_prefix.starts_with('/') {
            let value = route.path_prefix.clone();
            return Err(TableError::Name { what: "path prefix", value, rule: "begins with /" });
        }
        if !seen.insert(route) {
            let value = format!("{}{}", route.host.as_deref().unwrap_or("*"), route.path_prefix);
            return Err(TableError::Twice { what: "route", value });
        }
    }
    Ok(())
}

fn check_backends(parts: &TableParts) -> Result<(), TableError> {
    let mut sum = 0;
    for backend in &parts.backends {
        sum += u64::from(backend.weight.basis_points());
        count("endpoints of a revision", backend.endpoints.len(), 0, limits::ENDPOINTS)?;
        if backend.weight > Weight::ZERO && backend.endpoints.is_empty() {
            let revision = backend.revision.clone();
            return Err(TableError::NoEndpoint { of: "a weight", revision });
        }
        let distinct: BTreeSet<_> = backend.endpoints.iter().collect();
        if distinct.len() != backend.endpoints.len() {
            let value = backend.revision.clone();
            return Err(TableError::Twice { what: "an endpoint of revision", value });
        }
    }
    if sum == 0 || sum == u64::from(Weight::FULL.basis_points()) {
        Ok(())
    } else {
        Err(TableError::WeightSum { of: "the backends", found: sum })
    }
}

/// The named revision is a backend with at least one endpoint.
fn check_reachable(parts: &TableParts, of: &'static str, revision: &str) -> Result<(), TableError> {
    match parts.backends.iter().find(|backend| backend.revision == revision) {
        None => Err(TableError::UnknownRevision { of, revision: revision.to_owned() }),
        Some(backend) if backend.endpoints.is_empty() => {
            Err(TableError::NoEndpoint { of, revision: revision.to_owned() })
        }
        Some(_) => Ok(()),
    }
}

fn check_fallback(parts: &TableParts) -> Result<(), TableError> {
    if let Some(preview) = &parts.preview {
        token("preview header", &preview.header)?;
        count("preview values", preview.values.len(), 0, limits::PREVIEWS)?;
        for (value, revision) in &preview.values {
            text("preview value", value, |b| b.is_ascii_graphic() || b == b' ')?;
            check_reachable(parts, "the preview", revision)?;
        }
    }
    let Some(fallback) = &parts.fallback else {
        return Ok(());
    };
    count("fallback shares", fallback.len(), 1, limits::BACKENDS)?;
    let mut sum = 0;
    let mut seen = BTreeSet::new();
    for share in fallback {
        sum += u64::from(share.weight.basis_points());
        check_reachable(parts, "the fallback", &share.revision)?;
        if !seen.insert(&share.revision) {
            let value = share.revision.clone();
            return Err(TableError::Twice { what: "fallback share of revision", value });
        }
    }
    if sum == u64::from(Weight::FULL.basis_points()) {
        Ok(())
    } else {
        Err(TableError::WeightSum { of: "the fallback", found: sum })
    }
}

fn check_rules(parts: &TableParts) -> Result<(), TableError> {
    count("brake rules", parts.brake.len(), 0, limits::BRAKES)?;
    count("latency limits", parts.limits_ms.len(), 0, limits::LIMITS_MS)?;
    let range = |what, found: String, rule| Err(TableError::Range { what, found, rule });
    if parts.fallback.is_none() {
        if parts.lease_ms.is_some() {
            return Err(TableError::NeedsFallback { what: "a lease" });
        }
        if !parts.brake.is_empty() {
            return Err(TableError::NeedsFallback { what: "a brake rule" });
        }
    }
    if let Some(lease) = parts.lease_ms
        && !(1..=limits::LEASE_MS).contains(&lease)
    {
        return range("the lease", format!("{lease} ms"), "1 ms to one hour");
    }
    for rule in &parts.brake {
        if !(0.0..=100.0).contains(&rule.errors_above_percent) {
            let found = rule.errors_above_percent.to_string();
            return range("a brake limit", found, "0 to 100 percent");
        }
        if !(1..=limits::BRAKE_MS).contains(&rule.over_ms) {
            return range("a brake window", format!("{} ms", rule.over_ms), "1 ms to 10 minutes");
        }
    }
    for limit in &parts.limits_ms {
        if !limit.is_finite() || *limit <= 0.0 {
            return range("a latency limit", limit.to_string(), "finite and above zero");
        }
    }
    Ok(())
}

/// Feeds a hash so that no two different tables feed the same bytes: every text carries its
/// length, every list its count, every option a mark.
struct Canonical(Sha256);

impl Canonical {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_be_bytes());
    }

    fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    /// Thousandths, not bits: a decimal may come back from JSON a bit off, and must not look
    /// like damage then.
    fn decimal(&mut self, value: f64) {
        self.text(&format!("{value:.3}"));
    }

    fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.update(value.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, feed: impl FnOnce(&mut Self, T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            feed(self, value);
        }
    }

    fn shares(&mut self, shares: &[Share]) {
        self.count(shares.len());
        for share in shares {
            self.text(&share.revision);
            self.number(u64::from(share.weight.basis_points()));
        }
    }
}

/// Covers every field of the parts; a new field belongs in here.
fn checksum(parts: &TableParts) -> String {
    let TableParts {
        service,
        epoch,
        generation,
        listen,
        routes,
        backends,
        preview,
        cohort,
        fallback,
        lease_ms,
        brake,
        limits_ms,
        acknowledges_override,
    } = parts;
    let mut hash = Canonical(Sha256::new());
    hash.text("tidegate route table 1");
    hash.text(service);
    hash.number(*epoch);
    hash.number(*generation);
    hash.text(&listen.to_string());
    hash.count(routes.len());
    for route in routes {
        hash.optional(route.host.as_deref(), Canonical::text);
        hash.text(&route.path_prefix);
    }
    hash.count(backends.len());
    for backend in backends {
        hash.text(&backend.revision);
        hash.text(&backend.slot);
        hash.number(u64::from(backend.weight.basis_points()));
        hash.count(backend.endpoints.len());
        for endpoint in &backend.endpoints {
            hash.text(&endpoint.to_string());
        }
    }
    hash.optional(preview.as_ref(), |hash, preview| {
        hash.text(&preview.header);
        hash.count(preview.values.len());
        for (value, revision) in &preview.values {
            hash.text(value);
            hash.text(revision);
        }
    });
    hash.text(&cohort.cookie);
    hash.text(&cohort.seed);
    hash.number(u64::from(cohort.enabled));
    hash.optional(fallback.as_deref(), Canonical::shares);
    hash.optional(*lease_ms, Canonical::number);
    hash.count(brake.len());
    for rule in brake {
        hash.decimal(rule.errors_above_percent);
        hash.number(rule.over_ms);
        hash.number(rule.min_requests);
    }
    hash.count(limits_ms.len());
    for limit in limits_ms {
        hash.decimal(*limit);
    }
    hash.optional(*acknowledges_override, Canonical::number);
    hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
