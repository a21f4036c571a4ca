//! Reading, with every row checked against its leaf: what was changed is not believed.
//! Must never let one stream's damage stand in the way of another's.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};
use tidegate_audit::Entry;
use tidegate_audit::merkle::Hash;
use tidegate_core::event::Recorded;
use tidegate_core::ids::{DeploymentId, Scope};
use tidegate_engine::ports::{DeploymentRow, JournalError, Placed, Snapshot};
use tokio::time::timeout;

use super::append::{read_head, unsigned};
use super::{SNAPSHOT_BYTES_MAX, failure, sql};
use crate::codes;
use crate::entry::{PAYLOAD_BYTES_MAX, actor_of, recorded, scope_of, stream_of, time_of};
use crate::projection::ending_of;

/// For one reading of a stream or a list. They take milliseconds.
pub(super) const READ_WAIT: Duration = Duration::from_secs(30);
/// For the verification of everything: some 20,000 entries a second.
pub(super) const VERIFY_WAIT: Duration = Duration::from_mins(30);

/// Gives a reading its deadline.
pub(super) async fn within<T>(
    wait: Duration,
    what: &str,
    reading: impl Future<Output = Result<T, JournalError>>,
) -> Result<T, JournalError> {
    timeout(wait, reading).await.unwrap_or_else(|_elapsed| Err(failure::late(what)))
}

/// A row of the table of events, whose leaf is its own.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) position: u64,
    pub(super) entry: Entry,
    pub(super) leaf: Hash,
}

impl Stored {
    /// Reads a row.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], naming the entry, when a column is not what it must be or the
    /// leaf is another.
    pub(super) fn of(row: &SqliteRow) -> Result<Self, JournalError> {
        let place = place_of(row);
        let changed = |what: String| JournalError::Damaged {
            code: codes::CHANGED,
            what: format!("{place}: {what}"),
        };
        let column = |error: sqlx::Error| changed(format!("not as it was written: {error}"));
        let seq: i64 = row.try_get("seq").map_err(column)?;
        let epoch: i64 = row.try_get("epoch").map_err(column)?;
        let schema: i64 = row.try_get("schema").map_err(column)?;
        let payload: Option<String> = row.try_get("payload").map_err(column)?;
        let kept: Vec<u8> = row.try_get("leaf").map_err(column)?;
        let entry = Entry {
            stream: row.try_get("stream").map_err(column)?,
            seq: unsigned(seq, "a sequence")?,
            epoch: unsigned(epoch, "an epoch")?,
            at_us: row.try_get("at_us").map_err(column)?,
            kind: row.try_get("kind").map_err(column)?,
            schema: u32::try_from(schema).map_err(|error| changed(error.to_string()))?,
            actor: row.try_get("actor").map_err(column)?,
            payload: payload
                .ok_or_else(|| changed(format!("it has more than {PAYLOAD_BYTES_MAX} bytes")))?,
        };
        let leaf = entry.leaf();
        if kept != leaf {
            return Err(changed("it is not what its leaf was made of".to_owned()));
        }
        let position: i64 = row.try_get("position").map_err(column)?;
        Ok(Self { position: unsigned(position, "a position")?, entry, leaf })
    }
}

/// The entry's name for people, from whatever of the row is readable.
fn place_of(row: &SqliteRow) -> String {
    let stream: Result<String, _> = row.try_get("stream");
    match (stream, row.try_get::<i64, _>("seq")) {
        (Ok(stream), Ok(seq)) => format!("{} entry {seq}", stream.escape_debug()),
        _ => match row.try_get::<i64, _>("position") {
            Ok(position) => format!("the entry at position {position}"),
            Err(_) => "an entry".to_owned(),
        },
    }
}

