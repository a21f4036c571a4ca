//! What requests leave behind: plain atomic counters per revision, one [`Flight`] a request.
//! Nothing here takes a lock on the path of a request, and a request is never counted twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use tidegate_judge::histogram::Cells;
use tokio_util::sync::CancellationToken;

use crate::wire;

// Counters say how many, never in which order: no other memory hangs on their values.
const RELAXED: Ordering = Ordering::Relaxed;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Status5xx,
    Grpc,
    Connect,
    Timeout,
    Reset,
}

/// A latency histogram on the cells of one policy.
#[derive(Debug)]
struct Latency {
    cells: Cells,
    limits_ms: Vec<f64>,
    counts: Box<[AtomicU32]>,
}

impl Latency {
    fn new(limits_ms: &[f64]) -> Self {
        let cells = Cells::new(limits_ms);
        let counts = (0..cells.len()).map(|_| AtomicU32::new(0)).collect();
        Self { cells, limits_ms: limits_ms.to_vec(), counts }
    }

    fn record(&self, elapsed_ms: f64) {
        if let Some(count) = self.counts.get(self.cells.index(elapsed_ms)) {
            count.fetch_add(1, RELAXED);
        }
    }

    fn take(&self) -> Vec<(u16, u32)> {
        let taken =
            self.counts.iter().enumerate().map(|(cell, count)| (cell, count.swap(0, RELAXED)));
        let filled = taken.filter(|(_, count)| *count > 0);
        filled.filter_map(|(cell, count)| Some((u16::try_from(cell).ok()?, count))).collect()
    }
}

/// The counters of one revision. They live as long as a table names the revision or a request
/// or tunnel is still on it.
#[derive(Debug)]
pub(crate) struct RevisionStats {
    pub(crate) revision: String,
    started: AtomicU64,
    succeeded: AtomicU64,
    abandoned: AtomicU64,
    failures: [AtomicU64; 5],
    latency: ArcSwap<Latency>,
    started_total: AtomicU64,
    in_flight: AtomicU64,
    tunnels: AtomicU64,
    /// Cancelled to cut the tunnels open at that time.
    cut: ArcSwap<CancellationToken>,
}

impl RevisionStats {
    pub(crate) fn new(revision: &str, limits_ms: &[f64]) -> Self {
        Self {
            revision: revision.to_owned(),
            started: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            failures: Default::default(),
            latency: ArcSwap::from_pointee(Latency::new(limits_ms)),
            started_total: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            tunnels: AtomicU64::new(0),
            cut: ArcSwap::from_pointee(CancellationToken::new()),
        }
    }

    /// Moves to the cells of another policy. The caller cuts the tick before, so that at most
    /// the samples of requests that are recording in this very moment are lost.
    pub(crate) fn set_limits(&self, limits_ms: &[f64]) {
        if self.latency.load().limits_ms != limits_ms {
            self.latency.store(Arc::new(Latency::new(limits_ms)));
        }
    }

    /// Takes what has been counted since the last call.
    pub(crate) fn take(&self) -> wire::RevisionTick {
        let [status_5xx, grpc, connect, timeout, reset] =
            std::array::from_fn(|class| self.failures[class].swap(0, RELAXED));
        let failures = wire::Failures { status_5xx, grpc, connect, timeout, reset };
        wire::RevisionTick {
            revision: self.revision.clone(),
            started: self.started.swap(0, RELAXED),
            requests: self.succeeded.swap(0, RELAXED) + failures.total(),
            abandoned: self.abandoned.swap(0, RELAXED),
            failures,
            in_flight: self.in_flight(),
            tunnels: self.tunnels(),
            latency: self.latency.load().take(),
        }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(RELAXED)
    }

    pub(crate) fn tunnels(&self) -> u64 {
        self.tunnels.load(RELAXED)
    }

    pub(crate) fn started_total(&self) -> u64 {
        self.started_total.load(RELAXED)
    }

    /// Cuts the tunnels that are open; later ones are not touched.
    pub(crate) fn cut_tunnels(&self) {
        self.cut.swap(Arc::new(CancellationToken::new())).cancel();
    }
}

/// One request on its way. Whatever happens to it, it is counted: dropping a flight that never
/// saw a response head counts it as abandoned by its client.
#[derive(Debug)]
pub(crate) struct Flight {
    stats: Arc<RevisionStats>,
    begun: Instant,
    /// False for previews: they hold a place but are not user traffic.
    counted: bool,
    has_head: bool,
    settled: bool,
}

impl Flight {
    pub(crate) fn begin(stats: Arc<RevisionStats>, begun: Instant, counted: bool) -> Self {
        stats.in_flight.fetch_add(1, RELAXED);
        if counted {
            stats.started.fetch_add(1, RELAXED);
            stats.started_total.fetch_add(1, RELAXED);
        }
        Self { stats, begun, counted, has_head: false, settled: false }
    }

    /// The response head came: latency ends here.
    pub(crate) fn head(&mut self) {
        self.has_head = true;
        self.record_latency();
    }

    /// The request failed. Only the first outcome of a flight counts.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if failure == Failure::Timeout {
            self.record_latency();
        }
        self.has_head = true;
        self.settle(|stats| &stats.failures[failure as usize]);
    }

    /// The response was complete, or as complete as its client wanted it.
    pub(crate) fn succeed(&mut self) {
        self.settle(|stats| &stats.succeeded);
    }

    /// The request became a tunnel, which is a success of the request.
    pub(crate) fn into_tunnel(mut self) -> Tunnel {
        self.succeed();
        let stats = Arc::clone(&self.stats);
        stats.tunnels.fetch_add(1, RELAXED);
        let cut = CancellationToken::clone(&stats.cut.load());
        Tunnel { stats, cut }
    }

    fn settle(&mut self, counter: impl FnOnce(&RevisionStats) -> &AtomicU64) {
        if self.counted && !self.settled {
            counter(&self.stats).fetch_add(1, RELAXED);
        }
        self.settled = true;
    }

    fn record_latency(&self) {
        if self.counted {
            self.stats.latency.load().record(self.begun.elapsed().as_secs_f64() * 1_000.0);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.has_head {
            self.succeed();
        } else {
            self.record_latency();
            self.settle(|stats| &stats.abandoned);
        }
        self.stats.in_flight.fetch_sub(1, RELAXED);
    }
}

/// An upgraded connection; counted as long as it lives.
#[derive(Debug)]
pub(crate) struct Tunnel {
    stats: Arc<RevisionStats>,
    pub(crate) cut: CancellationToken,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stats.tunnels.fetch_sub(1, RELAXED);
    }
}
