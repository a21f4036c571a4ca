//! The whole journal against itself and against the checkpoint outside it.
//!
//! Everything is computed again from the events: leaves, tree, ends of streams, list of
//! deployments. Whether this build can read an event's content is not asked here; `read` does.
//! Must never stop at "mostly": the first thing that does not fit is named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tidegate_audit::merkle::{Frontier, Hash, hex};
use tidegate_core::ids::DeploymentId;
use tidegate_engine::ports::{DeploymentRow, JournalError, Verified};

use super::append::{read_tree, unsigned};
use super::read::{Stored, missing};
use super::{failure, read, sql};
use crate::checkpoint::Checkpoint;
use crate::codes;
use crate::entry::{PAYLOAD_BYTES_MAX, recorded, scope_of};
use crate::projection::Change;

/// Rows that are in memory at the same time.
const PAGE: u64 = 256;

/// Checks everything.
///
/// # Errors
/// [`JournalError::Damaged`] names the first entry that does not fit.
pub(super) async fn verify(
    pool: &SqlitePool,
    checkpoint_path: &Path,
) -> Result<Verified, JournalError> {
    // Before the view of the database is taken: the file may only be behind it, never ahead.
    let outside = Checkpoint::read(checkpoint_path)?;
    let mut connection = pool.acquire().await.map_err(failure::of)?;
    let mut view = connection.begin_with(sql::BEGIN_READ).await.map_err(failure::of)?;
    let mut replay = Replay::new(roots(&mut view, outside.as_ref()).await?);
    replay.known(0)?;
    loop {
        let rows = page(&mut view, replay.next).await?;
        for row in &rows {
            replay.take(row)?;
        }
        if (rows.len() as u64) < PAGE {
            break;
        }
    }
    replay.ends(&mut view).await?;
    replay.list(&mut view).await?;
    Ok(Verified {
        events: replay.tree.size(),
        streams: replay.heads.len() as u64,
        root: hex(&replay.tree.root()),
    })
}

async fn page(view: &mut SqliteConnection, from: u64) -> Result<Vec<SqliteRow>, JournalError> {
    let query = sqlx::query(sql::ALL_EVENTS)
        .bind(super::append::number(from)?)
        .bind(PAGE as i64)
        .bind(PAYLOAD_BYTES_MAX as i64);
    query.fetch_all(view).await.map_err(failure::of)
}

/// The roots that are known from elsewhere, by size.
async fn roots(
    view: &mut SqliteConnection,
    outside: Option<&Checkpoint>,
) -> Result<BTreeMap<u64, Vec<Vec<u8>>>, JournalError> {
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as(sql::CHECKPOINTS).fetch_all(view).await.map_err(failure::of)?;
    let mut roots: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for (size, root) in rows {
        roots.entry(unsigned(size, "the size of a checkpoint")?).or_default().push(root);
    }
    if let Some(outside) = outside {
        roots.entry(outside.size).or_default().push(outside.root.to_vec());
    }
    Ok(roots)
}

/// The journal as its events tell it, so far.
#[derive(Debug)]
struct Replay {
    tree: Frontier,
    /// The position that is due.
    next: u64,
    /// The first position that nothing stood at, and what stood after it. The reading goes on:
    /// the sequences tell which entry it was.
    gap: Option<(u64, String)>,
    heads: BTreeMap<String, u64>,
    deployments: BTreeMap<DeploymentId, DeploymentRow>,
    roots: BTreeMap<u64, Vec<Vec<u8>>>,
}

impl Replay {
    fn new(roots: BTreeMap<u64, Vec<Vec<u8>>>) -> Self {
        Self {
            tree: Frontier::default(),
            next: 0,
            gap: None,
            heads: BTreeMap::new(),
            deployments: BTreeMap::new(),
            roots,
        }
    }

    fn take(&mut self, row: &SqliteRow) -> Result<(), JournalError> {
        let stored = Stored::of(row)?;
        let entry = &stored.entry;
        let head = self.heads.entry(entry.stream.clone()).or_insert(0);
        if entry.seq > *head + 1 {
            return Err(missing(&entry.stream, *head + 1));
        }
        if entry.seq <= *head {
            return Err(JournalError::Damaged {
                code: codes::MISSING,
                what: format!(
                    "{} entry {} stands where entry {} is due",
                    entry.stream.escape_debug(),
                    entry.seq,
                    *head + 1
                ),
            });
        }
        *head = entry.seq;
        if stored.position != self.next && self.gap.is_none() {
            let after = format!("{} entry {}", entry.stream.escape_debug(), entry.seq);
            self.gap = Some((self.next, after));
        }
        self.next = stored.position + 1;
        self.fold(&stored)?;
        if self.gap.is_some() { Ok(()) } else { self.grow(stored.leaf) }
    }

