//! What requests leave behind: counters per revision and worker, one [`Flight`] a request.
//! Nothing here takes a lock on the path of a request, and a request is never counted twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use http::StatusCode;
use tidegate_judge::histogram::Cells;
use tokio_util::sync::CancellationToken;

use crate::access::{AccessLog, Line};
use crate::shard::Sharded;
use crate::table::wall_ms;
use crate::tally::Tally;
use crate::wire;
use crate::workers::shard;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Status5xx,
    Grpc,
    Connect,
    Timeout,
    Reset,
}

/// Places of the counters of one revision on a shard; the classes of [`Failure`] come first.
const FAILURES: usize = 5;
const STARTED: usize = 5;
const SUCCEEDED: usize = 6;
const ABANDONED: usize = 7;
/// So many are taken by a tick; the others go on.
const TAKEN: usize = 8;
const STARTED_TOTAL: usize = 8;
const IN_FLIGHT: usize = 9;
const TUNNELS: usize = 10;
const COUNTERS: usize = 11;

/// A latency histogram on the cells of one policy.
#[derive(Debug)]
struct Latency {
    cells: Cells,
    limits_ms: Vec<f64>,
    tally: Tally,
}

impl Latency {
    fn new(limits_ms: &[f64], shards: usize) -> Self {
        let cells = Cells::new(limits_ms);
        Self { limits_ms: limits_ms.to_vec(), tally: Tally::new(cells.len(), shards), cells }
    }

    fn record(&self, shard: usize, elapsed_ms: f64) {
        self.tally.add(shard, self.cells.index(elapsed_ms));
    }
}

/// What one instance of a revision answered. Its counts are part of its revision's.
#[derive(Debug)]
pub(crate) struct InstanceStats {
    counters: Sharded<2>,
    shards: usize,
    latency: ArcSwap<Latency>,
}

const ENDED: usize = 0;
const FAILED: usize = 1;

impl InstanceStats {
    pub(crate) fn new(limits_ms: &[f64], shards: usize) -> Self {
        let latency = ArcSwap::from_pointee(Latency::new(limits_ms, shards));
        Self { counters: Sharded::new(shards), shards, latency }
    }

    /// As [`RevisionStats::set_limits`].
    pub(crate) fn set_limits(&self, limits_ms: &[f64]) {
        if self.latency.load().limits_ms != limits_ms {
            self.latency.store(Arc::new(Latency::new(limits_ms, self.shards)));
        }
    }

    /// Whether the next call of [`InstanceStats::take`] has nothing to say. It may follow its
    /// revision by a moment.
    pub(crate) fn is_quiet(&self) -> bool {
        self.counters.is_quiet(FAILED + 1)
    }

    /// Takes what has been counted since the last call.
    pub(crate) fn take(&self, address: SocketAddr) -> wire::InstanceTick {
        // Read in this order a request that ends meanwhile is at worst counted as good.
        let failures = self.counters.take(FAILED);
        let requests = self.counters.take(ENDED).max(failures);
        wire::InstanceTick {
            address,
            requests,
            failures,
            latency: self.latency.load().tally.take(),
        }
    }
}

/// The counters of one revision. They live as long as a table names the revision or a request
/// or tunnel is still on it.
#[derive(Debug)]
pub(crate) struct RevisionStats {
    pub(crate) revision: String,
    counters: Sharded<COUNTERS>,
    shards: usize,
    latency: ArcSwap<Latency>,
    /// Cancelled to cut the tunnels open at that time.
    cut: ArcSwap<CancellationToken>,
}

impl RevisionStats {
    pub(crate) fn new(revision: &str, limits_ms: &[f64], shards: usize) -> Self {
        Self {
            revision: revision.to_owned(),
            counters: Sharded::new(shards),
            shards,
            latency: ArcSwap::from_pointee(Latency::new(limits_ms, shards)),
            cut: ArcSwap::from_pointee(CancellationToken::new()),
        }
    }

    /// Moves to the cells of another policy. The caller cuts the tick before, so that at most
    /// the samples of requests that are recording in this very moment are lost.
    pub(crate) fn set_limits(&self, limits_ms: &[f64]) {
        if self.latency.load().limits_ms != limits_ms {
            self.latency.store(Arc::new(Latency::new(limits_ms, self.shards)));
        }
    }

