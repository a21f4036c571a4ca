//! The one task that writes. What has gathered while it wrote goes into its next transaction:
//! many appends, one fsync. Must never answer before the commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tidegate_engine::ports::JournalError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::append::{self, Acquire, Answer, Append, CHECKPOINT_EVERY, Ends, PutSnapshot};
use super::{failure, sql};
use crate::checkpoint::Checkpoint;
use crate::codes;
use crate::lock::StateLock;

/// Commands that wait for the writer; more wait before the queue, for a limited time.
const QUEUE_MAX: usize = 1024;
/// Bytes that wait for the writer, in KiB: each command takes at least one.
const QUEUE_KIB_MAX: u32 = 64 * 1024;
/// Commands of one transaction: above it, the time of the fsync no longer matters.
const GROUP_MAX: usize = 256;
/// For a place in the queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);
/// For the commit, once queued. A disk that takes longer is as good as gone.
const COMMIT_WAIT: Duration = Duration::from_secs(30);
/// The checkpoint outside the database is at most this much behind.
const CHECKPOINT_DELAY: Duration = Duration::from_secs(10);

/// How much the writer has made durable since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) transactions: AtomicU64,
    pub(super) commands: AtomicU64,
}

/// What a caller wants written.
#[derive(Debug)]
pub(super) enum Command {
    Append(Append),
    Acquire(Acquire),
    Snapshot(PutSnapshot),
    Close,
}

#[derive(Debug)]
struct Request {
    command: Command,
    reply: oneshot::Sender<Answer>,
    /// Room in the queue, given back when the request is gone.
    _room: OwnedSemaphorePermit,
}

/// The callers' side of the queue.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    pub(super) counters: Arc<Counters>,
}

impl Writer {
    /// Starts the task. It ends after [`Command::Close`] or when every caller is gone, and only
    /// then lets go of the lock.
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        checkpoint: Checkpoint,
        checkpoint_path: PathBuf,
        lock: StateLock,
    ) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let counters = Arc::new(Counters::default());
        let task = Task {
            connection: Some(connection),
            options,
            requests,
            ends: checkpoint,
            kept: None,
            keep_at: None,
            checkpoint_path,
            counters: Arc::clone(&counters),
            _lock: lock,
        };
        tokio::spawn(task.run());
        Self { queue, room: Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize)), counters }
    }

    /// Queues a command of about so many bytes and waits for the commit.
    ///
    /// # Errors
    /// The writer's refusal; [`JournalError::Unavailable`] when there was no room in time
    /// (nothing was written), or no answer in time (that is unknown).
    pub(super) async fn ask(&self, command: Command, bytes: usize) -> Answer {
        let deadline = Instant::now() + QUEUE_WAIT;
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(QUEUE_KIB_MAX).min(QUEUE_KIB_MAX);
        let room = timeout_at(deadline, Arc::clone(&self.room).acquire_many_owned(kib)).await;
        let room = room.map_err(|_elapsed| overloaded())?.map_err(|_closed| closed())?;
        let place = timeout_at(deadline, self.queue.reserve()).await;
        let place = place.map_err(|_elapsed| overloaded())?.map_err(|_closed| closed())?;
        let (reply, answer) = oneshot::channel();
        place.send(Request { command, reply, _room: room });
        match timeout(COMMIT_WAIT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_gone)) => Err(closed()),
            Err(_elapsed) => Err(failure::late("a commit")),
        }
    }
}

fn overloaded() -> JournalError {
    JournalError::Unavailable {
        code: codes::OVERLOADED,
        what: format!("the journal's queue was full for {} s", QUEUE_WAIT.as_secs())
            + "; nothing was written",
    }
}

fn closed() -> JournalError {
    JournalError::Unavailable { code: codes::NO_ANSWER, what: "the journal is closed".to_owned() }
}

/// Why a transaction came to nothing.
enum Trouble {
    /// With something in the group: nothing of it was written.
    Staged(JournalError),
    /// With the transaction itself: whether it was written is unknown.
    Whole(JournalError),
}

#[derive(Debug)]
struct Task {
    /// Gone after an error: SQLite may have ended the transaction by itself, or not, and a fresh
    /// connection is the one state that is certain.
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    requests: mpsc::Receiver<Request>,
    /// The tree and the epoch after the last commit.
    ends: Checkpoint,
    /// What the file outside has, as far as this process wrote it.
    kept: Option<Checkpoint>,
    /// When the file is due.
    keep_at: Option<Instant>,
    checkpoint_path: PathBuf,
    counters: Arc<Counters>,
    _lock: StateLock,
}