/// Events of a stream after a sequence.
///
/// # Errors
/// [`JournalError::Damaged`] when one is changed, missing or unknown to this build.
pub(super) async fn events(
    pool: &SqlitePool,
    scope: &Scope,
    after: u64,
    limit: u32,
) -> Result<Vec<Recorded>, JournalError> {
    let stream = stream_of(scope);
    let Ok(after_seq) = i64::try_from(after) else { return Ok(Vec::new()) };
    let mut connection = pool.acquire().await.map_err(failure::of)?;
    // The head first: entries that are written in between are only more than it promises.
    let head = read_head(&mut connection, &stream).await?.unwrap_or(0);
    let rows = sqlx::query(sql::EVENTS)
        .bind(&stream)
        .bind(after_seq)
        .bind(i64::from(limit))
        .bind(PAYLOAD_BYTES_MAX as i64)
        .fetch_all(&mut *connection)
        .await
        .map_err(failure::of)?;
    let mut events = Vec::with_capacity(rows.len());
    for (offset, row) in (1..).zip(&rows) {
        let (due, stored) = (after.saturating_add(offset), Stored::of(row)?);
        if stored.entry.seq != due {
            return Err(missing(&stream, due));
        }
        events.push(recorded(&stored.entry)?);
    }
    let last = after.saturating_add(events.len() as u64);
    if events.len() < limit as usize && last < head {
        return Err(missing(&stream, last.saturating_add(1)));
    }
    Ok(events)
}

pub(super) fn missing(stream: &str, seq: u64) -> JournalError {
    JournalError::Damaged {
        code: codes::MISSING,
        what: format!("{} entry {seq} is missing", stream.escape_debug()),
    }
}

/// All streams with their last sequence.
///
/// # Errors
/// Those of the store.
pub(super) async fn streams(pool: &SqlitePool) -> Result<Vec<(Scope, u64)>, JournalError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as(sql::HEADS).fetch_all(pool).await.map_err(failure::of)?;
    let mut streams = Vec::with_capacity(rows.len());
    for (stream, head) in rows {
        match scope_of(&stream).and_then(|scope| Ok((scope, unsigned(head, "a stream's end")?))) {
            Ok(named) => streams.push(named),
            // It has no name under which it could be asked for; `verify` finds it.
            Err(error) => tracing::error!(%error, "a stream of the journal is left out"),
        }
    }
    streams.sort();
    Ok(streams)
}

/// The digest that says whether a snapshot is still what was put.
pub(super) fn snapshot_digest(stream: &str, seq: i64, schema: u32, bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(b"tidegate.snapshot.v1\0")
        .chain_update((stream.len() as u64).to_be_bytes())
        .chain_update(stream)
        .chain_update(seq.to_be_bytes())
        .chain_update(schema.to_be_bytes())
        .chain_update(bytes)
        .finalize()
        .into()
}

