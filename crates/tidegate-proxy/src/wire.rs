//! The contract between a control plane and a proxy: JSON over HTTP/1.1 on the proxy's unix
//! socket. Types only: nothing here opens a socket, reads a clock or decides anything.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /v1/table` | [`Table`] | [`Ack`] |
//! | `DELETE /v1/table/{service}?epoch=E&generation=G` | - | [`Ack`] |
//! | `GET /v1/status` | - | [`StatusReport`] |
//! | `POST /v1/lease` | list of [`LeaseRenewal`] | list of [`LeaseOutcome`] |
//! | `GET /v1/ticks?service=S&after=SEQ` | - | [`Ticks`] |
//! | `POST /v1/rollback` | [`RollbackRequest`] | [`Ack`] with the override |
//! | `POST /v1/drain` | [`DrainRequest`] | [`Drained`] |
//! | `GET /metrics` | - | OpenMetrics text |
//!
//! Every other status than 200 carries a [`Refusal`]. Service keys contain `/`; in a path or a
//! query they are percent-encoded ([`encode_service`]).

mod check;
mod checksum;
mod edge;
mod table;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use edge::{Acme, Behind, Certificate, CertificateStatus, IpNet, Protocol, Speaks, Tls};
pub use table::{
    Backend, BrakeEvidence, BrakeJudge, BrakeRule, Cohort, CohortBy, Mirror, Preview, Route, Share,
    Table, TableError, TableParts, UncheckedTable, Weight, limits,
};

/// Where a table is put.
pub const PATH_TABLE: &str = "/v1/table";
/// Where a table is tried without being applied.
pub const PATH_REHEARSAL: &str = "/v1/table/rehearsal";
/// Where the state of the proxy is read.
pub const PATH_STATUS: &str = "/v1/status";
/// Where leases are renewed, many at a time.
pub const PATH_LEASE: &str = "/v1/lease";
/// Where the kept ticks of one service are read.
pub const PATH_TICKS: &str = "/v1/ticks";
/// Where a person rolls back without a control plane.
pub const PATH_ROLLBACK: &str = "/v1/rollback";
/// Where metrics are read, here and on the listener for them.
pub const PATH_METRICS: &str = "/metrics";
/// Where a revision without traffic is emptied of its tunnels.
pub const PATH_DRAIN: &str = "/v1/drain";

/// Percent-encodes a service key for use as one path segment or query value.
#[must_use]
pub fn encode_service(service: &str) -> String {
    let mut out = String::with_capacity(service.len() + 8);
    for byte in service.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out
}

/// The table would be taken as things are. Nothing was kept of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rehearsed {}

/// The proxy did what was asked, or had already done it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Key of the service.
    pub service: String,
    /// Epoch of the table the proxy holds.
    pub epoch: u64,
    /// Generation of the table the proxy holds.
    pub generation: u64,
    /// Wall clock of the proxy when this table was applied, milliseconds since 1970.
    pub applied_at_ms: u64,
    /// Set while something stronger than the table decides the split.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "override")]
    pub in_override: Option<Override>,
}

/// The proxy refused, and nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// `TG5xxx`, explained in `docs/errors/`.
    pub code: String,
    /// One sentence with the values to act on.
    pub reason: String,
    /// (epoch, generation) of the table that goes on serving, if the service is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<(u64, u64)>,
    /// The override that stands in the way, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "override")]
    pub in_override: Option<Box<Override>>,
}

/// Why the proxy left the split of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideKind {
    /// The control plane was silent for longer than the lease of a table in mid-shift.
    Lease,
    /// The judge of the table spoke: a [`BrakeRule`] or its evidence.
    Brake,
    /// A person asked for it on the proxy's own socket.
    Emergency,
}

/// The proxy serves `split` instead of what its table says, until a table acknowledges it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Counts up within a service and survives restarts of the proxy.
    pub sequence: u64,
    /// Why.
    pub kind: OverrideKind,
    /// Wall clock of the proxy, milliseconds since 1970.
    pub at_ms: u64,
    /// Who: a person for an emergency, `proxy` for the other kinds.
    pub actor: String,
    /// One sentence.
    pub reason: String,
    /// What is served.
    pub split: Vec<Share>,
}