impl Task {
    async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        loop {
            let next = self.requests.recv_many(&mut group, GROUP_MAX);
            let received = match self.keep_at {
                None => next.await,
                Some(due) => match timeout_at(due, next).await {
                    Ok(received) => received,
                    Err(_elapsed) => {
                        self.keep().await;
                        continue;
                    }
                },
            };
            let closing = group.iter().position(|r| matches!(r.command, Command::Close));
            let close = closing.map(|at| group.split_off(at).swap_remove(0));
            self.write(std::mem::take(&mut group)).await;
            if close.is_some() || received == 0 {
                self.end().await;
                if let Some(request) = close {
                    answer(request, Ok(0));
                }
                return;
            }
        }
    }

    /// Leaves everything tidy; the lock goes last.
    async fn end(mut self) {
        self.keep().await;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the journal was not closed well");
        }
    }

    /// Writes a group in one transaction; if something in it cannot be written, each alone, so
    /// that one caller's trouble is not the others'.
    async fn write(&mut self, group: Vec<Request>) {
        if group.is_empty() {
            return;
        }
        match self.attempt(&group).await {
            Ok(written) => self.committed(group, written).await,
            Err(Trouble::Staged(_)) if group.len() > 1 => self.write_each_alone(group).await,
            Err(Trouble::Staged(error) | Trouble::Whole(error)) => refuse(group, &error),
        }
    }

    async fn write_each_alone(&mut self, group: Vec<Request>) {
        let mut group = group.into_iter();
        while let Some(request) = group.next() {
            let alone = vec![request];
            match self.attempt(&alone).await {
                Ok(written) => self.committed(alone, written).await,
                Err(Trouble::Staged(error)) => refuse(alone, &error),
                // The store itself is in trouble: the others would only wait for the same answer.
                Err(Trouble::Whole(error)) => {
                    refuse(alone.into_iter().chain(group.by_ref()), &error)
                }
            }
        }
    }

    async fn attempt(&mut self, group: &[Request]) -> Result<Written, Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(|e| Trouble::Whole(failure::of(e)))?,
        };
        let ended = transaction(&mut connection, group, &self.ends).await;
        if ended.is_ok() {
            self.connection = Some(connection);
        } else if let Err(error) = connection.close().await {
            tracing::warn!(%error, "the journal was not closed well");
        }
        ended
    }

    /// Answers everybody, then sees whether the checkpoint outside is due.
    async fn committed(&mut self, group: Vec<Request>, (answers, ends): Written) {
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.counters.commands.fetch_add(answers.len() as u64, Ordering::Relaxed);
        for (request, said) in group.into_iter().zip(answers) {
            // failpoint: journal.answer.before
            answer(request, said);
            // failpoint: journal.answer.after
        }
        self.ends = ends;
        let kept = self.kept.unwrap_or(Checkpoint { size: 0, root: [0; 32], epoch: 0 });
        if self.kept == Some(ends) {
            self.keep_at = None;
        } else if ends.epoch != kept.epoch
            || ends.size.saturating_sub(kept.size) >= CHECKPOINT_EVERY
        {
            self.keep().await;
        } else if self.keep_at.is_none() {
            self.keep_at = Some(Instant::now() + CHECKPOINT_DELAY);
        }
    }

    /// Writes the checkpoint outside. An error is not the callers': their entries are durable.
    async fn keep(&mut self) {
        self.keep_at = None;
        if self.kept == Some(self.ends) {
            return;
        }
        let (ends, path) = (self.ends, self.checkpoint_path.clone());
        match tokio::task::spawn_blocking(move || ends.write(&path)).await {
            Ok(Ok(())) => self.kept = Some(ends),
            Ok(Err(error)) => tracing::warn!(%error, "the journal's checkpoint was not written"),
            Err(error) => tracing::warn!(%error, "the journal's checkpoint was not written"),
        }
    }
}

/// What a committed transaction gives: an answer a command, and where the journal ends.
type Written = (Vec<Answer>, Checkpoint);

async fn transaction(
    connection: &mut SqliteConnection,
    group: &[Request],
    known: &Checkpoint,
) -> Result<Written, Trouble> {
    let whole = |error| Trouble::Whole(failure::of(error));
    sqlx::query(sql::BEGIN).execute(&mut *connection).await.map_err(whole)?;
    let written = stage(connection, group, known).await.map_err(Trouble::Staged)?;
    // failpoint: journal.commit.before
    sqlx::query(sql::COMMIT).execute(connection).await.map_err(whole)?;
    // failpoint: journal.commit.after
    Ok(written)
}

/// Brings every command of a group into the transaction.
async fn stage(
    tx: &mut SqliteConnection,
    group: &[Request],
    known: &Checkpoint,
) -> Result<Written, JournalError> {
    let streams = group.iter().filter_map(|request| match &request.command {
        Command::Append(append) => Some(append.stream.as_str()),
        _ => None,
    });
    let mut ends = Ends::read(tx, streams).await?;
    // Nobody else writes: what is there has what was last committed in it.
    ends.checkpoint().refuse_older_than(known)?;
    let mut answers = Vec::with_capacity(group.len());
    for request in group {
        answers.push(match &request.command {
            Command::Append(append) => ends.append(tx, append).await?,
            Command::Acquire(acquire) => ends.acquire(tx, acquire).await?,
            Command::Snapshot(snapshot) => append::put_snapshot(tx, snapshot).await?,
            Command::Close => Ok(0),
        });
    }
    ends.write(tx).await?;
    Ok((answers, ends.checkpoint()))
}

fn refuse(group: impl IntoIterator<Item = Request>, error: &JournalError) {
    tracing::warn!(%error, "the journal was not written");
    for request in group {
        answer(request, Err(error.clone()));
    }
}

fn answer(request: Request, said: Answer) {
    if request.reply.send(said).is_err() {
        // It finds out by reading the stream.
        tracing::debug!("a caller of the journal has not waited for its answer");
    }
}