    /// Follows the list of deployments. What this build cannot read cannot be in its list.
    fn fold(&mut self, stored: &Stored) -> Result<(), JournalError> {
        if !matches!(stored.entry.kind.as_str(), "deployment_started" | "deployment_ended") {
            return Ok(());
        }
        let Ok(recorded) = recorded(&stored.entry) else { return Ok(()) };
        match Change::of(&scope_of(&stored.entry.stream)?, &recorded)? {
            Some(Change::Started(row)) => {
                self.deployments.insert(row.deployment.clone(), *row);
            }
            Some(Change::Ended(closing)) => {
                if let Some(row) = self.deployments.get_mut(&closing.deployment) {
                    closing.complete(row)?;
                }
            }
            None => {}
        }
        Ok(())
    }

    fn grow(&mut self, leaf: Hash) -> Result<(), JournalError> {
        self.tree.push(leaf);
        let size = self.tree.size();
        self.known(size)
    }

    /// Compares with what is known of the tree at this size.
    fn known(&mut self, size: u64) -> Result<(), JournalError> {
        let root = self.tree.root();
        match self.roots.remove(&size) {
            Some(roots) if roots.iter().any(|known| *known != root) => Err(JournalError::Damaged {
                code: codes::BEHIND_CHECKPOINT,
                what: format!(
                    "the first {size} entries are not those that the checkpoint was made of"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// The ends: of the tree, of each stream, of every checkpoint.
    async fn ends(&mut self, view: &mut SqliteConnection) -> Result<(), JournalError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as(sql::HEADS).fetch_all(&mut *view).await.map_err(failure::of)?;
        for (stream, head) in &rows {
            let (head, seen) = (unsigned(*head, "a stream's end")?, self.heads.get(stream));
            let seen = seen.copied().unwrap_or(0);
            if seen < head {
                return Err(missing(stream, seen + 1));
            }
            if seen > head {
                return Err(not_known(stream, seen));
            }
        }
        if let Some((stream, seen)) =
            self.heads.iter().find(|(stream, _)| rows.iter().all(|(known, _)| known != *stream))
        {
            return Err(not_known(stream, *seen));
        }
        if let Some((position, after)) = &self.gap {
            return Err(JournalError::Damaged {
                code: codes::MISSING,
                what: format!("the entry at position {position} is missing, before {after}"),
            });
        }
        if let Some(size) = self.roots.keys().next_back() {
            return Err(JournalError::Damaged {
                code: codes::BEHIND_CHECKPOINT,
                what: format!(
                    "the journal has {} entries, its checkpoint was made of {size}",
                    self.tree.size()
                ),
            });
        }
        let kept = read_tree(view).await?;
        if kept != self.tree {
            return Err(JournalError::Damaged {
                code: codes::CHANGED,
                what: format!(
                    "the stored tree has {} entries and another root than the {} events",
                    kept.size(),
                    self.tree.size()
                ),
            });
        }
        Ok(())
    }

    /// The list of deployments against the events.
    async fn list(&self, view: &mut SqliteConnection) -> Result<(), JournalError> {
        let rows =
            sqlx::query(sql::DEPLOYMENTS).bind(None::<&str>).bind(i64::MAX).fetch_all(view).await;
        let rows = rows.map_err(failure::of)?;
        let mut listed = BTreeSet::new();
        for row in &rows {
            let row = read::deployment_row(row)?;
            if self.deployments.get(&row.deployment) != Some(&row) {
                return Err(list_differs(&row.deployment));
            }
            listed.insert(row.deployment);
        }
        let lost = self.deployments.keys().find(|id| !listed.contains(*id));
        lost.map_or(Ok(()), |id| Err(list_differs(id)))
    }
}

fn not_known(stream: &str, seq: u64) -> JournalError {
    JournalError::Damaged {
        code: codes::CHANGED,
        what: format!("{} entry {seq} lies behind the end of its stream", stream.escape_debug()),
    }
}

fn list_differs(id: &DeploymentId) -> JournalError {
    JournalError::Damaged {
        code: codes::LIST_DIFFERS,
        what: format!("the list's row of deployment {id} does not follow from its events"),
    }
}
