//! Runs applications as processes of this machine, each slot beside its own shim.
//!
//! Needs: Linux with `/proc`, and the right to start processes; nothing else.
//! To undo by hand: see [`super::shim`].
//!
//! It must never start an application itself (the shim does, so that it outlives us), and never
//! take a slot for empty because nobody answers.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_core::plan::PartKind;
use tidegate_core::state::{SlotObserved, Tenant};
use tidegate_engine::ports::{Failure, FailureKind, Place, Runtime, Usage};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::files;
use crate::proc;
use crate::text;

use super::shim::store::{self, Kept, Spec, Store};
use super::shim::wire::{self, Observed, Reply, Request, Wanted};
use super::shim::{self};

/// A shim answers in microseconds; one that takes this long is stopped or starved.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// Starting a shim reads two small files; a machine that needs longer is out of breath.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// Whether the port of an instance without a shim accepts a connection.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// A shim's own log begins anew beyond this, in bytes.
const SHIM_LOG_BYTES_MAX: u64 = 1024 * 1024;
/// What is shown of a shim's log when it did not start, in bytes: paths in it may be long.
const SHIM_LOG_TAIL: u64 = 1024;
/// The same in characters.
const SHIM_WORDS_MAX: usize = 1024;

/// How to run applications.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where slots and artifacts are kept.
    pub state_dir: PathBuf,
    /// Program and first arguments of a shim; the slot's directory is appended.
    pub shim_command: Vec<OsString>,
}

/// Slots as supervised processes.
#[derive(Debug)]
pub struct ProcessRuntime {
    config: Config,
    // One start at a time: two at once for one slot would only wait for each other.
    starting: Mutex<()>,
}

