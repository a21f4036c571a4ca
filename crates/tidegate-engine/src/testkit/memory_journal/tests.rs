//! The journal in memory: the suite of every store, and the faults that only it can have.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::{Attempt, Fault, Faults, MemoryJournal};
use crate::ports::{Journal, JournalError};
use crate::testkit::journal_suite::{Storage, conformance, note, scope};
use async_trait::async_trait;

#[derive(Default)]
struct Memory {
    first: MemoryJournal,
    open: Mutex<Vec<MemoryJournal>>,
}

#[async_trait]
impl Storage for Memory {
    async fn open(&self) -> Result<Arc<dyn Journal>, JournalError> {
        let process = self.first.reopened();
        self.open.lock().unwrap().push(process.clone());
        Ok(Arc::new(process))
    }

    async fn end(&self, journal: Arc<dyn Journal>) {
        drop(journal);
        self.open.lock().unwrap().pop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_a_journal() {
    conformance(Memory::default).await;
}

#[derive(Debug)]
struct At(u64, Fault, Fault);

impl Faults for At {
    fn before(&self, attempt: Attempt<'_>) -> Fault {
        if attempt.expected == self.0 { self.1 } else { Fault::None }
    }

    fn after(&self, attempt: Attempt<'_>) -> Fault {
        if attempt.expected == self.0 { self.2 } else { Fault::None }
    }
}

#[tokio::test]
async fn a_failed_append_took_effect_or_not_and_the_caller_cannot_tell() {
    for (fault, written) in
        [(At(0, Fault::Fail, Fault::None), 0), (At(0, Fault::None, Fault::Fail), 1)]
    {
        let journal = MemoryJournal::new(Arc::new(fault));
        let epoch = journal.acquire("test", note(1).at).await.unwrap();
        let said = journal.append(&scope("shop"), 0, epoch, &[note(1)]).await.unwrap_err();
        assert!(matches!(said, JournalError::Unavailable { code: "TG6006", .. }));
        assert_eq!(journal.read(&scope("shop"), 0, 9).await.unwrap().len(), written);
    }
}

#[tokio::test]
async fn a_writer_that_dies_in_the_commit_leaves_what_it_wrote_to_its_successor() {
    let first = MemoryJournal::new(Arc::new(At(0, Fault::None, Fault::Hang)));
    let epoch = first.acquire("first", note(1).at).await.unwrap();
    let mut append = Box::pin({
        let first = first.clone();
        async move { first.append(&scope("shop"), 0, epoch, &[note(1)]).await }
    });
    assert!(matches!(poll_once(&mut append).await, Poll::Pending));
    let second = first.reopened();
    assert!(
        matches!(second.acquire("second", note(1).at).await, Err(JournalError::Held { holder }) if holder == "first")
    );
    drop((append, first));
    assert_eq!(second.acquire("second", note(1).at).await.unwrap(), epoch + 1);
    assert_eq!(second.read(&scope("shop"), 0, 9).await.unwrap(), [note(1)]);
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}

#[tokio::test]
async fn an_expired_writer_is_fenced_by_the_next_one() {
    let old = MemoryJournal::default();
    let epoch = old.acquire("old", note(1).at).await.unwrap();
    old.append(&scope("shop"), 0, epoch, &[note(1)]).await.unwrap();
    old.expire_lease();
    let new = old.reopened();
    let next = new.acquire("new", note(1).at).await.unwrap();
    let late = old.append(&scope("shop"), 1, epoch, &[note(2)]).await;
    assert!(matches!(late, Err(JournalError::Fenced { current, .. }) if current == next));
    new.append(&scope("shop"), 1, next, &[note(2)]).await.unwrap();
}

#[tokio::test]
async fn a_changed_event_stops_its_stream_alone() {
    let journal = MemoryJournal::default();
    let epoch = journal.acquire("test", note(1).at).await.unwrap();
    for name in ["shop", "blog"] {
        journal.append(&scope(name), 0, epoch, &[note(1), note(2)]).await.unwrap();
    }
    assert!(journal.tamper(&scope("shop"), 2, |text| text.truncate(7)));
    assert!(!journal.tamper(&scope("shop"), 3, String::clear));
    let shop = journal.read(&scope("shop"), 0, 9).await;
    assert!(matches!(shop, Err(JournalError::Damaged { what, .. }) if what.contains("entry 2")));
    assert_eq!(journal.read(&scope("blog"), 0, 9).await.unwrap().len(), 2);
    assert!(matches!(journal.verify().await, Err(JournalError::Damaged { .. })));
}
