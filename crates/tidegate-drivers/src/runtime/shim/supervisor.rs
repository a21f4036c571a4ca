//! All instances of one slot, brought toward the newest wish.
//! Must never obey a wish by a smaller epoch than one seen before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::proc;

use super::instance::{Instance, Report};
use super::meter::Meter;
use super::store::{self, Kept, Spec, Store};
use super::wire::{Observed, Reply, Request, Wanted};

/// A connection to an instance on this machine takes longer only when it is not accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest pause between two looks at everything.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Shortest pause: what is due at once is due in the next round.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Longest problem text of a slot, in characters.
const PROBLEM_CHARS_MAX: usize = 600;

/// The slot.
#[derive(Debug)]
pub(super) struct Supervisor {
    store: Store,
    spec: Spec,
    wanted: Option<Arc<Wanted>>,
    instances: BTreeMap<u32, Instance>,
    reports: mpsc::Sender<Report>,
    meter: Meter,
    dirty: bool,
}

impl Supervisor {
    /// Takes up what an earlier shim left: its wish, and those of its processes that still live.
    ///
    /// # Errors
    /// [`store::Error`] when the records cannot be read: nothing is started on a guess.
    pub(super) fn resume(
        store: Store,
        reports: mpsc::Sender<Report>,
    ) -> Result<Self, store::Error> {
        let now = Instant::now();
        let spec = store.spec()?;
        let kept = store.kept()?;
        let same_boot = kept.boot == proc::boot();
        let instances: BTreeMap<u32, Instance> = kept
            .instances
            .into_iter()
            .map(|kept| (kept.index, Instance::adopt(&store, kept, same_boot, now)))
            .collect();
        let wanted = spec.wanted.clone().map(Arc::new);
        let meter = Meter::default();
        let supervisor = Self { store, spec, wanted, instances, reports, meter, dirty: true };
        supervisor.end_strays();
        Ok(supervisor)
    }

    // A shim that died between a start and its record leaves a process that nobody knows, and an
    // instance that died unwatched may leave children: both would hold ports and do work twice.
    fn end_strays(&self) {
        for (identity, mark) in self.store.marked() {
            let known = self.instances.values().any(|i| i.mark() == mark && i.has_process());
            if !known {
                tracing::warn!(pid = identity.pid, "ending a process that nobody watches");
                proc::signal(identity, Signal::KILL);
            }
        }
    }

    /// Whether nothing runs and nothing is wanted.
    pub(super) fn is_idle(&self) -> bool {
        self.wanted.is_none() && self.instances.is_empty()
    }

    /// Does what is due; says how long nothing else will be.
    ///
    /// # Errors
    /// [`store::Error`] when the processes cannot be recorded.
    pub(super) fn tick(&mut self) -> Result<Duration, store::Error> {
        let now = Instant::now();
        self.reconcile(now);
        let taken: Vec<(u32, u16)> = self
            .instances
            .iter()
            .filter_map(|(index, instance)| Some((*index, instance.port()?)))
            .collect();
        let mut checks = Vec::new();
        for (index, instance) in &mut self.instances {
            let others: Vec<u16> =
                taken.iter().filter(|(other, _)| other != index).map(|(_, port)| *port).collect();
            instance.tick(now, &others);
            if let Some((address, start)) = instance.check(now) {
                checks.push((*index, start, address));
            }
            self.dirty |= instance.take_changed();
        }
        for (index, start, address) in checks {
            tokio::spawn(look(address, index, start, self.reports.clone()));
        }
        let before = self.instances.len();
        self.instances.retain(|_, instance| !instance.is_gone());
        self.dirty |= before != self.instances.len();
        self.collect_orphans();
        if self.meter.is_due(now) {
            let subjects: Vec<_> = self.instances.values().filter_map(Instance::subject).collect();
            self.meter.sample(&subjects, now);
        }
        self.save()?;
        let due = self.instances.values().map(|instance| instance.next_due(now)).min();
        let pause = due.map_or(PAUSE_MAX, |due| due.saturating_duration_since(Instant::now()));
        Ok(pause.clamp(PAUSE_MIN, PAUSE_MAX))
    }

