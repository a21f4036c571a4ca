//! The handle on the engine: commands in, states and published events out.
//! Must never hold a lock across an await, nor answer a command before its events are durable.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tidegate_core::event::Recorded;
use tidegate_core::ids::{Actor, PartName, Scope, SlotName};
use tidegate_core::input::{Command, Input};
use tidegate_core::rejection::Rejection;
use tidegate_core::state::State;
use tidegate_core::verdict::Verdict;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ports::{JournalError, Ports};
use crate::service::{self, Loaded, Message};

/// Messages that wait for one service's loop; past it a caller is told that it is busy.
const MAILBOX_MAX: usize = 256;
/// Published events that a slow reader may lag behind; past it the reader reads the journal.
const PUBLISHED_MAX: usize = 1_024;

/// The engine. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ports: Ports,
    epoch: u64,
    services: RwLock<BTreeMap<Scope, ServiceHandle>>,
    published: broadcast::Sender<Published>,
    stop: CancellationToken,
    loops: tokio::sync::Mutex<JoinSet<()>>,
}

#[derive(Debug, Clone)]
struct ServiceHandle {
    mailbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

/// What a loop shows to readers.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: RwLock<Arc<State>>,
    live: RwLock<Option<Live>>,
}

impl Shared {
    pub(crate) fn show_state(&self, state: &Arc<State>) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(state);
    }

    pub(crate) fn show_live(&self, live: Option<Live>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }
}

/// An event that is durable.
#[derive(Debug, Clone)]
pub struct Published {
    /// Whose.
    pub scope: Scope,
    /// The event.
    pub recorded: Arc<Recorded>,
}

/// Moving numbers that no event carries: the judge's newest word, and the observed shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// When they were taken.
    pub at: Timestamp,
    /// The judge's newest verdict.
    pub verdict: Verdict,
    /// Share of the requests of this step that each slot served, 0 to 1.
    pub observed: BTreeMap<PartName, BTreeMap<SlotName, f64>>,
    /// Requests that the candidate served since traffic began.
    pub exposed: u64,
}

/// A command took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Sequence of the stream behind the command.
    pub seq: u64,
}

/// A command did not take effect, or it is not known whether it did.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// Core says no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The engine could not do it.
    #[error("{what}")]
    Unavailable {
        /// `TGxxxx`.
        code: &'static str,
        /// Why.
        what: String,
    },
}

/// The engine cannot start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The journal says no.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Engine {
    /// Takes the writer's lease, folds every stream, and starts one loop a service. A stream that
    /// cannot be read is left out and logged: the others run.
    ///
    /// # Errors
    /// [`StartError`] when another writer holds the lease or the store does not answer.
    pub async fn start(ports: Ports, holder: &str) -> Result<Self, StartError> {
        let epoch = ports.journal.acquire(holder, ports.clock.now()).await?;
        let streams = ports.journal.streams().await?;
        let engine = Self {
            inner: Arc::new(Inner {
                ports,
                epoch,
                services: RwLock::default(),
                published: broadcast::channel(PUBLISHED_MAX).0,
                stop: CancellationToken::new(),
                loops: tokio::sync::Mutex::new(JoinSet::new()),
            }),
        };
        for (scope, _) in streams {
            match service::load(engine.inner.ports.journal.as_ref(), &scope).await {
                Ok(loaded) => {
                    engine.run(scope, loaded).await;
                }
                Err(error) => {
                    tracing::error!(%scope, %error, "this service is left alone: its journal cannot be read");
                }
            }
        }
        Ok(engine)
    }

    async fn run(&self, scope: Scope, loaded: Loaded) -> ServiceHandle {
        let (mailbox, messages) = mpsc::channel(MAILBOX_MAX);
        let shared = Arc::new(Shared::default());
        shared.show_state(&Arc::new(loaded.state.clone()));
        let handle = ServiceHandle { mailbox: mailbox.clone(), shared: Arc::clone(&shared) };
        {
            let mut services = self.inner.services.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(running) = services.get(&scope) {
                return running.clone();
            }
            services.insert(scope.clone(), handle.clone());
        }
        let service = service::Service::new(
            scope,
            loaded,
            self.inner.ports.clone(),
            self.inner.epoch,
            shared,
            self.inner.published.clone(),
        );
        let stop = self.inner.stop.clone();
        self.inner.loops.lock().await.spawn(service.run(mailbox, messages, stop));
        handle
    }

    /// Gives a command to a service and answers when its events are durable.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] when it does not fit; nothing was changed then.
    /// [`CommandError::Unavailable`] when the store did not confirm: repeat with the same key.
    pub async fn command(
        &self,
        scope: &Scope,
        actor: Actor,
        key: Option<String>,
        command: Command,
    ) -> Result<Receipt, CommandError> {
        let handle = match self.handle(scope) {
            Some(handle) => handle,
            // Reports may come before the first deployment of their release.
            None if begins(&command) => {
                let journal = self.inner.ports.journal.as_ref();
                let loaded = service::load(journal, scope).await.map_err(|error| {
                    CommandError::Unavailable { code: "TG6101", what: error.to_string() }
                })?;
                self.run(scope.clone(), loaded).await
            }
            None => {
                return Err(CommandError::Rejected(Rejection::NothingToGoBackTo {
                    what: format!("nothing was ever deployed to {scope}"),
                }));
            }
        };
        let (reply, answer) = oneshot::channel();
        let input = Input::Command { actor, key, command };
        handle
            .mailbox
            .try_send(Message { input, reply: Some(reply), asked_at: None })
            .map_err(|_full| busy())?;
        answer.await.map_err(|_dropped| CommandError::Unavailable {
            code: "TG6102",
            what: "the engine stopped before it answered; whether it took effect is in the journal"
                .to_owned(),
        })?
    }

    fn handle(&self, scope: &Scope) -> Option<ServiceHandle> {
        let services = self.inner.services.read().unwrap_or_else(PoisonError::into_inner);
        services.get(scope).cloned()
    }

    /// Services that are known.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let services = self.inner.services.read().unwrap_or_else(PoisonError::into_inner);
        services.keys().cloned().collect()
    }

    /// The durable state of a service.
    #[must_use]
    pub fn state(&self, scope: &Scope) -> Option<Arc<State>> {
        let handle = self.handle(scope)?;
        let state = handle.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&state))
    }

    /// The moving numbers of a service's deployment in flight.
    #[must_use]
    pub fn live(&self, scope: &Scope) -> Option<Live> {
        let handle = self.handle(scope)?;
        let live = handle.shared.live.read().unwrap_or_else(PoisonError::into_inner);
        live.clone()
    }

    /// Every event from now on, after it became durable.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Published> {
        self.inner.published.subscribe()
    }

    /// The world that it runs on.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.inner.ports
    }

    /// The fencing epoch that it writes with.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// Ends the loops after their current decision. The world stays as it is.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        let mut loops = self.inner.loops.lock().await;
        while loops.join_next().await.is_some() {}
    }

    /// Ends the loops wherever they are, as a crash would.
    #[cfg(feature = "testkit")]
    pub async fn crash(&self) {
        self.inner.loops.lock().await.shutdown().await;
    }
}

/// Whether a command may be the first of its service.
fn begins(command: &Command) -> bool {
    matches!(
        command,
        Command::Deploy { .. }
            | Command::AddEvidence { .. }
            | Command::Waive { .. }
            | Command::Freeze { .. }
    )
}

fn busy() -> CommandError {
    CommandError::Unavailable {
        code: "TG6103",
        what: "this service's loop is busy; nothing was changed, repeat with the same key"
            .to_owned(),
    }
}