/// Everything a proxy says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusReport {
    /// Process id of the proxy.
    pub pid: u32,
    /// Wall clock at its start, milliseconds since 1970.
    pub started_at_ms: u64,
    /// The highest epoch seen in any table; lower ones are refused.
    pub highest_epoch: u64,
    /// One entry a service, in order of their keys.
    pub services: Vec<Status>,
}

/// The state of one service in the proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Key of the service.
    pub service: String,
    /// Epoch of the applied table.
    pub epoch: u64,
    /// Generation of the applied table.
    pub generation: u64,
    /// Checksum of the applied table.
    pub checksum: String,
    /// Wall clock when it was applied (or loaded after a restart), milliseconds since 1970.
    pub applied_at_ms: u64,
    /// False while the listen address cannot be bound.
    pub listening: bool,
    /// False while the newest state is not on disk yet; a restart would lose an override then.
    pub persisted: bool,
    /// The split the table asks for.
    pub shares_set: Vec<Share>,
    /// The split new requests are placed by.
    pub shares_in_force: Vec<Share>,
    /// Set while the two differ by decision of the proxy or of a person.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "override")]
    pub in_override: Option<Override>,
    /// Milliseconds until the lease ends; absent when the table has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_left_ms: Option<u64>,
    /// The certificates of the table; empty without TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
    /// Every revision of the table, and every other one that still has requests or tunnels.
    pub revisions: Vec<RevisionStatus>,
}

/// What one revision carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionStatus {
    /// Name of the revision.
    pub revision: String,
    /// Slot it runs in, as the applied table says; absent when the table does not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Requests in progress, preview requests included, tunnels not.
    pub in_flight: u64,
    /// Upgraded connections (WebSocket) in progress.
    pub tunnels: u64,
    /// Connections to the revision's endpoints that are open and idle.
    pub idle_connections: u64,
    /// User requests placed on the revision since this process began, previews not counted.
    pub requests_total: u64,
}

/// Failed requests by class; a request counts in at most one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// The revision answered with a 5xx status.
    pub status_5xx: u64,
    /// The revision answered a gRPC call with a status that is the server's fault.
    pub grpc: u64,
    /// No endpoint of the revision accepted a connection.
    pub connect: u64,
    /// The response head did not come in time.
    pub timeout: u64,
    /// The connection broke before the response was complete.
    pub reset: u64,
}

impl Failures {
    /// Adds the counts of others.
    pub const fn add(&mut self, other: Self) {
        let Self { status_5xx, grpc, connect, timeout, reset } = other;
        self.status_5xx += status_5xx;
        self.grpc += grpc;
        self.connect += connect;
        self.timeout += timeout;
        self.reset += reset;
    }

    /// All failed requests.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.status_5xx + self.grpc + self.connect + self.timeout + self.reset
    }
}

/// What one revision did in one tick. Preview requests are not in here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionTick {
    /// Name of the revision.
    pub revision: String,
    /// Requests placed on the revision: the count to compare with the split.
    pub started: u64,
    /// Requests that ended with an outcome, failed ones included: the denominator of the error
    /// rate, so `failures.total() <= requests` in every tick. A tunnel counts when it opens.
    pub requests: u64,
    /// Requests whose client left before the response head; neither good nor failed.
    pub abandoned: u64,
    /// The failed ones of `requests`.
    pub failures: Failures,
    /// Requests in progress at the end of the tick.
    pub in_flight: u64,
    /// Tunnels open at the end of the tick.
    pub tunnels: u64,
    /// Sparse histogram, (cell, count), of the time from the request head received to the
    /// response head received. Cells are `tidegate_judge`'s, built from the `limits_ms` of the
    /// table this tick names. A timeout counts with the time waited, and so does an abandoned
    /// request; a broken or refused connection has no latency.
    pub latency: Vec<(u16, u32)>,
    /// The same by instance, in the order of their addresses: each request with the instance that
    /// ended it, so that together they are at most the whole. Empty below two instances and above
    /// [`limits::INSTANCES_TOLD`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceTick>,
}

/// What one instance of a revision did in one tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceTick {
    /// Its endpoint.
    pub address: SocketAddr,
    /// Requests that ended with an outcome.
    pub requests: u64,
    /// The failed ones of them.
    pub failures: u64,
    /// Sparse histogram on the cells of the revision's.
    pub latency: Vec<(u16, u32)>,
}

