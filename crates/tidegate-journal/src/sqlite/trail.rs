//! Entries of all streams, and proofs that they are in the tree.
//! Must never hold more leaves in memory than one page of them.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection as _, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};
use tidegate_audit::Entry;
use tidegate_audit::merkle::{Frontier, Hash};
use tidegate_audit::proof::Prover;
use tidegate_engine::ports::{JournalError, Proofs, TreeHead, Wanted};

use super::append::{number, read_tree};
use super::read::Stored;
use super::{failure, sql};
use crate::codes;
use crate::entry::{PAYLOAD_BYTES_MAX, stream_of};

/// Leaves that are in memory at a time, 32 bytes each.
const PAGE: i64 = 8192;

/// Where the journal ends.
///
/// # Errors
/// [`JournalError::Damaged`] when the tree's row is not one.
pub(super) async fn head(pool: &SqlitePool) -> Result<TreeHead, JournalError> {
    let mut connection = pool.acquire().await.map_err(failure::of)?;
    let tree = read_tree(&mut connection).await?;
    Ok(TreeHead { size: tree.size(), root: tree.root() })
}

/// Entries with their positions, oldest first.
///
/// # Errors
/// [`JournalError::Damaged`] when one is not what was written.
pub(super) async fn entries(
    pool: &SqlitePool,
    wanted: &Wanted,
    limit: u32,
) -> Result<Vec<(u64, Entry)>, JournalError> {
    let Ok(from) = i64::try_from(wanted.from) else { return Ok(Vec::new()) };
    let mut query = QueryBuilder::<Sqlite>::new(sql::ENTRIES_PAYLOAD);
    query.push_bind(PAYLOAD_BYTES_MAX as i64).push(sql::ENTRIES_FROM).push_bind(from);
    if let Some(scope) = &wanted.stream {
        query.push(sql::AND_STREAM).push_bind(stream_of(scope));
    }
    if let Some(kind) = &wanted.kind {
        query.push(sql::AND_KIND).push_bind(kind);
    }
    if let Some(actor) = &wanted.actor {
        query.push(sql::AND_ACTOR).push_bind(actor);
    }
    if let Some(since) = wanted.since {
        query.push(sql::AND_SINCE).push_bind(since.as_microsecond());
    }
    if let Some(until) = wanted.until {
        query.push(sql::AND_UNTIL).push_bind(until.as_microsecond());
    }
    query.push(sql::IN_ORDER_AT_MOST).push_bind(i64::from(limit));
    let rows = query.build().fetch_all(pool).await.map_err(failure::of)?;
    let read = |row| Stored::of(row).map(|stored| (stored.position, stored.entry));
    rows.iter().map(read).collect()
}

/// The tree of the first `size` entries, with proofs.
///
/// # Errors
/// [`JournalError::Damaged`] when the leaves are not those that the tree was made of.
pub(super) async fn prove(
    pool: &SqlitePool,
    size: u64,
    positions: &BTreeSet<u64>,
) -> Result<Option<Proofs>, JournalError> {
    let mut connection = pool.acquire().await.map_err(failure::of)?;
    let mut view = connection.begin_with(sql::BEGIN_READ).await.map_err(failure::of)?;
    let tree = read_tree(&mut view).await?;
    if size > tree.size() {
        return Ok(None);
    }
    if size == 0 {
        let head = TreeHead { size, root: Frontier::default().root() };
        return Ok(Some(Proofs { head, paths: BTreeMap::new() }));
    }
    let mut prover = Prover::new(size, positions);
    let mut next = 0;
    while next < size {
        let leaves = page(&mut view, next).await?;
        if leaves.is_empty() {
            break;
        }
        next += leaves.len() as u64;
        leaves.into_iter().for_each(|leaf| prover.push(leaf));
    }
    let damaged = |what: String| JournalError::Damaged { code: codes::CHANGED, what };
    let (root, paths) = prover
        .finish()
        .ok_or_else(|| damaged(format!("entries before position {size} are missing")))?;
    if size == tree.size() && root != tree.root() {
        return Err(damaged(format!("the {size} leaves do not give the stored root")));
    }
    Ok(Some(Proofs { head: TreeHead { size, root }, paths }))
}

/// Leaves from a position on; a gap ends the page.
async fn page(view: &mut SqliteConnection, from: u64) -> Result<Vec<Hash>, JournalError> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(sql::LEAVES)
        .bind(number(from)?)
        .bind(PAGE)
        .fetch_all(view)
        .await
        .map_err(failure::of)?;
    let mut leaves = Vec::with_capacity(rows.len());
    for (due, (position, leaf)) in (from..).zip(rows) {
        if u64::try_from(position) != Ok(due) {
            break;
        }
        leaves.push(Hash::try_from(leaf).map_err(|_length| JournalError::Damaged {
            code: codes::CHANGED,
            what: format!("the leaf at position {position} is no hash"),
        })?);
    }
    Ok(leaves)
}
