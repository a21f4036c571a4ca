//! What the judge is fed: counts of one stretch of time for each arm.
//! It must never hold a rate: rates cannot be added up, counts can.

use crate::histogram::Histogram;

/// Sub-streams an arm may report; more are refused as telemetry that cannot be read.
pub const STREAMS_MAX: usize = 256;

/// Strata an arm may report: the busiest 31 routes, and one for all the rest.
pub const STRATA_MAX: usize = 32;

/// Counts of one instance, or of one of the cohort-hash buckets when instances are few.
/// They tell how noisy requests are between equals, and are parts of the arm's own counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// Requests that reached the instance.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Their latencies; without cells when not measured by instance.
    pub latency: Histogram,
    /// CPU in percent of what the instance may use; 0 to 100, more where bursting is allowed.
    pub cpu: Option<f64>,
    /// Memory in percent of the instance's limit.
    pub memory: Option<f64>,
}

/// Counts of one route (or route and region). Requests of one stratum are alike, so that releases
/// are compared within it: a release that gets more of the slow route is not a slow release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stratum {
    /// Requests of this stratum.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Latencies of the answered ones; without cells when not measured by stratum.
    pub latency: Histogram,
}

/// Counts of one arm (the candidate or the live release) during one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arm {
    /// Requests routed to this arm, counted where they are routed: a dead process logs nothing.
    pub requests: u64,
    /// Those of them that failed, connection errors and missing answers included.
    pub failures: u64,
    /// Different users, sessions or traces among the failures, at most as many; `None` when they
    /// are not told apart. Five retries of one user are one piece of evidence, not five.
    pub failed_users: Option<u64>,
    /// Latencies of the answered requests.
    pub latency: Histogram,
    /// CPU in percent of the allowance, of the *hottest* instance; `None` when not measured.
    pub cpu: Option<f64>,
    /// Memory in percent of the limit, of the *fullest* instance; `None` when not measured.
    pub memory: Option<f64>,
    /// Health probes that ended in this tick.
    pub probes: u64,
    /// Those of them that failed.
    pub probes_failed: u64,
    /// Numbers from other systems by [`Gauge::index`](crate::gauge::Gauge::index); `None` where
    /// nothing fresh is known.
    pub gauges: Vec<Option<f64>>,
    /// The arm split by instance or cohort bucket, always in the same order; may be empty.
    pub streams: Vec<Stream>,
    /// The arm split by route, in the same order in both arms and in every tick; may be empty.
    /// Together they are the whole arm, the last one holding what is not told apart.
    pub strata: Vec<Stratum>,
}

impl Arm {
    /// Failures as evidence counts them: each user once where users are known.
    #[must_use]
    pub fn distinct_failures(&self) -> u64 {
        self.failed_users.map_or(self.failures, |users| users.min(self.failures))
    }

    /// False when the counts contradict themselves: more failures than requests, or more parts
    /// than can be told apart.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.failures <= self.requests
            && self.probes_failed <= self.probes
            && self.streams.len() <= STREAMS_MAX
            && self.strata.len() <= STRATA_MAX
            && self.strata.iter().all(|stratum| stratum.failures <= stratum.requests)
    }

    /// Adds the counts of a later tick; gauges take the later value.
    /// A histogram of a foreign shape turns the sum's latency into "not measured".
    pub fn absorb(&mut self, later: &Arm) {
        self.requests = self.requests.saturating_add(later.requests);
        self.failures = self.failures.saturating_add(later.failures);
        self.probes = self.probes.saturating_add(later.probes);
        self.probes_failed = self.probes_failed.saturating_add(later.probes_failed);
        if self.latency.merge(&later.latency).is_err() {
            self.latency = Histogram::default();
        }
        self.cpu = later.cpu;
        self.memory = later.memory;
        self.gauges.clone_from(&later.gauges);
    }
}

/// One stretch of time, both arms. `None` for an arm means that nothing was heard of it,
/// which is not the same as an arm with zero requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// End of the stretch, in milliseconds of any clock that runs forward.
    pub at_ms: u64,
    /// Length of the stretch in milliseconds.
    pub length_ms: u64,
    /// The new release.
    pub candidate: Option<Arm>,
    /// The release that serves the rest of the traffic.
    pub live: Option<Arm>,
}

impl Tick {
    /// Start of the stretch, in milliseconds.
    #[must_use]
    pub fn from_ms(&self) -> u64 {
        self.at_ms.saturating_sub(self.length_ms)
    }
}
