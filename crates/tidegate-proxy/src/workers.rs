//! One thread and one runtime a core, none of which takes work from another: a client connection,
//! the endpoint connections its requests use and the counters they leave stay on one core.
//!
//! It must never choose a worker by anything but how many connections it carries: with few and
//! long-lived connections a hash would leave one core idle beside a busy one.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Most workers of one proxy: past it the counters of every revision cost more than they save.
pub(crate) const WORKERS_MAX: usize = 64;

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

/// The place of this thread among the workers. Threads that are no workers share place 0, so
/// what is kept by place must bear more than one writer.
pub(crate) fn shard() -> usize {
    SHARD.get()
}

/// As many workers as this process may use cores.
pub(crate) fn default_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX)
}

/// A worker looks up at least this often. A runtime that would sleep until a far deadline is
/// woken through its event descriptor, with a system call, for each timer that is nearer; with
/// a timer always near, the timers of requests cost none.
const LOOK_UP: Duration = Duration::from_millis(500);

/// Does nothing until `stop`, every now and then.
async fn rest(stop: &CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_UP);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
    }
}

/// All workers of a proxy.
#[derive(Debug)]
pub(crate) struct Workers {
    list: Vec<Worker>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place on a worker.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts so many, 1 to [`WORKERS_MAX`].
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let mut threads = Vec::new();
        let worker = |place: usize| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = stop.clone();
            let run = move || {
                SHARD.set(place);
                runtime.block_on(rest(&stop));
            };
            let name = format!("worker-{place}");
            threads.push(std::thread::Builder::new().name(name).spawn(run)?);
            Ok(Worker { handle, connections: Arc::default() })
        };
        let list = (0..count.clamp(1, WORKERS_MAX)).map(worker).collect::<io::Result<_>>()?;
        Ok(Self { list, threads: Mutex::new(threads), stop })
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// The worker with the fewest connections, and a place on it.
    pub(crate) fn least_busy(&self) -> (Handle, Seat) {
        let busy = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        // `start` makes at least one; without a worker there is nobody to ask for a place.
        let (handle, connections) = match self.list.iter().min_by_key(busy) {
            Some(worker) => (worker.handle.clone(), Arc::clone(&worker.connections)),
            None => (Handle::current(), Arc::default()),
        };
        connections.fetch_add(1, Ordering::Relaxed);
        (handle, Seat(connections))
    }
    /// Ends the threads and whatever still runs there, and waits for them. Blocks.
    pub(crate) fn end(&self) {
        self.stop.cancel();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker of the proxy failed");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Whoever is last may live on a worker, so this only asks them to end.
        self.stop.cancel();
    }
}