    /// Takes what has been counted since the last call.
    pub(crate) fn take(&self) -> wire::RevisionTick {
        let [status_5xx, grpc, connect, timeout, reset]: [u64; FAILURES] =
            std::array::from_fn(|class| self.counters.take(class));
        let failures = wire::Failures { status_5xx, grpc, connect, timeout, reset };
        wire::RevisionTick {
            revision: self.revision.clone(),
            started: self.counters.take(STARTED),
            requests: self.counters.take(SUCCEEDED) + failures.total(),
            abandoned: self.counters.take(ABANDONED),
            failures,
            in_flight: self.in_flight(),
            tunnels: self.tunnels(),
            latency: self.latency.load().tally.take(),
            instances: Vec::new(),
        }
    }

    /// Nothing has happened since the last call of [`RevisionStats::take`] and nothing is in
    /// progress. A request that ends at this moment may be seen only the next time; it is counted
    /// in progress until it has counted its outcome.
    pub(crate) fn is_quiet(&self) -> bool {
        self.counters.is_quiet(TAKEN) && self.in_flight() == 0 && self.tunnels() == 0
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.counters.sum(IN_FLIGHT)
    }

    pub(crate) fn tunnels(&self) -> u64 {
        self.counters.sum(TUNNELS)
    }

    pub(crate) fn started_total(&self) -> u64 {
        self.counters.sum(STARTED_TOTAL)
    }

    /// Cuts the tunnels that are open; later ones are not touched.
    pub(crate) fn cut_tunnels(&self) {
        self.cut.swap(Arc::new(CancellationToken::new())).cancel();
    }

    fn count(&self, counter: usize) {
        self.counters.add(shard(), counter, 1);
    }

    fn leave(&self, counter: usize) {
        self.counters.sub(shard(), counter, 1);
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
    /// The instance that answered, or did not.
    instance: Option<Arc<InstanceStats>>,
    note: Option<Box<Note>>,
}

/// A request whose line will be in the access log.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) log: Arc<AccessLog>,
    pub(crate) line: Line,
}

impl Flight {
    pub(crate) fn begin(stats: Arc<RevisionStats>, begun: Instant, counted: bool) -> Self {
        stats.count(IN_FLIGHT);
        if counted {
            stats.count(STARTED);
            stats.count(STARTED_TOTAL);
        }
        Self { stats, begun, counted, has_head: false, settled: false, instance: None, note: None }
    }

    /// Has this request in the access log when it is over.
    pub(crate) fn remember(&mut self, note: Note) {
        self.note = Some(Box::new(note));
    }

    /// Which instance the request was sent to.
    pub(crate) fn sent_to(&mut self, instance: Arc<InstanceStats>) {
        self.instance = Some(instance);
    }

    /// What the client is answered with.
    pub(crate) fn status(&mut self, status: StatusCode) {
        if let Some(note) = &mut self.note {
            note.line.status = Some(status.as_u16());
        }
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
        self.settle(failure as usize);
    }

    /// Nobody answered; `asked` is the instance that did not.
    pub(crate) fn lost(&mut self, failure: Failure, asked: Option<Arc<InstanceStats>>) {
        self.instance = asked;
        self.fail(failure);
    }

    /// The response was complete, or as complete as its client wanted it.
    pub(crate) fn succeed(&mut self) {
        self.settle(SUCCEEDED);
    }

    /// The request became a tunnel, which is a success of the request.
    pub(crate) fn into_tunnel(mut self) -> Tunnel {
        self.succeed();
        let stats = Arc::clone(&self.stats);
        stats.count(TUNNELS);
        let cut = CancellationToken::clone(&stats.cut.load());
        Tunnel { stats, cut }
    }

    fn settle(&mut self, counter: usize) {
        if self.counted && !self.settled {
            self.stats.count(counter);
            if let Some(instance) = self.instance.as_ref().filter(|_| counter != ABANDONED) {
                instance.counters.add(shard(), ENDED, 1);
                if counter < FAILURES {
                    instance.counters.add(shard(), FAILED, 1);
                }
            }
        }
        self.settled = true;
    }

    fn record_latency(&self) {
        if self.counted {
            let elapsed_ms = self.begun.elapsed().as_secs_f64() * 1_000.0;
            self.stats.latency.load().record(shard(), elapsed_ms);
            if let Some(instance) = &self.instance {
                instance.latency.load().record(shard(), elapsed_ms);
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.has_head {
            self.succeed();
        } else {
            self.record_latency();
            self.settle(ABANDONED);
        }
        self.stats.leave(IN_FLIGHT);
        if let Some(note) = self.note.take() {
            let Note { log, mut line } = *note;
            line.at_ms = wall_ms();
            line.duration_ms = self.begun.elapsed().as_secs_f64() * 1_000.0;
            log.tell(line);
        }
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
        self.stats.leave(TUNNELS);
    }
}