impl ProcessRuntime {
    /// A runtime over a state directory. Touches nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, starting: Mutex::new(()) }
    }

    /// Starts a shim again wherever one died while its slot runs, or is meant to. The wish
    /// on disk was accepted before, so that no epoch is needed. For a loop that calls it each
    /// second or so; costs a connection a slot. Returns the places whose shim was started.
    ///
    /// # Errors
    /// The first [`Failure`]; the other slots were looked after nevertheless.
    pub async fn tend(&self) -> Result<Vec<String>, Failure> {
        let mut started = Vec::new();
        let mut failed = None;
        for directory in slot_directories(&self.config.state_dir.join("slots")) {
            match self.tend_one(&directory).await {
                Ok(true) => started.push(directory.display().to_string()),
                Ok(false) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(started), Err)
    }

    async fn tend_one(&self, directory: &Path) -> Result<bool, Failure> {
        let store = Store::new(directory);
        let wanted = store.spec().map_err(records)?.wanted.is_some();
        // What a dead shim was about to stop has to be stopped, too.
        if !wanted && living(&store.kept().map_err(records)?).is_empty() {
            return Ok(false);
        }
        match wire::ask(&store, &Request::Observe, ASK_TIMEOUT).await {
            Err(wire::Error::Gone) => self.start(&store).await.map(|()| true),
            Ok(_) => Ok(false),
            Err(error) => Err(Failure::retryable("TG4002", error)),
        }
    }

    fn store(&self, place: &Place) -> Store {
        // `@` cannot be part of a name, so that two scopes never share a directory.
        let scope = format!("{}@{}", place.scope.service, place.scope.environment);
        let slots = self.config.state_dir.join("slots");
        Store::new(&slots.join(scope).join(place.part.as_str()).join(place.slot.as_str()))
    }

    fn wanted(&self, tenant: &Tenant) -> Wanted {
        let run = &tenant.part.run;
        let web = matches!(tenant.part.kind, PartKind::Web(_));
        Wanted {
            revision: tenant.revision.label(),
            argv: run.argv.clone(),
            env: run.env.clone(),
            directory: self.config.state_dir.join("artifacts").join(&tenant.revision.artifact),
            port_env: web.then(|| run.port_env.clone()),
            instances: tenant.instances,
            grace_ms: u64::try_from(run.grace.as_millis()).unwrap_or(0),
            memory_max: run.memory_max,
            log_bytes_max: run.log_bytes_max,
        }
    }

    // Without a shim there is nothing to stop when nothing lives; the wish is only recorded.
    fn record_empty(store: &Store, epoch: u64) -> Result<Option<Reply>, store::Error> {
        if !living(&store.kept()?).is_empty() || !store.marked().is_empty() {
            return Ok(None);
        }
        let Some(_lock) = store.lock()? else { return Ok(None) };
        let spec = store.spec()?;
        if epoch < spec.epoch {
            return Ok(Some(Reply::Fenced { seen: spec.epoch }));
        }
        store.put_spec(&Spec { epoch, wanted: None })?;
        store.put_kept(&Kept::default())?;
        Ok(Some(Reply::Accepted))
    }

    async fn start(&self, store: &Store) -> Result<(), Failure> {
        let _one_at_a_time = self.starting.lock().await;
        let failed = |what: String| Failure::retryable("TG4001", what);
        let directory = store.directory();
        let system = |error: std::io::Error| {
            failed(format!("the shim of {} could not be started: {error}", directory.display()))
        };
        let log_path = directory.join("shim.log");
        let begin_anew =
            std::fs::metadata(&log_path).is_ok_and(|meta| meta.len() > SHIM_LOG_BYTES_MAX);
        if begin_anew {
            std::fs::remove_file(&log_path).map_err(system)?;
        }
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log_path)
            .map_err(system)?;
        let Some((program, arguments)) = self.config.shim_command.split_first() else {
            return Err(failed("no shim command is configured".to_owned()));
        };
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(false)
            .spawn()
            .map_err(system)?;
        let Some(stdout) = child.stdout.take() else {
            return Err(failed("the shim has no standard output".to_owned()));
        };
        let mut line = String::new();
        let mut reader = BufReader::new(stdout).take(64);
        let heard = tokio::time::timeout(START_TIMEOUT, reader.read_line(&mut line)).await;
        // It is collected by whoever outlives it: this process by tokio, else init.
        drop(child);
        if matches!(heard, Ok(Ok(_))) && line.trim_end() == shim::READY {
            return Ok(());
        }
        let said = files::tail(&log_path, SHIM_LOG_TAIL).unwrap_or_default();
        let said = text::printable(&String::from_utf8_lossy(&said), SHIM_WORDS_MAX);
        Err(failed(format!("the shim of {} did not come up: {said}", directory.display())))
    }

    // What can be said without a shim: the processes it recorded, each identified anew.
    async fn observe_records(store: &Store) -> Result<Observed, store::Error> {
        let spec = store.spec()?;
        let kept = store.kept()?;
        let mut observed = Observed::default();
        for instance in living(&kept) {
            observed.total += 1;
            observed.revision = Some(instance.wanted.revision.clone());
            let Some(port) = instance.port else {
                observed.ready += 1;
                continue;
            };
            let look = TcpStream::connect(("127.0.0.1", port));
            if matches!(tokio::time::timeout(LOOK_TIMEOUT, look).await, Ok(Ok(_))) {
                observed.ready += 1;
            }
            if instance.listened {
                observed.endpoints.push(format!("127.0.0.1:{port}"));
            }
        }
        if observed.total > 0 {
            observed.problem = Some("the shim is gone, its instances run on [TG4017]".to_owned());
        } else if spec.wanted.is_some() {
            observed.problem = Some("the shim and its instances are gone [TG4017]".to_owned());
        }
        Ok(observed)
    }
}

fn living(kept: &Kept) -> Vec<&store::KeptInstance> {
    if kept.boot != proc::boot() {
        return Vec::new();
    }
    let lives = |instance: &&store::KeptInstance| instance.process.is_some_and(proc::alive);
    kept.instances.iter().filter(lives).collect()
}

fn slot_directories(slots: &Path) -> Vec<PathBuf> {
    let children = |directory: PathBuf| {
        std::fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
    };
    let mut found: Vec<PathBuf> =
        children(slots.to_owned()).flat_map(children).flat_map(children).collect();
    found.sort();
    found
}

