//! What is refused, and that a refusal leaves everything as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_engine::ports::{Journal as _, JournalError};
use tidegate_engine::testkit::journal_suite::note;
use tidegate_journal::Sqlite;
use tokio::signal::unix::{SignalKind, signal};

use crate::fixture::{
    change, child, child_dir, damage, dir, file, fill, open, shop, unavailable, written,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_directory_is_refused_and_told_who_is_there() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    let us = format!("process {} (since 2", std::process::id());
    for _ in 0..2 {
        let refused = Sqlite::open(dir.path()).await;
        assert!(
            matches!(&refused, Err(JournalError::Held { holder }) if holder.starts_with(&us)),
            "{refused:?}"
        );
    }
    fill(&journal, epoch, &shop(), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_cannot_be_written_are_refused() {
    let dir = dir();
    fs::write(dir.path().join("plain"), "a file").unwrap();
    fs::create_dir_all(dir.path().join("a/journal.sqlite")).unwrap();
    fs::create_dir_all(dir.path().join("b/lock")).unwrap();
    for name in ["plain", "plain/below", "a", "b"] {
        let (code, what) = unavailable(Sqlite::open(&dir.path().join(name)).await);
        assert_eq!(code, "TG6002", "{name}: {what}");
        assert!(what.contains(name), "{name}: {what}");
    }
    // Nobody, not even root, makes a file there.
    let (code, _) = unavailable(Sqlite::open(Path::new("/proc/self")).await);
    assert_eq!(code, "TG6002");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let dir = dir();
    fs::write(file(dir.path()), "my thesis, chapter one. ".repeat(100)).unwrap();
    let (code, _) = damage(Sqlite::open(dir.path()).await);
    assert_eq!(code, "TG6014");
    let left = fs::read_to_string(file(dir.path())).unwrap();
    assert!(left.starts_with("my thesis") && left.len() == 2400);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_pages_are_an_error_and_not_an_answer() {
    let dir = written().await;
    let mut bytes = fs::read(file(dir.path())).unwrap();
    // Every page but the first, which holds the layout.
    bytes[4096..].fill(0xa5);
    fs::write(file(dir.path()), bytes).unwrap();
    let (code, what) = damage(Sqlite::open(dir.path()).await);
    assert_eq!(code, "TG6014", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_layout_is_refused() {
    let dir = written().await;
    let newer = "INSERT INTO _sqlx_migrations \
                 (version, description, success, checksum, execution_time) \
                 VALUES (999, 'from the future', true, x'00', 1)";
    change(dir.path(), newer).await;
    let (code, what) = unavailable(Sqlite::open(dir.path()).await);
    assert_eq!(code, "TG6016");
    assert!(what.contains("layout 999"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_checkpoint_is_refused() {
    let dir = written().await;
    fs::write(dir.path().join("journal.checkpoint"), "size 3\n").unwrap();
    let (code, what) = damage(Sqlite::open(dir.path()).await);
    assert_eq!(code, "TG6013");
    assert!(what.ends_with("journal.checkpoint is not a checkpoint"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_for_the_owner_alone() {
    let base = dir();
    let dir = base.path().join("state");
    let (journal, epoch) = open(&dir).await;
    fill(&journal, epoch, &shop(), 3).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
}

/// Not a test of its own: a process whose files may not grow, as on a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn child_writes_until_the_disk_is_full() {
    let Some(dir) = child_dir() else { return };
    // Without a handler the signal would end the process before the write could fail.
    let _ignored = signal(SignalKind::from_raw(25)).unwrap();
    let (journal, epoch) = open(&dir).await;
    fill(&journal, epoch, &shop(), 5).await;

    let unlimited = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(256 * 1024), ..unlimited }).unwrap();
    let mut head = 5;
    let refusal = loop {
        match journal.append(&shop(), head, epoch, &[note(head + 1)]).await {
            Ok(()) => head += 1,
            Err(error) => break error,
        }
        assert!(head < 10_000, "the limit does not hold");
    };
    assert!(matches!(refusal, JournalError::Unavailable { .. }), "{refusal:?}");
    for _ in 0..3 {
        let again = journal.append(&shop(), head, epoch, &[note(head + 1)]).await;
        assert!(matches!(again, Err(JournalError::Unavailable { .. })), "{again:?}");
    }
    let events = journal.read(&shop(), 0, u32::MAX).await.unwrap();
    assert_eq!(events.len() as u64, head, "what was answered is there, and nothing else");

    setrlimit(Resource::Fsize, unlimited).unwrap();
    fill(&journal, epoch, &shop(), head + 50).await;
    assert_eq!(journal.verify().await.unwrap().events, head + 50);
    journal.close().await.unwrap();
    println!("survived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_appends_and_then_goes_on() {
    let dir = dir();
    let (mut child, lines) = child("refusals::child_writes_until_the_disk_is_full", dir.path());
    let said: Vec<String> = lines.iter().collect();
    assert!(child.wait().unwrap().success(), "{said:?}");
    assert!(said.iter().any(|line| line.ends_with("survived")), "{said:?}");
    let journal = Sqlite::open(dir.path()).await.unwrap();
    journal.verify().await.unwrap();
}
