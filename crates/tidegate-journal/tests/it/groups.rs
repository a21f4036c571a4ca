//! Group commit: many callers, few transactions, and nobody pays for his neighbour.

use std::sync::Arc;

use tidegate_core::event::Event;
use tidegate_engine::ports::{Journal as _, JournalError, Snapshot};
use tidegate_engine::testkit::journal_suite::{note, scope};
use tidegate_journal::Sqlite;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixture::{DEADLINE, dir, open, shop};

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_wait_share_a_transaction() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    let journal = Arc::new(journal);
    let before = journal.written();
    let mut tasks = JoinSet::new();
    for task in 0..200 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            journal.append(&scope(&format!("s{task}")), 0, epoch, &[note(1)]).await
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap().unwrap();
    }
    let after = journal.written();
    assert_eq!(after.commands - before.commands, 200);
    assert!(after.transactions - before.transactions <= 100, "{before:?} to {after:?}");
    assert_eq!(journal.verify().await.unwrap().events, 200);
}

/// The same moment, the same transaction: half of them expect the wrong end, some are fenced.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_append_fails_alone() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    let journal = Arc::new(journal);
    let mut tasks = JoinSet::new();
    for task in 0..90_u64 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            let scope = scope(&format!("s{task}"));
            let said = match task % 3 {
                0 => journal.append(&scope, 0, epoch, &[note(1)]).await,
                1 => journal.append(&scope, 7, epoch, &[note(8)]).await,
                _ => journal.append(&scope, 0, epoch + 1, &[note(1)]).await,
            };
            (task, said)
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let (task, said) = ended.unwrap();
        match task % 3 {
            0 => said.unwrap(),
            1 => assert!(matches!(said, Err(JournalError::Conflict { .. })), "{said:?}"),
            _ => assert!(matches!(said, Err(JournalError::Fenced { .. })), "{said:?}"),
        }
    }
    assert_eq!(journal.verify().await.unwrap().events, 30);
    assert_eq!(journal.streams().await.unwrap().len(), 30, "a refused stream does not exist");
}

/// Whoever gives up waiting has not undone anything: the event is there or it is not, whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_a_whole_journal() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    let (mut head, shop) = (0, shop());
    for _ in 0..50 {
        let events = [note(head + 1), note(head + 2)];
        let append = journal.append(&shop, head, epoch, &events);
        // Polled once, then dropped.
        let _gone = timeout(std::time::Duration::ZERO, append).await;
        head = match journal.append(&shop, head, epoch, &[]).await {
            Ok(()) => head,
            Err(JournalError::Conflict { actual, .. }) => actual,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(head % 2, 0);
    }
    let events = journal.read(&shop, 0, u32::MAX).await.unwrap();
    assert_eq!(events.len() as u64, head);
    journal.verify().await.unwrap();
}

/// The writer does not stand still because of one, nor does its end lose anybody.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_frees_the_directory_after_what_was_queued() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    journal.append(&shop(), 0, epoch, &[note(1)]).await.unwrap();
    let snapshot = Snapshot { seq: 1, schema: 1, bytes: vec![7; 100_000] };
    journal.put_snapshot(&shop(), &snapshot).await.unwrap();
    drop(journal);
    let again = timeout(DEADLINE, async {
        loop {
            match Sqlite::open(dir.path()).await {
                Ok(journal) => return journal,
                Err(JournalError::Held { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    let journal = again.await.unwrap();
    assert_eq!(journal.read(&shop(), 0, 9).await.unwrap(), [note(1)]);
    assert_eq!(journal.snapshot(&shop()).await.unwrap(), Some(snapshot));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_journal_says_so() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    journal.close().await.unwrap();
    let said = journal.append(&shop(), 0, epoch, &[note(1)]).await;
    assert!(matches!(said, Err(JournalError::Unavailable { .. })), "{said:?}");
    let said = journal.read(&shop(), 0, 1).await;
    assert!(matches!(said, Err(JournalError::Unavailable { .. })), "{said:?}");
}

/// An event at the limit of what is allowed passes, with its neighbours, in one append.
#[tokio::test(flavor = "multi_thread")]
async fn large_events_are_kept_up_to_the_limits() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    let large = |seq: u64, bytes: usize| {
        let mut event = note(seq);
        event.event = Event::Faulted { code: "TG9001".to_owned(), what: "x".repeat(bytes) };
        event
    };
    let events = [1, 2, 3].map(|seq| large(seq, tidegate_journal::PAYLOAD_BYTES_MAX - 1024));
    journal.append(&shop(), 0, epoch, &events).await.unwrap();
    assert_eq!(journal.read(&shop(), 0, 9).await.unwrap(), events);
    let more = [4, 5, 6, 7, 8].map(|seq| large(seq, tidegate_journal::PAYLOAD_BYTES_MAX - 1024));
    let said = journal.append(&shop(), 3, epoch, &more).await;
    assert!(matches!(said, Err(JournalError::Unavailable { code: "TG6007", .. })));
    let many: Vec<_> = (4..).take(tidegate_journal::APPEND_EVENTS_MAX + 1).map(note).collect();
    let said = journal.append(&shop(), 3, epoch, &many).await;
    assert!(matches!(said, Err(JournalError::Unavailable { code: "TG6007", .. })));
    journal.verify().await.unwrap();
}

/// It reads one moment of the journal, whatever is written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn verification_holds_while_others_write() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    let journal = Arc::new(journal);
    let mut tasks = JoinSet::new();
    for task in 0..4 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            let scope = scope(&format!("s{task}"));
            for seq in 1..=100 {
                journal.append(&scope, seq - 1, epoch, &[note(seq)]).await.unwrap();
            }
        });
    }
    let mut last = 0;
    while !tasks.is_empty() {
        let verified = journal.verify().await.unwrap();
        assert!(verified.events >= last);
        last = verified.events;
        while let Some(ended) = tasks.try_join_next() {
            ended.unwrap();
        }
    }
    assert_eq!(journal.verify().await.unwrap().events, 400);
}