fn records(error: store::Error) -> Failure {
    Failure::permanent("TG4004", error)
}

fn silent(place: &Place, error: &wire::Error) -> Failure {
    Failure::retryable("TG4002", format!("{place}: {error}"))
}

fn accepted(place: &Place, epoch: u64, reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Accepted => Ok(()),
        Reply::Fenced { seen } => Err(Failure {
            kind: FailureKind::Conflict,
            code: "TG4003",
            what: format!("{place}: epoch {epoch} is older than {seen}, which was here before"),
        }),
        Reply::Failed { what } => Err(Failure::retryable("TG4002", format!("{place}: {what}"))),
        Reply::Observed(_) | Reply::Usage { .. } => Err(Failure::retryable(
            "TG4002",
            format!("{place}: the shim answered another question"),
        )),
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    async fn ensure(
        &self,
        place: &Place,
        tenant: Option<&Tenant>,
        epoch: u64,
    ) -> Result<(), Failure> {
        let store = self.store(place);
        files::make_private(store.directory()).map_err(|error| {
            Failure::retryable("TG4004", format!("{}: {error}", store.directory().display()))
        })?;
        let wanted = tenant.map(|tenant| Box::new(self.wanted(tenant)));
        let nothing = wanted.is_none();
        let request = Request::Ensure { epoch, wanted };
        match wire::ask(&store, &request, ASK_TIMEOUT).await {
            Ok(reply) => return accepted(place, epoch, reply),
            Err(wire::Error::Gone) => {}
            Err(error) => return Err(silent(place, &error)),
        }
        if nothing && let Some(reply) = Self::record_empty(&store, epoch).map_err(records)? {
            return accepted(place, epoch, reply);
        }
        self.start(&store).await?;
        let reply = wire::ask(&store, &request, ASK_TIMEOUT).await;
        accepted(place, epoch, reply.map_err(|error| silent(place, &error))?)
    }

    async fn observe(&self, place: &Place) -> Result<SlotObserved, Failure> {
        let store = self.store(place);
        let observed = match wire::ask(&store, &Request::Observe, ASK_TIMEOUT).await {
            Ok(Reply::Observed(observed)) => observed,
            Ok(reply) => {
                accepted(place, 0, reply)?;
                return Err(Failure::retryable("TG4002", format!("{place}: no observation")));
            }
            Err(wire::Error::Gone) => Self::observe_records(&store).await.map_err(records)?,
            Err(error) => return Err(silent(place, &error)),
        };
        Ok(SlotObserved {
            revision: observed.revision,
            ready: observed.ready,
            total: observed.total,
            endpoints: observed.endpoints,
            problem: observed.problem,
        })
    }

    async fn usage(&self, place: &Place) -> Result<Usage, Failure> {
        match wire::ask(&self.store(place), &Request::Usage, ASK_TIMEOUT).await {
            Ok(Reply::Usage { cpu_percent, memory_percent }) => {
                Ok(Usage { cpu_percent, memory_percent })
            }
            Ok(_) => Err(Failure::retryable("TG4002", format!("{place}: no reading"))),
            Err(error) => Err(silent(place, &error)),
        }
    }

    async fn logs(&self, place: &Place, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let store = self.store(place);
        let none = |what: String| Failure::permanent("TG4006", format!("{place}: {what}"));
        let paths: Vec<PathBuf> = (0..tidegate_core::plan::INSTANCES_MAX)
            .map(|index| store.log(index))
            .filter(|path| path.exists())
            .collect();
        if paths.is_empty() {
            return Err(none("it has no logs yet".to_owned()));
        }
        let each = bytes_max / (paths.len() as u64);
        let mut all = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            if paths.len() > 1 {
                all.extend(format!("==> instance {} <==\n", number + 1).into_bytes());
            }
            all.extend(shim::tail_of_log(path, each).map_err(|error| none(error.to_string()))?);
        }
        Ok(all)
    }
}