/// The newest snapshot; one that is damaged or ahead of its stream is none.
///
/// # Errors
/// Those of the store.
pub(super) async fn snapshot(
    pool: &SqlitePool,
    scope: &Scope,
) -> Result<Option<Snapshot>, JournalError> {
    let stream = stream_of(scope);
    let row: Option<(i64, i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(sql::SNAPSHOT)
        .bind(&stream)
        .bind(SNAPSHOT_BYTES_MAX as i64)
        .fetch_optional(pool)
        .await
        .map_err(failure::of)?;
    let Some((seq, schema, bytes, digest)) = row else { return Ok(None) };
    let (Ok(seq_read), Ok(schema)) = (u64::try_from(seq), u32::try_from(schema)) else {
        return Ok(None);
    };
    if digest != snapshot_digest(&stream, seq, schema, &bytes) {
        tracing::warn!(%scope, "a snapshot was changed and is left out");
        return Ok(None);
    }
    Ok(Some(Snapshot { seq: seq_read, schema, bytes }))
}

/// Deployments, newest first.
///
/// # Errors
/// [`JournalError::Damaged`] when a row of the list is unreadable.
pub(super) async fn deployments(
    pool: &SqlitePool,
    scope: Option<&Scope>,
    before: Option<&DeploymentId>,
    limit: u32,
) -> Result<Vec<DeploymentRow>, JournalError> {
    let (limit, before) = (i64::from(limit), before.map(DeploymentId::as_str));
    let query = match scope {
        None => sqlx::query(sql::DEPLOYMENTS).bind(before).bind(limit),
        Some(scope) => {
            sqlx::query(sql::DEPLOYMENTS_OF).bind(before).bind(limit).bind(stream_of(scope))
        }
    };
    let rows = query.fetch_all(pool).await.map_err(failure::of)?;
    rows.iter().map(deployment_row).collect()
}

/// The newest entries, each for itself: a damaged one stands between the others.
///
/// # Errors
/// Those of the store.
pub(super) async fn recent(
    pool: &SqlitePool,
    scope: Option<&Scope>,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Placed>, JournalError> {
    // A position above the greatest is above all of them.
    let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
    let most = PAYLOAD_BYTES_MAX as i64;
    let query = match scope {
        None => sqlx::query(sql::RECENT).bind(before).bind(i64::from(limit)).bind(most),
        Some(scope) => sqlx::query(sql::RECENT_OF)
            .bind(before)
            .bind(i64::from(limit))
            .bind(most)
            .bind(stream_of(scope)),
    };
    let rows = query.fetch_all(pool).await.map_err(failure::of)?;
    rows.iter()
        .map(|row| {
            let position: i64 = row.try_get("position").map_err(failure::of)?;
            let stream = row.try_get::<String, _>("stream");
            Ok(Placed {
                position: unsigned(position, "a position")?,
                scope: stream.ok().and_then(|stream| scope_of(&stream).ok()),
                recorded: Stored::of(row).and_then(|stored| recorded(&stored.entry)),
            })
        })
        .collect()
}

/// The row of one deployment.
///
/// # Errors
/// [`JournalError::Damaged`] when it is unreadable.
pub(super) async fn find(
    pool: &SqlitePool,
    id: &DeploymentId,
) -> Result<Option<DeploymentRow>, JournalError> {
    let row = sqlx::query(sql::DEPLOYMENT)
        .bind(id.as_str())
        .fetch_optional(pool)
        .await
        .map_err(failure::of)?;
    row.as_ref().map(deployment_row).transpose()
}

pub(super) fn deployment_row(row: &SqliteRow) -> Result<DeploymentRow, JournalError> {
    let name: String = row.try_get("deployment").map_err(failure::of)?;
    let differs = |column: &str| JournalError::Damaged {
        code: codes::LIST_DIFFERS,
        what: format!("the list's `{column}` of deployment {} is none", name.escape_debug()),
    };
    let number = |column: &'static str| {
        let value: Option<i64> = row.try_get(column).map_err(failure::of)?;
        value.map(|value| unsigned(value, column)).transpose()
    };
    let text = |column: &'static str| row.try_get::<Option<String>, _>(column).map_err(failure::of);
    let ending = text("ending")?
        .map(|word| ending_of(&word).ok_or_else(|| differs("ending")))
        .transpose()?;
    let ended_us: Option<i64> = row.try_get("ended_us").map_err(failure::of)?;
    let started_by = text("started_by")?.unwrap_or_default();
    Ok(DeploymentRow {
        deployment: DeploymentId::new(name.clone()).map_err(|_invalid| differs("deployment"))?,
        scope: scope_of(&text("stream")?.unwrap_or_default())?,
        version: text("version")?.unwrap_or_default(),
        first_seq: number("first_seq")?.ok_or_else(|| differs("first_seq"))?,
        last_seq: number("last_seq")?,
        started_at: time_of(row.try_get("started_us").map_err(failure::of)?)?,
        started_by: actor_of(&started_by).ok_or_else(|| differs("started_by"))?,
        ended_at: ended_us.map(time_of).transpose()?,
        ending,
        why: text("why")?,
    })
}
