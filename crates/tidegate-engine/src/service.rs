//! The one loop, for one service: take everything that is ready, decide, journal, apply, publish,
//! bring about. Recovery is the same path: fold the stream, then bring about what is outstanding.
//! Nothing leaves this file before its cause is durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::event::Recorded;
use tidegate_core::ids::{PartName, Scope, SlotName};
use tidegate_core::input::{Command, Input, Observation};
use tidegate_core::rejection::Rejection;
use tidegate_core::rights::Act;
use tidegate_core::state::State;
use tidegate_core::{apply, decide, next_deadline};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::dispatch::Dispatch;
use crate::engine::{CommandError, Published, Receipt, Shared};
use crate::judging::Judging;
use crate::ports::{Journal, JournalError, Ports, Snapshot};
use crate::watch::Watch;

/// Version of the snapshot encoding; a snapshot of another version is thrown away.
const SNAPSHOT_SCHEMA: u32 = 2;
/// Events after which a snapshot is worth its write: folding so many takes about a millisecond.
const SNAPSHOT_EVERY: u64 = 200;
/// Events read from the journal at once.
const PAGE: u32 = 1_000;
/// Decisions about one batch: each after the first follows a reload of the stream.
const DECIDE_MAX: usize = 5;
/// Inputs that are decided before one append.
const BATCH_MAX: usize = 64;
/// The wait before an append that the store did not confirm is looked up again; it doubles.
const STORE_RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest of those waits.
const STORE_RETRY_MOST: Duration = Duration::from_secs(5);

/// An input on its way into the loop, with the caller who waits for the answer.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) input: Input,
    pub(crate) reply: Option<Reply>,
    /// When a look at the world began, for an answer to it.
    pub(crate) asked_at: Option<Instant>,
}

impl Message {
    /// What a look at the world showed that began at a time.
    pub(crate) fn seen(observation: Observation, asked_at: Instant) -> Self {
        Self { input: Input::Observation(observation), reply: None, asked_at: Some(asked_at) }
    }

    /// An input that nobody waits for.
    pub(crate) fn told(input: Input) -> Self {
        Self { input, reply: None, asked_at: None }
    }
}

type Reply = oneshot::Sender<Result<Receipt, CommandError>>;

/// A folded stream.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    snapshot_seq: u64,
}

/// Folds a stream, from its snapshot where there is a readable one.
pub(crate) async fn load(journal: &dyn Journal, scope: &Scope) -> Result<Loaded, JournalError> {
    let stored = journal.snapshot(scope).await?.filter(|s| s.schema == SNAPSHOT_SCHEMA);
    let decoded = stored.and_then(|s| serde_json::from_slice::<State>(&s.bytes).ok());
    let mut state = decoded.unwrap_or_default();
    let snapshot_seq = state.seq;
    loop {
        let page = journal.read(scope, state.seq, PAGE).await?;
        for recorded in &page {
            apply(&mut state, recorded);
        }
        if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            return Ok(Loaded { state, snapshot_seq });
        }
    }
}

/// The loop of one service.
#[derive(Debug)]
pub(crate) struct Service {
    scope: Scope,
    state: Arc<State>,
    snapshot_seq: u64,
    ports: Ports,
    epoch: u64,
    shared: Arc<Shared>,
    published: broadcast::Sender<Published>,
    /// When the newest look at each slot and table was taken in.
    looked: BTreeMap<(PartName, Option<SlotName>), Instant>,
}

/// The journal said that somebody else writes: this loop must end.
struct Fenced;

impl Service {
    pub(crate) fn new(
        scope: Scope,
        loaded: Loaded,
        ports: Ports,
        epoch: u64,
        shared: Arc<Shared>,
        published: broadcast::Sender<Published>,
    ) -> Self {
        let Loaded { state, snapshot_seq } = loaded;
        let looked = BTreeMap::new();
        Self {
            scope,
            state: Arc::new(state),
            snapshot_seq,
            ports,
            epoch,
            shared,
            published,
            looked,
        }
    }

