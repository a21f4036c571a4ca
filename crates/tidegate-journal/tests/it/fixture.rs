//! A journal in a temporary directory, and a hand that changes its file from outside.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tidegate_core::ids::Scope;
use tidegate_engine::ports::{Journal as _, JournalError};
use tidegate_engine::testkit::journal_suite::{note, scope};
use tidegate_journal::Sqlite;

/// A wait that nothing should ever reach.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn shop() -> Scope {
    scope("shop")
}

pub(crate) fn blog() -> Scope {
    scope("blog")
}

/// Opens and takes the lease.
pub(crate) async fn open(dir: &Path) -> (Sqlite, u64) {
    let journal = Sqlite::open(dir).await.unwrap();
    let epoch = journal.acquire("test", note(1).at).await.unwrap();
    (journal, epoch)
}

/// Appends notes to a stream until it ends at `last`, one at a time.
pub(crate) async fn fill(journal: &Sqlite, epoch: u64, scope: &Scope, last: u64) {
    let streams = journal.streams().await.unwrap();
    let head = streams.iter().find(|(known, _)| known == scope).map_or(0, |(_, head)| *head);
    for seq in head + 1..=last {
        journal.append(scope, seq - 1, epoch, &[note(seq)]).await.unwrap();
    }
}

/// A closed journal: 12 entries in `shop`, 5 in `blog`, written in turns.
pub(crate) async fn written() -> TempDir {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    for (shop_last, blog_last) in [(3, 1), (8, 4), (12, 5)] {
        fill(&journal, epoch, &shop(), shop_last).await;
        fill(&journal, epoch, &blog(), blog_last).await;
    }
    journal.close().await.unwrap();
    dir
}

pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("journal.sqlite")
}

/// A connection that goes past the journal, with its triggers out of the way.
pub(crate) async fn raw(dir: &Path) -> SqliteConnection {
    let mut connection = SqliteConnectOptions::new().filename(file(dir)).connect().await.unwrap();
    for trigger in ["events_keep", "events_stay"] {
        let drop = AssertSqlSafe(format!("DROP TRIGGER IF EXISTS {trigger}"));
        sqlx::query(drop).execute(&mut connection).await.unwrap();
    }
    connection
}

/// Changes the file from outside; the statement must hit something.
pub(crate) async fn change(dir: &Path, statement: &str) {
    let mut connection = raw(dir).await;
    for single in statement.split(';').filter(|single| !single.trim().is_empty()) {
        let done =
            sqlx::query(AssertSqlSafe(single.to_owned())).execute(&mut connection).await.unwrap();
        assert!(done.rows_affected() > 0, "{single} hit nothing");
    }
    connection.close().await.unwrap();
}

/// Code and text of damage.
pub(crate) fn damage<T: std::fmt::Debug>(
    result: Result<T, JournalError>,
) -> (&'static str, String) {
    match result {
        Err(JournalError::Damaged { code, what }) => (code, what),
        other => panic!("not damaged: {other:?}"),
    }
}

/// Code and text of what could not be done.
pub(crate) fn unavailable<T: std::fmt::Debug>(
    result: Result<T, JournalError>,
) -> (&'static str, String) {
    match result {
        Err(JournalError::Unavailable { code, what }) => (code, what),
        other => panic!("not unavailable: {other:?}"),
    }
}

/// Names the directory to a test that runs as a process of its own.
pub(crate) const CHILD: &str = "TIDEGATE_JOURNAL_TEST_CHILD";

/// Runs one test of this binary as another process on a directory.
pub(crate) fn child(test: &str, dir: &Path) -> (Child, Receiver<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (lines, received) = channel();
    std::thread::spawn(move || {
        // A torn last line is none: its writer died in it.
        let mut output = output;
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if !line.ends_with('\n') || lines.send(line.trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    (child, received)
}

/// The directory, in the child.
pub(crate) fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}
