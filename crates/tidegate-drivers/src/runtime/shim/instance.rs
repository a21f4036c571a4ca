//! One instance: started, watched, started again with growing pauses, stopped with its whole
//! family. Must never signal a process that it has not just identified, and never report ready
//! what another program answers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tidegate_core::digest::Digest;

use crate::once;
use crate::proc::{self, Identity, MARK};
use crate::text;

use super::log::Log;
use super::meter::Subject;
use super::ports;
use super::store::{KeptInstance, Store};
use super::wire::Wanted;

/// Pause before the first new start; doubles with each short life.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two starts.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A life at least this long is not counted among the short ones.
const LONG_LIFE: Duration = Duration::from_secs(60);
/// How long a new start is mentioned while the instance is ready again.
const RESTART_SHOWN: Duration = Duration::from_secs(60);
/// A worker that lives this long is ready: most broken ones end at once.
const WORKER_SETTLE: Duration = Duration::from_secs(1);
/// Time between two looks at the port of an instance that does not listen yet.
const CHECK_STARTING: Duration = Duration::from_millis(50);
/// The same for one that listens.
const CHECK_READY: Duration = Duration::from_secs(2);
/// Looks without an answer that make a ready instance unready: a full accept queue drops some.
const UNANSWERED_MAX: u32 = 3;
/// After this an instance that listens elsewhere is told so.
const WRONG_PORT_AFTER: Duration = Duration::from_secs(2);
/// After this an instance that listens nowhere is told so.
const NO_PORT_AFTER: Duration = Duration::from_secs(10);
/// Time between two looks at what an instance is doing that does not listen where it should.
const CHECK_LATE: Duration = Duration::from_millis(500);
/// Time between two looks at whether a stopping family is gone.
const CHECK_STOPPING: Duration = Duration::from_millis(20);
/// Time between two looks at an adopted process, of which the kernel does not tell us the end.
const CHECK_ADOPTED: Duration = Duration::from_millis(100);
/// Log bytes searched for the last line.
const LAST_LINE_BYTES: u64 = 4096;

/// A process that we started, or that an earlier shim started.
#[derive(Debug)]
struct Process {
    identity: Identity,
    child: Option<Child>,
}

impl Process {
    /// How it ended, once it did. What an earlier shim started ends without telling us how.
    fn ended(&mut self) -> Option<Exit> {
        match &mut self.child {
            Some(child) => match child.try_wait() {
                Ok(status) => status
                    .map(|status| Exit { words: once::words(status), success: status.success() }),
                Err(error) => Some(Exit { words: format!("was lost: {error}"), success: false }),
            },
            None => (!proc::alive(self.identity))
                .then(|| Exit { words: "ended while it was adopted".to_owned(), success: false }),
        }
    }
}

#[derive(Debug)]
struct Exit {
    words: String,
    success: bool,
}

#[derive(Debug)]
enum Life {
    /// Between two starts.
    Waiting { until: Instant },
    /// Running.
    Running { process: Process, since: Instant },
    /// Its family is being ended.
    Stopping { process: Process, kill_at: Instant, again: Option<Instant> },
    /// Nothing of it is left, and nothing is wanted.
    Gone,
}

/// The answer to a look at a port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    /// Which instance.
    pub(super) index: u32,
    /// Which start of it.
    pub(super) start: u64,
    /// Whether the port accepted a connection.
    pub(super) accepted: bool,
}

/// One instance of the slot.
#[derive(Debug)]
pub(super) struct Instance {
    index: u32,
    wanted: Arc<Wanted>,
    run: Digest,
    mark: String,
    life: Life,
    port: Option<u16>,
    /// Whether this port was ever listened on: from then on it stays.
    listened: bool,
    ready: bool,
    checking: bool,
    unanswered: u32,
    next_check: Instant,
    start: u64,
    restarts: u32,
    short_lives: u32,
    last_exit: Option<String>,
    restarted_at: Option<Instant>,
    fault: Option<String>,
    log: Log,
    next_log: Instant,
    changed: bool,
}

impl Instance {
    /// An instance that is to be started.
    pub(super) fn new(store: &Store, index: u32, wanted: Arc<Wanted>, now: Instant) -> Self {
        Self {
            index,
            run: wanted.run(),
            mark: store.mark(index),
            life: Life::Waiting { until: now },
            port: None,
            listened: false,
            ready: false,
            checking: false,
            unanswered: 0,
            next_check: now,
            start: 0,
            restarts: 0,
            short_lives: 0,
            last_exit: None,
            restarted_at: None,
            fault: None,
            log: Log::new(store.log(index), wanted.log_bytes_max),
            next_log: now,
            changed: true,
            wanted,
        }
    }

