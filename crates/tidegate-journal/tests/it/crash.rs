//! SIGKILL in the middle of writing: whatever was answered is there afterwards.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tidegate_engine::ports::{Journal as _, JournalError};
use tidegate_engine::testkit::journal_suite::{note, scope};
use tidegate_journal::Sqlite;

use crate::fixture::{DEADLINE, child, child_dir, dir, open};

/// Streams that the child writes to at the same time.
const STREAMS: usize = 4;

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn child_appends_until_it_is_killed() {
    let Some(dir) = child_dir() else { return };
    let (journal, epoch) = open(&dir).await;
    let journal = Arc::new(journal);
    let heads: BTreeMap<String, u64> = journal
        .streams()
        .await
        .unwrap()
        .into_iter()
        .map(|(scope, head)| (scope.service.to_string(), head))
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    for stream in 0..STREAMS {
        let (journal, name) = (Arc::clone(&journal), format!("s{stream}"));
        let mut head = heads.get(&name).copied().unwrap_or(0);
        tasks.spawn(async move {
            loop {
                let events = [note(head + 1), note(head + 2)];
                journal.append(&scope(&name), head, epoch, &events).await.unwrap();
                head += 2;
                say(&format!("ack {name} {head}"));
            }
        });
    }
    tasks.join_next().await.unwrap().unwrap();
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// The stream and its last acknowledged entry, if the line says so.
fn ack(line: &str) -> Option<(String, u64)> {
    let (stream, seq) = line.strip_prefix("ack ")?.split_once(' ')?;
    Some((stream.to_owned(), seq.parse().ok()?))
}

/// Takes lines until so many were acknowledgements.
fn take(lines: &Receiver<String>, count: usize, acked: &mut BTreeMap<String, u64>) {
    let mut seen = 0;
    while seen < count {
        let line = lines.recv_timeout(DEADLINE).expect("the child goes on writing");
        if let Some((stream, seq)) = ack(&line) {
            acked.insert(stream, seq);
            seen += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_event_survives_kill_9() {
    let dir = dir();
    let mut acked = BTreeMap::new();
    let mut epoch_before = 0;
    // Early, in the middle of the first pages, and after the WAL went round.
    for acks in [1, 40, 170, 600] {
        let (mut child, lines) = child("crash::child_appends_until_it_is_killed", dir.path());
        take(&lines, acks, &mut acked);

        let held = Sqlite::open(dir.path()).await;
        let pid = format!("process {} ", child.id());
        assert!(
            matches!(&held, Err(JournalError::Held { holder }) if holder.starts_with(&pid)),
            "{held:?}"
        );

        child.kill().unwrap();
        child.wait().unwrap();
        acked.extend(lines.iter().filter_map(|line| ack(&line)));

        let (journal, epoch) = open(dir.path()).await;
        assert!(epoch > epoch_before + 1, "the child's epoch lies between");
        epoch_before = epoch;
        for (stream, seq) in &acked {
            let events = journal.read(&scope(stream), 0, u32::MAX).await.unwrap();
            assert!(events.len() as u64 >= *seq, "{stream}: {} of {seq}", events.len());
            // Both events of an append, or none.
            assert_eq!(events.len() % 2, 0, "{stream}");
            let written: Vec<_> = (1..=events.len() as u64).map(note).collect();
            assert_eq!(events, written, "{stream}");
        }
        journal.verify().await.unwrap();
        journal.close().await.unwrap();
    }
    assert_eq!(acked.len(), STREAMS);
}