impl RevisionTick {
    /// Adds the counts of another process for the same revision; the gauges become the other's.
    /// Both histograms must have the same cells.
    pub fn add(&mut self, other: Self) {
        let Self {
            revision,
            started,
            requests,
            abandoned,
            failures,
            in_flight,
            tunnels,
            latency,
            instances,
        } = other;
        self.revision = revision;
        self.started += started;
        self.requests += requests;
        self.abandoned += abandoned;
        self.failures.add(failures);
        (self.in_flight, self.tunnels) = (in_flight, tunnels);
        add_cells(&mut self.latency, latency);
        for told in instances {
            match self.instances.binary_search_by_key(&told.address, |known| known.address) {
                Ok(at) => {
                    let known = &mut self.instances[at];
                    known.requests += told.requests;
                    known.failures += told.failures;
                    add_cells(&mut known.latency, told.latency);
                }
                Err(at) => self.instances.insert(at, told),
            }
        }
    }

    /// True when nothing happened and nothing is in progress.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let counted = self.started + self.requests + self.abandoned + self.in_flight + self.tunnels;
        // What an instance counted may follow by a moment.
        let is_quiet =
            |one: &InstanceTick| one.requests + one.failures == 0 && one.latency.is_empty();
        counted == 0 && self.latency.is_empty() && self.instances.iter().all(is_quiet)
    }
}

fn add_cells(sum: &mut Vec<(u16, u32)>, more: Vec<(u16, u32)>) {
    for (cell, count) in more {
        match sum.binary_search_by_key(&cell, |(cell, _)| *cell) {
            Ok(at) => sum[at].1 += count,
            Err(at) => sum.insert(at, (cell, count)),
        }
    }
}

/// What one service did in one tick. A tick belongs to exactly one table: applying a table cuts
/// the running tick short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// Key of the service.
    pub service: String,
    /// Counts up within a service. Starts at the wall clock of the proxy's start in
    /// milliseconds, so that it also counts up over restarts of the proxy.
    pub seq: u64,
    /// Wall clock at the end of the tick, milliseconds since 1970.
    pub at_ms: u64,
    /// Length by the monotonic clock.
    pub length_ms: u64,
    /// Epoch of the table in force.
    pub epoch: u64,
    /// Generation of the table in force.
    pub generation: u64,
    /// Sequence of the override in force, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_sequence: Option<u64>,
    /// Requests answered 503 because no revision had a weight (nothing is deployed yet).
    pub no_backend: u64,
    /// One entry for each revision that is in the table or did something.
    pub revisions: Vec<RevisionTick>,
}

/// The kept ticks of one service after a sequence number, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticks {
    /// Key of the service.
    pub service: String,
    /// Sequence of the oldest tick kept; a gap before it means that ticks are lost.
    pub oldest: Option<u64>,
    /// Sequence of the newest tick kept; ask again when it is above the last one received,
    /// because one answer carries at most [`limits::TICKS_IN_ANSWER`].
    pub newest: Option<u64>,
    /// The ticks.
    pub ticks: Vec<Tick>,
}

/// Go back to the fallback of the applied table at once. Needs no control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// Key of the service.
    pub service: String,
    /// The person who asks.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
}

/// The control plane is alive and means this table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRenewal {
    /// Key of the service.
    pub service: String,
    /// Epoch of the table the control plane believes applied.
    pub epoch: u64,
    /// Generation of it.
    pub generation: u64,
}

/// Answer to one [`LeaseRenewal`], in the order asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseOutcome {
    /// Key of the service.
    pub service: String,
    /// Milliseconds the lease lasts from this answer; absent when it was refused or the table
    /// has no lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// Why the renewal did not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// Empty a revision that has no weight in force, before it is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Key of the service.
    pub service: String,
    /// Revision to empty.
    pub revision: String,
    /// How long tunnels may go on, milliseconds; the rest is cut then. At most
    /// [`limits::DRAIN_MS`].
    pub grace_ms: u64,
}

/// What was left when the drain ended. Both zero: nothing is lost by stopping the revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drained {
    /// Requests still in progress; the proxy does not cut requests.
    pub in_flight: u64,
    /// Tunnels still open.
    pub tunnels: u64,
    /// Tunnels the proxy cut at the end of the grace.
    pub cut: u64,
}