    /// An instance that an earlier shim knew. Its process is taken over when it is the same one.
    pub(super) fn adopt(store: &Store, kept: KeptInstance, same_boot: bool, now: Instant) -> Self {
        let process = kept.process.filter(|identity| same_boot && proc::alive(*identity));
        let mut instance = Self::new(store, kept.index, Arc::new(kept.wanted), now);
        instance.port = kept.port;
        instance.listened = kept.listened;
        instance.restarts = kept.restarts;
        instance.last_exit = kept.last_exit;
        match process {
            Some(identity) => {
                let process = Process { identity, child: None };
                // It was ready under the earlier shim, and a look at its port follows at once: a
                // change of shims must not read like an outage.
                instance.ready = instance.listened || instance.wanted.port_env.is_none();
                let since = now.checked_sub(WORKER_SETTLE).unwrap_or(now);
                instance.life = Life::Running { process, since };
            }
            None if kept.process.is_some() => {
                instance.restarts = instance.restarts.saturating_add(1);
                instance.last_exit = Some("ended while no shim watched [TG4012]".to_owned());
            }
            None => {}
        }
        instance
    }

    /// What it is run as.
    pub(super) fn run(&self) -> &Digest {
        &self.run
    }

    /// Label of its revision.
    pub(super) fn revision(&self) -> &str {
        &self.wanted.revision
    }

