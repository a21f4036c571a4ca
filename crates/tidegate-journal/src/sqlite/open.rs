//! From a state directory to a database: one connection that writes, a few that read.
//! Must never open what it cannot trust: an old SQLite, a network disk, a cut journal.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqlSafeStr as _, SqliteConnection, SqlitePool};
use tidegate_engine::ports::JournalError;

use super::{failure, sql};
use crate::codes;

/// The database in the state directory.
pub(super) const FILE: &str = "journal.sqlite";

/// Below it two connections in WAL mode can corrupt the file.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// Our own connections hold the write lock for milliseconds; a foreign tool may look for longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A reader waits this long for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers at the same time; each costs a thread and a page cache.
const READERS_MAX: u32 = 4;
/// Rows that SQLite's thread reads ahead of the one who takes them; at each end of it the two
/// change places, which costs more than the rows.
const ROWS_AHEAD: usize = 512;

/// An open database.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    /// To open the writer's connection again.
    pub(super) options: SqliteConnectOptions,
    pub(super) readers: SqlitePool,
}

/// Opens the database, creates it if it is missing, and brings its layout up to this build.
///
/// # Errors
/// [`JournalError::Unavailable`] or [`JournalError::Damaged`] with the reason.
pub(super) async fn open(state_dir: &Path) -> Result<Opened, JournalError> {
    let path = state_dir.join(FILE);
    create(&path)?;
    let options = options(&path);
    let mut writer = options.connect().await.map_err(failure::of)?;
    let version: String =
        sqlx::query_scalar(sql::VERSION).fetch_one(&mut writer).await.map_err(failure::of)?;
    refuse_old(&version)?;
    migrations().run_direct(None, &mut writer, false).await.map_err(failure::of_migration)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.clone().read_only(true).row_buffer_size(ROWS_AHEAD))
        .await
        .map_err(failure::of)?;
    Ok(Opened { writer, options, readers })
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
}

/// Creates the directory, if needed, for the owner alone.
///
/// # Errors
/// [`JournalError::Unavailable`] when it cannot be.
pub(super) fn create_dir(state_dir: &Path) -> Result<(), JournalError> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(|error| {
        JournalError::Unavailable {
            code: codes::NOT_OPENED,
            what: format!("{} cannot be created: {error}", state_dir.display()),
        }
    })
}

/// The file exists before SQLite sees it, so that it and its companions are for the owner alone.
pub(super) fn create(path: &Path) -> Result<(), JournalError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    opened.map(drop).map_err(|error| JournalError::Unavailable {
        code: codes::NOT_OPENED,
        what: format!("{} cannot be opened: {error}", path.display()),
    })
}

fn refuse_old(version: &str) -> Result<(), JournalError> {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let mut next = || numbers.next().flatten();
    let found = next().zip(next()).zip(next()).map(|((major, minor), patch)| (major, minor, patch));
    if found >= Some(VERSION_MIN) {
        return Ok(());
    }
    let (major, minor, patch) = VERSION_MIN;
    Err(JournalError::Unavailable {
        code: codes::SQLITE_TOO_OLD,
        what: format!("SQLite {version} is older than {major}.{minor}.{patch}"),
    })
}

fn migrations() -> Migrator {
    let journal = include_str!("../../migrations/sqlite/0001_journal.sql").into_sql_str();
    let simple = MigrationType::Simple;
    Migrator::with_migrations(vec![Migration::new(1, "journal".into(), simple, journal, false)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_or_strange_sqlite_is_refused() {
        for good in ["3.51.3", "3.52.0", "3.100.0", "4.0.0"] {
            assert!(refuse_old(good).is_ok(), "{good}");
        }
        for bad in ["3.51.2", "3.40.1", "3.51", "", "three", "3.x.9"] {
            assert!(
                matches!(
                    refuse_old(bad),
                    Err(JournalError::Unavailable { code: codes::SQLITE_TOO_OLD, .. })
                ),
                "{bad}"
            );
        }
    }
}
