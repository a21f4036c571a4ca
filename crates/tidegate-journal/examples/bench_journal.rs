//! Loads a journal: how many events a second become durable, alone and in a crowd, and a writer to
//! be killed. What `cargo xtask bench journal` runs. Must never judge a figure: it prints them.
//!
//! - `rates DIR ROUNDS SECONDS`: `single RATE` and `group RATE TRANSACTIONS`, in turns on one
//!   journal, so that both meet the same disk;
//! - `fill DIR`: writes until it is killed, and says `ack STREAM SEQ` for each durable event;
//! - `count DIR`: `stream NAME LAST` for each stream, then `verified EVENTS`.

#![expect(clippy::print_stdout, reason = "a program whose output is read by another")]

use std::error::Error;
use std::future::poll_fn;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tidegate_core::ids::Scope;
use tidegate_engine::ports::{Journal as _, JournalError};
use tidegate_engine::testkit::journal_suite::{note, scope};
use tidegate_journal::Sqlite;
use tokio::task::{JoinSet, unconstrained};

/// Writers at the same time in a crowd.
const WRITERS: usize = 64;
/// Streams that they share: so many services, each with a few appends on their way.
const STREAMS: usize = 16;

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["rates", dir, rounds, seconds] => {
            let lasts = Duration::from_secs(seconds.parse()?);
            rates(Path::new(dir), rounds.parse()?, lasts).await
        }
        ["fill", dir] => fill(Path::new(dir)).await,
        ["count", dir] => count(Path::new(dir)).await,
        _ => Err("usage: bench_journal rates DIR ROUNDS SECONDS | fill DIR | count DIR".into()),
    }
}

/// A journal that this process writes to.
#[derive(Debug)]
struct Open {
    journal: Sqlite,
    epoch: u64,
}

impl Open {
    async fn at(dir: &Path) -> Result<Self, JournalError> {
        let journal = Sqlite::open(dir).await?;
        let epoch = journal.acquire("bench", note(1).at).await?;
        Ok(Self { journal, epoch })
    }

    /// The streams `s0`, `s1` and so on, each at its end.
    async fn streams(&self, count: usize) -> Result<Vec<Arc<Stream>>, JournalError> {
        let known = self.journal.streams().await?;
        let streams = (0..count).map(|number| {
            let scope = scope(&format!("s{number}"));
            let head = known.iter().find(|(other, _)| *other == scope).map_or(0, |(_, at)| *at);
            Arc::new(Stream { scope, head: Mutex::new(head) })
        });
        Ok(streams.collect())
    }
}

/// One stream and the sequence at its end.
#[derive(Debug)]
struct Stream {
    scope: Scope,
    head: Mutex<u64>,
}

impl Stream {
    /// Appends one event and answers with its sequence once that is durable.
    ///
    /// An append expects the end of its stream, so those of several writers must be queued in
    /// order: each is handed to the journal under the lock, by its first poll, and waited for
    /// outside.
    async fn append(&self, open: &Open) -> Result<u64, JournalError> {
        let (seq, first, mut append) = poll_fn(|context| {
            let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
            *head += 1;
            let seq = *head;
            let append = async move {
                let events = [note(seq)];
                open.journal.append(&self.scope, seq - 1, open.epoch, &events).await
            };
            // A poll that yielded to other tasks would leave the queue to a later sequence.
            let mut append = Box::pin(unconstrained(append));
            let first = append.as_mut().poll(context);
            Poll::Ready((seq, first, append))
        })
        .await;
        match first {
            Poll::Ready(appended) => appended?,
            Poll::Pending => append.as_mut().await?,
        }
        Ok(seq)
    }
}

async fn rates(dir: &Path, rounds: u32, lasts: Duration) -> Result<(), Failed> {
    let open = Arc::new(Open::at(dir).await?);
    let streams = open.streams(STREAMS).await?;
    let alone: Vec<_> = streams.iter().take(1).cloned().collect();
    for _ in 0..rounds {
        let (rate, _) = crowd(&open, &alone, 1, lasts).await?;
        println!("single {rate:.1}");
        let (rate, transactions) = crowd(&open, &streams, WRITERS, lasts).await?;
        println!("group {rate:.1} {transactions}");
    }
    open.journal.close().await?;
    Ok(())
}

/// Events a second that so many writers get acknowledged, and the transactions they shared.
async fn crowd(
    open: &Arc<Open>,
    streams: &[Arc<Stream>],
    writers: usize,
    lasts: Duration,
) -> Result<(f64, u64), Failed> {
    let before = open.journal.written().transactions;
    let began = Instant::now();
    let mut crowd = JoinSet::new();
    for stream in streams.iter().cycle().take(writers) {
        let (open, stream) = (Arc::clone(open), Arc::clone(stream));
        crowd.spawn(async move {
            let mut appended = 0_u32;
            while began.elapsed() < lasts {
                stream.append(&open).await?;
                appended += 1;
            }
            Ok::<_, JournalError>(appended)
        });
    }
    let mut total = 0;
    while let Some(ended) = crowd.join_next().await {
        total += ended??;
    }
    let rate = f64::from(total) / began.elapsed().as_secs_f64();
    Ok((rate, open.journal.written().transactions - before))
}

/// Ends by being killed, or by an error.
async fn fill(dir: &Path) -> Result<(), Failed> {
    let open = Arc::new(Open::at(dir).await?);
    let streams = open.streams(STREAMS).await?;
    let mut crowd = JoinSet::new();
    for stream in streams.iter().cycle().take(WRITERS) {
        let (open, stream) = (Arc::clone(&open), Arc::clone(stream));
        crowd.spawn(async move {
            loop {
                let seq = stream.append(&open).await?;
                say(&format!("ack {} {seq}", stream.scope.service))?;
            }
        });
    }
    match crowd.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

/// A line that is out before the next event is asked for.
fn say(line: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

async fn count(dir: &Path) -> Result<(), Failed> {
    let journal = Sqlite::open(dir).await?;
    for (scope, last) in journal.streams().await? {
        println!("stream {} {last}", scope.service);
    }
    println!("verified {}", journal.verify().await?.events);
    journal.close().await?;
    Ok(())
}
