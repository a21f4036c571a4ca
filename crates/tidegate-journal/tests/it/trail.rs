//! Entries of all streams, and proofs over them, as they lie in the file.

use std::collections::BTreeSet;

use tidegate_audit::proof;
use tidegate_engine::ports::{Journal as _, JournalError, Trail as _, Wanted};

use crate::fixture::{change, open, written};

#[tokio::test]
async fn every_entry_is_proven_against_the_head() {
    let dir = written().await;
    let (journal, _epoch) = open(dir.path()).await;
    let head = journal.head().await.unwrap();
    assert_eq!(hex(&head.root), journal.verify().await.unwrap().root);
    let entries = journal.entries(&Wanted::default(), 1_000).await.unwrap();
    assert_eq!(entries.len() as u64, head.size);
    let positions: BTreeSet<u64> = entries.iter().map(|(position, _)| *position).collect();
    let proofs = journal.prove(head.size, &positions).await.unwrap().unwrap();
    assert_eq!(proofs.head, head);
    for (position, entry) in &entries {
        proof::check(entry, *position, &proofs.paths[position], head.size, &head.root).unwrap();
    }
    // Earlier trees are those that the journal grew from; larger ones it knows nothing of.
    let earlier = journal.prove(1, &BTreeSet::from([0])).await.unwrap().unwrap();
    assert_eq!(earlier.head.root, entries[0].1.leaf());
    assert!(journal.prove(head.size + 1, &BTreeSet::new()).await.unwrap().is_none());
    assert_eq!(journal.prove(0, &BTreeSet::new()).await.unwrap().unwrap().head.size, 0);
}

fn hex(root: &[u8]) -> String {
    tidegate_audit::merkle::hex(root)
}

#[tokio::test]
async fn entries_are_narrowed_and_paged() {
    let dir = written().await;
    let (journal, _epoch) = open(dir.path()).await;
    let all = journal.entries(&Wanted::default(), 1_000).await.unwrap();
    let (position, some) = &all[all.len() / 2];
    let from = Wanted { from: *position, ..Wanted::default() };
    assert_eq!(journal.entries(&from, 1).await.unwrap(), [(*position, some.clone())]);
    let like = |wanted: &Wanted, entry: &tidegate_audit::Entry| {
        wanted.kind.as_ref().is_none_or(|kind| *kind == entry.kind)
            && wanted.actor.as_ref().is_none_or(|actor| *actor == entry.actor)
            && wanted.stream.as_ref().is_none_or(|stream| stream.to_string() == entry.stream)
            && wanted.since.is_none_or(|since| since.as_microsecond() <= entry.at_us)
            && wanted.until.is_none_or(|until| until.as_microsecond() > entry.at_us)
    };
    let time = jiff::Timestamp::from_microsecond(some.at_us).unwrap();
    let streams = journal.streams().await.unwrap();
    for wanted in [
        Wanted { kind: Some(some.kind.clone()), ..Wanted::default() },
        Wanted { actor: Some(some.actor.clone()), ..Wanted::default() },
        Wanted { actor: Some("person:' OR 1=1 --".to_owned()), ..Wanted::default() },
        Wanted { stream: Some(streams[0].0.clone()), ..Wanted::default() },
        Wanted { since: Some(time), ..Wanted::default() },
        Wanted { until: Some(time), ..Wanted::default() },
    ] {
        let found = journal.entries(&wanted, 1_000).await.unwrap();
        let due: Vec<_> = all.iter().filter(|(_, entry)| like(&wanted, entry)).cloned().collect();
        assert_eq!(found, due, "{wanted:?}");
    }
}

#[tokio::test]
async fn what_was_changed_is_neither_shown_nor_proven() {
    let dir = written().await;
    change(dir.path(), "UPDATE events SET actor = 'person:eve' WHERE position = 1").await;
    let (journal, _epoch) = open(dir.path()).await;
    let shown = journal.entries(&Wanted::default(), 1_000).await;
    assert!(matches!(shown, Err(JournalError::Damaged { code: "TG6010", .. })), "{shown:?}");
    let dir = written().await;
    change(dir.path(), "UPDATE events SET leaf = zeroblob(32) WHERE position = 1").await;
    let (journal, _epoch) = open(dir.path()).await;
    let size = journal.head().await.unwrap().size;
    let proven = journal.prove(size, &BTreeSet::from([0])).await;
    assert!(matches!(proven, Err(JournalError::Damaged { code: "TG6010", .. })), "{proven:?}");
}
