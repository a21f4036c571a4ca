//! A copy of the whole journal, made while its server goes on writing.
//! Must never write to what it copies from, and never call a copy whole that was not verified.

use std::fs::File;
use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};
use tidegate_engine::ports::{Journal as _, JournalError};

use super::{Sqlite, failure, open, read, sql};
use crate::checkpoint;
use crate::codes;

/// Events that are read at the same time when a copy is looked through.
const PAGE: u32 = 256;

/// What a copy of a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Events.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Root over the events, lower-case hex.
    pub root: String,
    /// The highest epoch that was given out.
    pub epoch: u64,
}

/// Copies the journal of `state_dir` into the directory `into`, with a checkpoint of its own, and
/// looks it through as [`inspect`] does. The server may run and write meanwhile: the copy is what
/// stood there at one moment.
///
/// # Errors
/// [`JournalError::Unavailable`] when there is no journal, it cannot be read, or the copy cannot be
/// written; [`JournalError::Damaged`] when what was copied does not fit together.
pub async fn copy(state_dir: &Path, into: &Path) -> Result<Copied, JournalError> {
    let (source, target) = (state_dir.join(open::FILE), into.join(open::FILE));
    if !source.is_file() {
        return Err(JournalError::Unavailable {
            code: codes::NOT_OPENED,
            what: format!("{} does not exist", source.display()),
        });
    }
    // For the owner alone from its first byte; SQLite fills a file that is empty.
    open::create(&target)?;
    let reader = open::options(&source).read_only(true);
    let mut connection = reader.connect().await.map_err(failure::of)?;
    let place = target.display().to_string();
    let copied = sqlx::query(sql::COPY).bind(&place).execute(&mut connection).await;
    connection.close().await.map_err(failure::of)?;
    copied.map_err(failure::of)?;
    let copied = inspect(into).await?;
    let synced = File::open(&target).and_then(|file| file.sync_all());
    synced.and_then(|()| File::open(into)?.sync_all()).map_err(|error| {
        JournalError::Unavailable {
            code: codes::NOT_OPENED,
            what: format!("{place} cannot be made durable: {error}"),
        }
    })?;
    Ok(copied)
}

/// Verifies the journal in `directory`, which no server may use, and reads every event of it: what
/// this build cannot read it could not go on with. Leaves a checkpoint beside it.
///
/// # Errors
/// Those of [`Sqlite::open`], of the verification, and of the first event that cannot be read.
pub async fn inspect(directory: &Path) -> Result<Copied, JournalError> {
    let journal = Sqlite::open(directory).await?;
    let looked = look_through(&journal).await;
    journal.close().await?;
    let (copied, ends) = looked?;
    let place = checkpoint::path_in(directory);
    ends.write(&place).map_err(|error| JournalError::Unavailable {
        code: codes::NOT_OPENED,
        what: format!("{} cannot be written: {error}", place.display()),
    })?;
    Ok(copied)
}

async fn look_through(journal: &Sqlite) -> Result<(Copied, checkpoint::Checkpoint), JournalError> {
    let verified = journal.verify().await?;
    for (scope, head) in journal.streams().await? {
        let mut after = 0;
        while after < head {
            let page = read::events(&journal.readers, &scope, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
        }
    }
    let mut view = journal.readers.acquire().await.map_err(failure::of)?;
    let ends = super::ends(&mut view).await?;
    let (events, streams, root) = (verified.events, verified.streams, verified.root);
    Ok((Copied { events, streams, root, epoch: ends.epoch }, ends))
}