    // Toward the wish: what is too much or of another run leaves, what is missing is added when
    // its predecessor with the same number is gone.
    fn reconcile(&mut self, now: Instant) {
        let count = self.wanted.as_ref().map_or(0, |wanted| wanted.instances);
        let run = self.wanted.as_ref().map(|wanted| wanted.run());
        for (index, instance) in &mut self.instances {
            let right = *index < count && Some(instance.run()) == run.as_ref();
            if !right && !instance.is_leaving() {
                instance.stop(now);
            }
        }
        let Some(wanted) = &self.wanted else { return };
        for index in 0..count {
            self.instances
                .entry(index)
                .or_insert_with(|| Instance::new(&self.store, index, Arc::clone(wanted), now));
        }
    }

    // Orphans of instances become children of the shim; without this they stay as zombies.
    fn collect_orphans(&self) {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let Ok(text) = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")) else {
            return;
        };
        let children = text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
        for pid in children {
            let known = self.instances.values().any(|instance| instance.owns_child(pid));
            if known || !proc::stat(pid).is_some_and(|stat| stat.zombie) {
                continue;
            }
            if let Err(error) = rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::NOHANG) {
                tracing::debug!(pid, %error, "could not collect an orphan");
            }
        }
    }

    fn save(&mut self) -> Result<(), store::Error> {
        if !self.dirty {
            return Ok(());
        }
        self.store.put_kept(&Kept {
            boot: proc::boot(),
            shim: proc::own(),
            instances: self.instances.values().map(Instance::kept).collect(),
        })?;
        self.dirty = false;
        Ok(())
    }

    /// Something was written: the logs are looked at in the next round.
    pub(super) fn look_at_logs(&mut self) {
        let now = Instant::now();
        for instance in self.instances.values_mut() {
            instance.look_at_log(now);
        }
    }

    /// Takes the answer to a look at a port.
    pub(super) fn hear(&mut self, report: Report) {
        if let Some(instance) = self.instances.get_mut(&report.index) {
            instance.hear(report, Instant::now());
        }
    }

    /// Carries out a request.
    pub(super) fn carry_out(&mut self, request: Request) -> Reply {
        match request {
            Request::Ensure { epoch, wanted } => self.ensure(epoch, wanted.map(|wanted| *wanted)),
            Request::Observe => Reply::Observed(self.observe()),
            Request::Usage => {
                let reading = self.meter.ask(Instant::now());
                Reply::Usage {
                    cpu_percent: reading.cpu_percent,
                    memory_percent: reading.memory_percent,
                }
            }
        }
    }

    fn ensure(&mut self, epoch: u64, wanted: Option<Wanted>) -> Reply {
        if epoch < self.spec.epoch {
            return Reply::Fenced { seen: self.spec.epoch };
        }
        let spec = Spec { epoch, wanted };
        if spec != self.spec {
            // The wish is durable before anything follows from it.
            if let Err(error) = self.store.put_spec(&spec) {
                return Reply::Failed { what: error.to_string() };
            }
            self.wanted = spec.wanted.clone().map(Arc::new);
            self.spec = spec;
        }
        Reply::Accepted
    }

    fn observe(&self) -> Observed {
        let now = Instant::now();
        let run = self.wanted.as_ref().map(|wanted| wanted.run());
        let right = || {
            let run = run.as_ref();
            self.instances.values().filter(move |i| Some(i.run()) == run && !i.is_leaving())
        };
        let any = self.instances.values().next();
        let revision = right().next().or(any).map(|instance| instance.revision().to_owned());
        let problems: Vec<String> =
            self.instances.values().filter_map(|instance| instance.problem(now)).collect();
        let problem = crate::text::printable(&problems.join("; "), PROBLEM_CHARS_MAX);
        Observed {
            revision,
            ready: count(right().filter(|instance| instance.is_ready())),
            total: count(self.instances.values()),
            endpoints: right().filter_map(Instance::endpoint).collect(),
            problem: Some(problem).filter(|problem| !problem.is_empty()),
        }
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

async fn look(address: SocketAddr, index: u32, start: u64, reports: mpsc::Sender<Report>) {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let accepted = matches!(connected, Ok(Ok(_)));
    if reports.send(Report { index, start, accepted }).await.is_err() {
        tracing::debug!("the shim ended during a look at a port");
    }
}