    /// Its port.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether nothing of it is left.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.life, Life::Gone)
    }

    /// Whether it is being ended for good.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.life, Life::Gone | Life::Stopping { again: None, .. })
    }

    /// Whether it accepts work.
    pub(super) fn is_ready(&self) -> bool {
        self.ready && matches!(self.life, Life::Running { .. })
    }

    /// Whether this process number belongs to a child that is collected by its own handle.
    pub(super) fn owns_child(&self, pid: i32) -> bool {
        let (Life::Running { process, .. } | Life::Stopping { process, .. }) = &self.life else {
            return false;
        };
        process.child.is_some() && process.identity.pid == pid
    }

    /// Its mark.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Whether it has a process whose family may live.
    pub(super) fn has_process(&self) -> bool {
        matches!(self.life, Life::Running { .. } | Life::Stopping { .. })
    }

    /// What the meter looks at.
    pub(super) fn subject(&self) -> Option<Subject> {
        let Life::Running { process, .. } = &self.life else { return None };
        Some(Subject {
            leader: process.identity,
            mark: self.mark.clone(),
            memory_max: self.wanted.memory_max,
        })
    }

    /// `address:port`, once it has listened there. It stays while the instance is started again,
    /// so that the route table need not change with every crash.
    pub(super) fn endpoint(&self) -> Option<String> {
        let port = self.port.filter(|_| self.listened)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string())
    }

    /// What is wrong with it, without numbers that move by themselves.
    pub(super) fn problem(&self, now: Instant) -> Option<String> {
        let name = format!("instance {}", self.index + 1);
        if let Some(fault) = &self.fault {
            return Some(format!("{name} {fault}"));
        }
        let recent = self.restarted_at.is_some_and(|at| now.duration_since(at) < RESTART_SHOWN);
        match &self.last_exit {
            Some(exit) if !self.is_ready() || recent => {
                Some(format!("{name} {exit}, restarts: {}", self.restarts))
            }
            _ => None,
        }
    }

    /// What the next shim has to know.
    pub(super) fn kept(&self) -> KeptInstance {
        let process = match &self.life {
            Life::Running { process, .. } | Life::Stopping { process, .. } => {
                Some(process.identity)
            }
            Life::Waiting { .. } | Life::Gone => None,
        };
        KeptInstance {
            index: self.index,
            process,
            port: self.port,
            listened: self.listened,
            restarts: self.restarts,
            last_exit: self.last_exit.clone(),
            wanted: (*self.wanted).clone(),
        }
    }

    /// Whether `kept` would differ since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Ends it for good: SIGTERM to its family, SIGKILL after the grace.
    pub(super) fn stop(&mut self, now: Instant) {
        self.life = match std::mem::replace(&mut self.life, Life::Gone) {
            Life::Waiting { .. } | Life::Gone => Life::Gone,
            Life::Stopping { process, kill_at, .. } => {
                Life::Stopping { process, kill_at, again: None }
            }
            Life::Running { process, .. } => {
                for member in proc::family(&proc::table(), process.identity, &self.mark, None, true)
                {
                    proc::signal(member.identity, Signal::TERM);
                }
                let kill_at = now + Duration::from_millis(self.wanted.grace_ms);
                Life::Stopping { process, kill_at, again: None }
            }
        };
        self.ready = false;
        self.changed = true;
    }

    /// Something was written: the log is looked at in the next round.
    pub(super) fn look_at_log(&mut self, now: Instant) {
        self.next_log = now;
    }

    /// Does what is due. `taken` are ports of other instances.
    pub(super) fn tick(&mut self, now: Instant, taken: &[u16]) {
        if now >= self.next_log {
            self.next_log = now + self.log.rotate();
        }
        self.watch(now);
        self.clear(now);
        if let Life::Waiting { until } = self.life
            && now >= until
        {
            self.begin(now, taken);
        }
    }

    /// When something is due next.
    pub(super) fn next_due(&self, now: Instant) -> Instant {
        let due = match &self.life {
            Life::Waiting { until } => *until,
            Life::Stopping { .. } => now + CHECK_STOPPING,
            Life::Gone => self.next_log,
            Life::Running { process, .. } if process.child.is_none() => now + CHECK_ADOPTED,
            Life::Running { .. } if self.checking => self.next_log,
            Life::Running { .. } => self.next_check,
        };
        due.min(self.next_log)
    }

    /// The address to look at, when a look is due. The answer comes by [`Self::hear`].
    pub(super) fn check(&mut self, now: Instant) -> Option<(SocketAddr, u64)> {
        let Life::Running { since, .. } = &self.life else { return None };
        if self.checking || now < self.next_check {
            return None;
        }
        let Some(port) = self.port else {
            self.ready = now.duration_since(*since) >= WORKER_SETTLE;
            self.next_check = now + if self.ready { CHECK_READY } else { CHECK_STARTING };
            return None;
        };
        self.checking = true;
        Some((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), self.start))
    }

    /// Takes the answer to a look at the port.
    pub(super) fn hear(&mut self, report: Report, now: Instant) {
        if report.start != self.start {
            return;
        }
        self.checking = false;
        let Life::Running { process, since } = &self.life else { return };
        let (leader, age) = (process.identity, now.duration_since(*since));
        if report.accepted {
            self.answered(leader, now);
        } else if self.ready {
            self.unanswered += 1;
            self.next_check = now + CHECK_LATE;
            if self.unanswered >= UNANSWERED_MAX {
                self.ready = false;
                let address = self.address();
                self.fault = Some(format!("no longer accepts connections on {address} [TG4016]"));
            }
        } else {
            let late = age >= WRONG_PORT_AFTER;
            self.next_check = now + if late { CHECK_LATE } else { CHECK_STARTING };
            if late && self.unanswered == 0 {
                self.fault = self.why_unheard(leader, age);
            }
        }
    }

    fn answered(&mut self, leader: Identity, now: Instant) {
        if !self.ready && self.is_answered_by_a_stranger(leader) {
            let address = self.address();
            self.fault = Some(format!("is not the one that listens on {address} [TG4014]"));
            self.next_check = now + CHECK_LATE;
            return;
        }
        self.changed |= !self.listened;
        self.listened = true;
        self.ready = true;
        self.unanswered = 0;
        self.fault = None;
        self.next_check = now + CHECK_READY;
    }

    fn address(&self) -> String {
        self.port.map_or_else(String::new, |port| format!("127.0.0.1:{port}"))
    }

    fn family_pids(&self, leader: Identity) -> BTreeSet<i32> {
        let family = proc::family(&proc::table(), leader, &self.mark, None, true);
        family.iter().map(|stat| stat.identity.pid).collect()
    }

    // A program that changed its user hides its sockets from us: then the benefit of the doubt.
    fn is_answered_by_a_stranger(&self, leader: Identity) -> bool {
        let pids = self.family_pids(leader);
        let all_visible =
            pids.iter().all(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok());
        let listening = proc::listening(&pids);
        all_visible && !listening.iter().any(|address| Some(address.port()) == self.port)
    }

    fn why_unheard(&self, leader: Identity, age: Duration) -> Option<String> {
        let elsewhere = proc::listening(&self.family_pids(leader));
        let address = self.address();
        let variable = self.wanted.port_env.as_deref().unwrap_or_default();
        if !elsewhere.is_empty() {
            let found: Vec<String> = elsewhere.iter().map(ToString::to_string).collect();
            let found = found.join(", ");
            return Some(format!(
                "listens on {found} instead of {address}: it must take its port from {variable} [TG4011]"
            ));
        }
        (age >= NO_PORT_AFTER)
            .then(|| format!("never listened on {address}, the port given in {variable} [TG4010]"))
    }

    // Notices the end of the first process. Whatever it left behind is ended before a new start.
    fn watch(&mut self, now: Instant) {
        let Life::Running { process, since } = &mut self.life else { return };
        let Some(exit) = process.ended() else { return };
        let lived = now.duration_since(*since);
        self.short_lives = if lived >= LONG_LIFE { 0 } else { self.short_lives.saturating_add(1) };
        let family = proc::family(&proc::table(), process.identity, &self.mark, None, true);
        let mut words = exit.words;
        if exit.success && !family.is_empty() {
            words.push_str(" and left others behind, which were stopped");
            words.push_str(": it must stay in the foreground [TG4015]");
        } else {
            words.push_str(" [TG4012]");
        }
        let said = crate::files::tail(self.log.path(), LAST_LINE_BYTES).ok();
        if let Some(line) = said.and_then(|bytes| text::last_line(&bytes)) {
            words = format!("{words}, last words: {line}");
        }
        self.ended(words, now);
        if let Life::Running { process, .. } = std::mem::replace(&mut self.life, Life::Gone) {
            let again = Some(now + self.backoff());
            self.life = Life::Stopping { process, kill_at: now, again };
        }
    }

    fn ended(&mut self, words: String, now: Instant) {
        self.last_exit = Some(words);
        self.restarts = self.restarts.saturating_add(1);
        self.restarted_at = Some(now);
        self.ready = false;
        self.fault = None;
        self.changed = true;
    }

    fn backoff(&self) -> Duration {
        let doublings = self.short_lives.saturating_sub(1).min(16);
        BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX)
    }

    // Ends a stopping family and goes on to what comes after.
    fn clear(&mut self, now: Instant) {
        let Life::Stopping { process, kill_at, again } = &mut self.life else { return };
        let ended = process.ended().is_some();
        let (leader, again) = (process.identity, *again);
        let family = proc::family(&proc::table(), leader, &self.mark, None, true);
        let empty = if family.is_empty() {
            true
        } else if now >= *kill_at {
            proc::kill_family(leader, &self.mark)
        } else {
            false
        };
        if !(empty && (ended || process.ended().is_some())) {
            return;
        }
        self.changed = true;
        self.life = match again {
            Some(until) => Life::Waiting { until },
            None => Life::Gone,
        };
    }

    fn begin(&mut self, now: Instant, taken: &[u16]) {
        match self.spawn(taken) {
            Ok(process) => {
                self.life = Life::Running { process, since: now };
                self.start += 1;
                self.checking = false;
                self.unanswered = 0;
                self.next_check = now;
                self.changed = true;
            }
            Err(words) => {
                self.short_lives = self.short_lives.saturating_add(1);
                self.ended(words, now);
                self.life = Life::Waiting { until: now + self.backoff() };
            }
        }
    }

    fn spawn(&mut self, taken: &[u16]) -> Result<Process, String> {
        let wanted = Arc::clone(&self.wanted);
        let Some(argv0) = wanted.argv.first() else {
            return Err("has an empty command [TG4013]".to_owned());
        };
        if !wanted.directory.is_dir() {
            let directory = wanted.directory.display();
            return Err(format!("has no artifact at {directory} [TG4005]"));
        }
        let mut env: BTreeMap<String, String> = wanted.env.clone();
        if let Some(variable) = &wanted.port_env {
            let port = self.choose_port(taken)?;
            env.insert(variable.clone(), port.to_string());
        }
        env.insert(MARK.to_owned(), self.mark.clone());
        let output = self.log.open().and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = output.map_err(|error| format!("has no log: {error} [TG4013]"))?;
        let program = once::program(argv0, &wanted.directory);
        let child = Command::new(&program)
            .args(wanted.argv.iter().skip(1))
            .env_clear()
            .envs(once::environment(&env))
            .current_dir(&wanted.directory)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(|error| not_started(argv0, &error))?;
        identify(child)
    }

    // A port that was listened on stays: route tables name it. Another one is taken only while
    // nobody knows it yet.
    fn choose_port(&mut self, taken: &[u16]) -> Result<u16, String> {
        if let Some(port) = self.port {
            // After an end in the first attempt the port may be the reason: the application may
            // have lost it to another program between our look and its own.
            let keep = self.listened || (self.restarts == 0 && !taken.contains(&port));
            if keep && ports::is_free(port) {
                return Ok(port);
            }
            if self.listened {
                return Err(format!("finds its port {port} taken by another program [TG4014]"));
            }
        }
        let seed = format!("{}.{}", self.mark, self.restarts);
        let port = ports::pick(&seed, taken).ok_or("finds no free port [TG4014]")?;
        self.port = Some(port);
        Ok(port)
    }
}

fn not_started(program: &str, error: &io::Error) -> String {
    let program = text::printable(program, text::EXCERPT_CHARS_MAX);
    format!("could not be started: `{program}`: {error} [TG4013]")
}

// The child cannot be another one's by now: its number is ours until it is collected.
fn identify(mut child: Child) -> Result<Process, String> {
    let identity = i32::try_from(child.id()).ok().and_then(proc::stat).map(|stat| stat.identity);
    match identity {
        Some(identity) => Ok(Process { identity, child: Some(child) }),
        None => {
            let ended = child.kill().and_then(|()| child.wait());
            Err(format!("could not be found under /proc: {ended:?} [TG4013]"))
        }
    }
}