    /// Runs until stopped or fenced.
    pub(crate) async fn run(
        mut self,
        mailbox: mpsc::Sender<Message>,
        mut messages: mpsc::Receiver<Message>,
        stop: CancellationToken,
    ) {
        let mut dispatch =
            Dispatch::new(self.scope.clone(), self.ports.clone(), self.epoch, mailbox.clone());
        let mut watch =
            Watch::new(self.scope.clone(), self.ports.clone(), self.epoch, mailbox.clone());
        let mut judging =
            Judging::new(self.scope.clone(), self.ports.clone(), mailbox, Arc::clone(&self.shared));
        loop {
            dispatch.bring_about(&self.state);
            watch.look_at(&self.state);
            judging.follow(&self.state);
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = messages.recv() => match received {
                    Some(message) => batch.push(message),
                    None => return,
                },
                () = dispatch.finished() => continue,
                () = tokio::time::sleep_until(self.wake_at()) => {}
            }
            while batch.len() < BATCH_MAX
                && let Ok(message) = messages.try_recv()
            {
                batch.push(message);
            }
            if self.take(batch).await.is_err() {
                tracing::error!(scope = %self.scope, epoch = self.epoch, "another writer took over; this loop ends");
                return;
            }
        }
    }

    fn wake_at(&self) -> Instant {
        /// A loop with nothing to wait for still looks up so often.
        const IDLE: Duration = Duration::from_secs(3600);
        /// The least pause before a passed deadline is looked at again.
        const SPIN_GUARD: Duration = Duration::from_millis(50);
        let now = self.ports.clock.now();
        let wait = next_deadline(&self.state).map_or(IDLE, |deadline| {
            Duration::try_from(deadline.at.duration_since(now)).unwrap_or(Duration::ZERO)
        });
        // Timers have millisecond grain: a deadline must not be met a moment too early, and one
        // that passed without effect must not be asked about in a spin.
        let grain = if wait.is_zero() { SPIN_GUARD } else { Duration::from_millis(1) };
        Instant::now() + wait.min(IDLE) + grain
    }

    /// Decides about a batch, appends once, applies, answers.
    async fn take(&mut self, mut batch: Vec<Message>) -> Result<(), Fenced> {
        batch.retain(|message| self.is_news(message));
        batch.sort_by_key(|message| urgency(&message.input));
        batch.push(Message::told(Input::Elapsed));
        for _ in 0..DECIDE_MAX {
            let now = self.ports.clock.now();
            let (events, answers) = self.decide_all(&batch, now);
            match self.append(&events).await {
                Ok(()) => {
                    self.accept(events).await;
                    for (message, answer) in batch.into_iter().zip(answers) {
                        if let Some(reply) = message.reply {
                            // A caller that went away does not need its answer.
                            // failpoint: engine.answer.before
                            drop(reply.send(answer.map_err(CommandError::Rejected)));
                            // failpoint: engine.answer.after
                        }
                    }
                    return Ok(());
                }
                Err(Appending::Reload) => self.reload().await?,
                Err(Appending::Fenced) => return Err(Fenced),
            }
        }
        // What the journal refuses again and again it will refuse for ever: the world goes on
        // without it, and whoever asked is told.
        tracing::error!(scope = %self.scope, "the journal refuses these events; they are dropped");
        for reply in batch.into_iter().filter_map(|message| message.reply) {
            drop(
                reply.send(Err(CommandError::Unavailable {
                    code: "TG6105",
                    what: "the journal refused the events of this command; nothing was changed"
                        .to_owned(),
                })),
            );
        }
        Ok(())
    }

    /// Looks overlap: one that began before the newest one was taken in may be older than it, and
    /// must not bring back what was true a moment ago.
    fn is_news(&mut self, message: &Message) -> bool {
        let Some(asked_at) = message.asked_at else { return true };
        let subject = match &message.input {
            Input::Observation(Observation::Slot { part, slot, .. }) => {
                (part.clone(), Some(slot.clone()))
            }
            Input::Observation(Observation::Split { part, .. }) => (part.clone(), None),
            _ => return true,
        };
        if self.looked.get(&subject).is_some_and(|taken| asked_at < *taken) {
            return false;
        }
        self.looked.insert(subject, Instant::now());
        true
    }

    fn decide_all(&self, batch: &[Message], now: Timestamp) -> (Vec<Recorded>, Vec<Answer>) {
        let mut state = Arc::clone(&self.state);
        let mut events = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for message in batch {
            let allowed = self.allowed(&state, &message.input);
            let decided = allowed.and_then(|()| decide(&state, &message.input, now));
            answers.push(decided.map(|decided| {
                let state = Arc::make_mut(&mut state);
                for recorded in &decided {
                    apply(state, recorded);
                }
                events.extend(decided);
                Receipt { seq: state.seq }
            }));
        }
        (events, answers)
    }

    /// Rights are asked for here, in the turn that appends, and not at the door: no way into the
    /// loop leads past it.
    fn allowed(&self, state: &State, input: &Input) -> Result<(), Rejection> {
        let Input::Command { actor, command, .. } = input else { return Ok(()) };
        let act = Act::of(command, state);
        let service = self.scope.service.as_str();
        if self.ports.people.grant(actor).allows(act, Some(service)) {
            return Ok(());
        }
        Err(Rejection::NotAllowed {
            who: actor.to_string(),
            act: act.word(),
            scope: self.scope.to_string(),
        })
    }

    async fn append(&self, events: &[Recorded]) -> Result<(), Appending> {
        if events.is_empty() {
            return Ok(());
        }
        let journal = &self.ports.journal;
        // failpoint: engine.append.before
        let appended = journal.append(&self.scope, self.state.seq, self.epoch, events).await;
        // failpoint: engine.append.after
        match appended {
            Ok(()) => Ok(()),
            Err(JournalError::Fenced { .. } | JournalError::Held { .. }) => Err(Appending::Fenced),
            Err(JournalError::Conflict { .. }) => Err(Appending::Reload),
            Err(error @ (JournalError::Unavailable { .. } | JournalError::Damaged { .. })) => {
                tracing::warn!(scope = %self.scope, %error, "the journal did not confirm an append");
                self.look_up(events).await
            }
        }
    }

    /// An append without an answer may have taken effect: only the stream itself knows. Until it
    /// answers, nothing is decided; the data plane goes on without us.
    async fn look_up(&self, events: &[Recorded]) -> Result<(), Appending> {
        let mut wait = STORE_RETRY_FIRST;
        loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(STORE_RETRY_MOST);
            match self.ports.journal.read(&self.scope, self.state.seq, PAGE).await {
                Ok(stored) if stored == events => return Ok(()),
                Ok(_) => return Err(Appending::Reload),
                Err(JournalError::Fenced { .. }) => return Err(Appending::Fenced),
                Err(error) => {
                    tracing::warn!(scope = %self.scope, %error, "the journal does not answer");
                }
            }
        }
    }

    async fn reload(&mut self) -> Result<(), Fenced> {
        let mut wait = STORE_RETRY_FIRST;
        loop {
            match load(self.ports.journal.as_ref(), &self.scope).await {
                Ok(loaded) => {
                    self.state = Arc::new(loaded.state);
                    self.shared.show_state(&self.state);
                    return Ok(());
                }
                Err(JournalError::Fenced { .. }) => return Err(Fenced),
                Err(error) => {
                    tracing::warn!(scope = %self.scope, %error, "the journal cannot be read");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(STORE_RETRY_MOST);
                }
            }
        }
    }

    async fn accept(&mut self, events: Vec<Recorded>) {
        if events.is_empty() {
            return;
        }
        let state = Arc::make_mut(&mut self.state);
        for recorded in &events {
            apply(state, recorded);
        }
        self.shared.show_state(&self.state);
        for recorded in events {
            let published = Published { scope: self.scope.clone(), recorded: Arc::new(recorded) };
            // Without a reader there is nobody to tell.
            drop(self.published.send(published));
        }
        if self.state.seq - self.snapshot_seq >= SNAPSHOT_EVERY {
            self.put_snapshot().await;
        }
    }

    async fn put_snapshot(&mut self) {
        let bytes = match serde_json::to_vec(self.state.as_ref()) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(scope = %self.scope, %error, "a state that cannot be written has no snapshot");
                return;
            }
        };
        let snapshot = Snapshot { seq: self.state.seq, schema: SNAPSHOT_SCHEMA, bytes };
        // failpoint: engine.snapshot.before
        let kept = self.ports.journal.put_snapshot(&self.scope, &snapshot).await;
        // failpoint: engine.snapshot.after
        match kept {
            Ok(()) => self.snapshot_seq = self.state.seq,
            // A lost snapshot costs time at the next start, nothing else.
            Err(error) => tracing::warn!(scope = %self.scope, %error, "no snapshot was kept"),
        }
    }
}

type Answer = Result<Receipt, Rejection>;

enum Appending {
    Reload,
    Fenced,
}

/// What goes first of what is ready: the way back, then a stop, then the world, then the rest.
fn urgency(input: &Input) -> u8 {
    match input {
        Input::Command { command: Command::Rollback { .. } | Command::Abort { .. }, .. } => 0,
        Input::Command { command: Command::Hold { .. }, .. } => 1,
        Input::Observation(
            Observation::Slot { .. } | Observation::Split { .. } | Observation::SplitRefused { .. },
        ) => 2,
        Input::Observation(
            Observation::Task { .. }
            | Observation::Step { .. }
            | Observation::Backup { .. }
            | Observation::BackupDropped { .. }
            | Observation::Gates { .. }
            | Observation::Verdict { .. }
            | Observation::Rights { .. }
            | Observation::Message { .. },
        ) => 3,
        Input::Command { .. } => 4,
        Input::Elapsed => 5,
    }
}
