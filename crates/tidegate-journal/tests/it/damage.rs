//! A hand on the file: whatever is changed, removed, moved or cut is found and named.

use std::fs;

use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;
use tidegate_core::event::Ending;
use tidegate_engine::ports::{Journal as _, Snapshot};
use tidegate_engine::testkit::journal_suite::{ended, note, started};
use tidegate_journal::Sqlite;

use crate::fixture::{
    blog, change, damage, dir, file, fill, open, raw, shop, unavailable, written,
};

/// Changes a written journal and says what `verify` finds.
async fn found_after(statement: &str) -> (&'static str, String) {
    let dir = written().await;
    change(dir.path(), statement).await;
    let journal = Sqlite::open(dir.path()).await.unwrap();
    let found = damage(journal.verify().await);
    journal.close().await.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_journal_is_whole() {
    let dir = written().await;
    let journal = Sqlite::open(dir.path()).await.unwrap();
    assert_eq!(journal.verify().await.unwrap().events, 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_changed_column_of_an_event_is_named() {
    let changes = [
        "payload = replace(payload, 'passed', 'passes')",
        "payload = payload || ' '",
        "payload = ''",
        "at_us = at_us + 1",
        "epoch = epoch + 1",
        "actor = 'tidegate'",
        "kind = 'step_passed'",
        "schema = 2",
        "leaf = zeroblob(32)",
        "leaf = x''",
    ];
    for assignment in changes {
        let update =
            format!("UPDATE events SET {assignment} WHERE stream = 'shop/production' AND seq = 7");
        let (code, what) = found_after(&update).await;
        assert_eq!(code, "TG6010", "{assignment}: {what}");
        assert!(what.starts_with("shop/production entry 7: "), "{assignment}: {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_event_is_named_wherever_it_stood() {
    for seq in [1, 5, 12] {
        let removal =
            format!("DELETE FROM events WHERE stream = 'shop/production' AND seq = {seq}");
        let (code, what) = found_after(&removal).await;
        assert_eq!(code, "TG6011", "{what}");
        assert_eq!(what, format!("shop/production entry {seq} is missing"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_stream_is_named() {
    let removal = "DELETE FROM events WHERE stream = 'blog/production'; \
                   DELETE FROM streams WHERE stream = 'blog/production'";
    let (code, what) = found_after(removal).await;
    // Nothing says any more whose it was; the place is still empty.
    assert_eq!(code, "TG6011", "{what}");
    assert_eq!(what, "the entry at position 3 is missing, before shop/production entry 4");
    let unlisted = "DELETE FROM streams WHERE stream = 'blog/production'";
    let (_, what) = found_after(unlisted).await;
    assert!(what.starts_with("blog/production entry 5"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_another_order_are_named() {
    let swapped_rows = "UPDATE events SET position = 1000 WHERE position = 2; \
                        UPDATE events SET position = 2 WHERE position = 3; \
                        UPDATE events SET position = 3 WHERE position = 1000";
    let (code, what) = found_after(swapped_rows).await;
    assert!(what.starts_with("the first 17 entries are not those"), "{code}: {what}");

    let same_stream = "UPDATE events SET position = 1000 WHERE position = 0; \
                       UPDATE events SET position = 0 WHERE position = 1; \
                       UPDATE events SET position = 1 WHERE position = 1000";
    let (code, what) = found_after(same_stream).await;
    assert_eq!((code, what.as_str()), ("TG6011", "shop/production entry 1 is missing"));

    let swapped_content = "UPDATE events SET seq = 1000 WHERE position = 0; \
                           UPDATE events SET seq = 1 WHERE position = 1; \
                           UPDATE events SET seq = 2 WHERE position = 0";
    let (code, _) = found_after(swapped_content).await;
    assert_eq!(code, "TG6010");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_never_written_is_named() {
    let copy = "INSERT INTO events SELECT 17, stream, 13, epoch, at_us, kind, schema, actor, \
                payload, leaf FROM events WHERE position = 0";
    let (code, what) = found_after(copy).await;
    assert_eq!(code, "TG6010", "{what}");
    assert!(what.starts_with("shop/production entry 13: "), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_and_lists_that_do_not_follow_are_named() {
    let (_, what) = found_after("UPDATE streams SET head = 11 WHERE head = 12").await;
    assert!(what.starts_with("shop/production entry 12 lies behind the end"), "{what}");
    let (_, what) = found_after("UPDATE streams SET head = 13 WHERE head = 12").await;
    assert_eq!(what, "shop/production entry 13 is missing");

    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    journal.append(&shop(), 0, epoch, &started("shop", 1, "d-1")).await.unwrap();
    journal.append(&shop(), 1, epoch, &ended(2, "d-1", Ending::RolledBack)).await.unwrap();
    journal.append(&shop(), 2, epoch, &started("shop", 3, "d-2")).await.unwrap();
    journal.close().await.unwrap();
    let statements = [
        ("UPDATE deployments SET ending = 'succeeded' WHERE deployment = 'd-1'", "d-1"),
        (
            "UPDATE deployments SET ending = 'rolled_back', why = 'no' WHERE deployment = 'd-1'",
            "d-1",
        ),
        (
            "UPDATE deployments SET why = 'it was time' WHERE deployment = 'd-1'; \
          DELETE FROM deployments WHERE deployment = 'd-2'",
            "d-2",
        ),
    ];
    for (statement, id) in statements {
        change(dir.path(), statement).await;
        let journal = Sqlite::open(dir.path()).await.unwrap();
        let (code, what) = damage(journal.verify().await);
        assert_eq!(code, "TG6015");
        assert!(what.contains(&format!("deployment {id} ")), "{what}");
        journal.close().await.unwrap();
    }
}

/// Somebody who knows the format replaces an event together with its leaf.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_exchanged_with_its_leaf_does_not_fit_the_tree() {
    let dir = written().await;
    let payload = serde_json::to_string(&{
        let mut other = note(7);
        other.key = Some("forged".to_owned());
        other
    });
    let payload = payload.unwrap();
    forge(
        dir.path(),
        &Row { seq: 7, position: 7, kind: "phase_entered", schema: 1, payload },
        true,
    )
    .await;
    let journal = Sqlite::open(dir.path()).await.unwrap();
    // Row for row it is a journal; only the tree knows better.
    assert_eq!(journal.read(&shop(), 6, 1).await.unwrap()[0].key.as_deref(), Some("forged"));
    let (code, what) = damage(journal.verify().await);
    assert_eq!(code, "TG6013");
    assert!(what.starts_with("the first 17 entries are not those"), "{what}");
}

/// In a long journal the roots that were kept on the way say about where.
#[tokio::test(flavor = "multi_thread")]
async fn roots_on_the_way_narrow_down_the_place() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    for first in (0..3_500).step_by(500) {
        let events: Vec<_> = (first + 1..=first + 500).map(note).collect();
        journal.append(&shop(), first, epoch, &events).await.unwrap();
    }
    journal.verify().await.unwrap();
    journal.close().await.unwrap();
    let mut other = note(1_700);
    other.key = None;
    let payload = serde_json::to_string(&other).unwrap();
    let row = Row { seq: 1_700, position: 1_699, kind: "phase_entered", schema: 1, payload };
    forge(dir.path(), &row, true).await;
    let journal = Sqlite::open(dir.path()).await.unwrap();
    let (code, what) = damage(journal.verify().await);
    assert_eq!(code, "TG6013");
    assert!(what.starts_with("the first 2000 entries are not those"), "{what}");
}

/// The checkpoint outside follows a journal that nobody closes.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_written_while_the_journal_is_open() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    let checkpoint = dir.path().join("journal.checkpoint");
    let events: Vec<_> = (1..=1_000).map(note).collect();
    journal.append(&shop(), 0, epoch, &events).await.unwrap();
    // The next append is taken after the checkpoint of the one before it.
    journal.append(&shop(), 1_000, epoch, &[note(1_001)]).await.unwrap();
    let text = fs::read_to_string(&checkpoint).unwrap();
    assert!(text.contains("\nsize 1000\n"), "{text}");
    // Killed here, it opens again with more entries than the checkpoint knows.
    let copy = tempfile::tempdir().unwrap();
    for name in ["journal.sqlite", "journal.sqlite-wal", "journal.checkpoint"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let opened = Sqlite::open(copy.path()).await.unwrap();
    assert_eq!(opened.verify().await.unwrap().events, 1_001);
}

/// The tree as well: only what is kept outside the database is left to say so.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchanged_database_does_not_fit_its_checkpoint() {
    let (ours, theirs) = (written().await, dir());
    let (journal, epoch) = open(theirs.path()).await;
    fill(&journal, epoch, &blog(), 17).await;
    journal.close().await.unwrap();
    fs::copy(file(theirs.path()), file(ours.path())).unwrap();
    let (code, what) = damage(Sqlite::open(ours.path()).await);
    assert_eq!(code, "TG6013");
    assert_eq!(what, "the journal's 17 entries are not those of its checkpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_older_copy_is_refused_and_its_epoch_is_never_given_again() {
    let (dir, copy) = (dir(), dir());
    let (journal, epoch) = open(dir.path()).await;
    fill(&journal, epoch, &shop(), 5).await;
    journal.close().await.unwrap();
    fs::copy(file(dir.path()), copy.path().join("kept")).unwrap();
    for _ in 0..3 {
        let (journal, epoch) = open(dir.path()).await;
        fill(&journal, epoch, &shop(), 9).await;
        journal.close().await.unwrap();
    }
    fs::copy(copy.path().join("kept"), file(dir.path())).unwrap();
    let (code, what) = damage(Sqlite::open(dir.path()).await);
    assert_eq!(code, "TG6013");
    assert_eq!(what, "the journal has 5 entries, its checkpoint was made of 9");

    // Its owner insists, and keeps what the epochs were.
    let checkpoint = dir.path().join("journal.checkpoint");
    let kept = fs::read_to_string(&checkpoint).unwrap();
    assert!(kept.ends_with("epoch 4\n"), "{kept}");
    fs::remove_file(&checkpoint).unwrap();
    let (journal, epoch) = open(dir.path()).await;
    assert_eq!(epoch, 2, "nothing is left that knows of the later ones");
    journal.close().await.unwrap();
    let lower = fs::read_to_string(&checkpoint).unwrap();
    fs::write(&checkpoint, lower.replace("epoch 2\n", "epoch 4\n")).unwrap();
    let (journal, epoch) = open(dir.path()).await;
    assert_eq!(epoch, 5);
    assert_eq!(journal.read(&shop(), 0, 99).await.unwrap().len(), 5);
}

/// The state of a disk after a power cut, without the log that SQLite had not folded in yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_log_is_found() {
    let (dir, cut) = (dir(), dir());
    let (journal, epoch) = open(dir.path()).await;
    fill(&journal, epoch, &shop(), 5).await;
    journal.close().await.unwrap();
    let (journal, _) = open(dir.path()).await;
    for name in ["journal.sqlite", "journal.sqlite-wal", "journal.checkpoint"] {
        fs::copy(dir.path().join(name), cut.path().join(name)).unwrap();
    }
    journal.close().await.unwrap();
    // With its log the copy is whole.
    let whole = Sqlite::open(cut.path()).await.unwrap();
    whole.verify().await.unwrap();
    whole.close().await.unwrap();

    let (journal, epoch) = open(dir.path()).await;
    fill(&journal, epoch, &shop(), 40).await;
    let before = fs::read(dir.path().join("journal.sqlite")).unwrap();
    let log = fs::read(dir.path().join("journal.sqlite-wal")).unwrap();
    journal.close().await.unwrap();
    for kept in [0, log.len() / 2] {
        let cut = tempfile::tempdir().unwrap();
        fs::write(file(cut.path()), &before).unwrap();
        fs::write(cut.path().join("journal.sqlite-wal"), &log[..kept]).unwrap();
        fs::copy(dir.path().join("journal.checkpoint"), cut.path().join("journal.checkpoint"))
            .unwrap();
        let (code, what) = damage(Sqlite::open(cut.path()).await);
        assert_eq!(code, "TG6013", "{what}");
        assert!(what.ends_with("its checkpoint was made of 40"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_event_stops_its_stream_alone() {
    let dir = written().await;
    let update = "UPDATE events SET payload = substr(payload, 1, 20) \
                  WHERE stream = 'shop/production' AND seq = 7";
    change(dir.path(), update).await;
    let (journal, epoch) = open(dir.path()).await;
    let (code, what) = damage(journal.read(&shop(), 0, 99).await);
    assert_eq!(code, "TG6010");
    assert!(what.starts_with("shop/production entry 7: "), "{what}");
    assert_eq!(journal.read(&shop(), 0, 6).await.unwrap().len(), 6, "up to it");
    assert_eq!(journal.read(&shop(), 7, 99).await.unwrap().len(), 5, "and after it");
    fill(&journal, epoch, &blog(), 9).await;
    assert_eq!(journal.read(&blog(), 0, 99).await.unwrap().len(), 9);
    assert_eq!(journal.streams().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_and_a_cut_are_seen_by_whoever_reads_the_stream() {
    for (seq, read_after) in [(5, 0), (12, 0), (12, 11)] {
        let dir = written().await;
        let removal =
            format!("DELETE FROM events WHERE stream = 'shop/production' AND seq = {seq}");
        change(dir.path(), &removal).await;
        let journal = Sqlite::open(dir.path()).await.unwrap();
        let (code, what) = damage(journal.read(&shop(), read_after, 99).await);
        assert_eq!((code, what), ("TG6011", format!("shop/production entry {seq} is missing")));
        assert_eq!(journal.read(&blog(), 0, 99).await.unwrap().len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_tidegate_wrote_stops_its_stream_alone() {
    let payload = serde_json::to_string(&note(13)).unwrap();
    let rows = [
        (
            Row { seq: 13, position: 17, kind: "moon_landed", schema: 1, payload: payload.clone() },
            "the kind `moon_landed` is unknown",
        ),
        (Row { seq: 13, position: 17, kind: "phase_entered", schema: 2, payload }, "its schema 2"),
    ];
    for (row, says) in rows {
        let dir = written().await;
        forge(dir.path(), &row, false).await;
        let journal = Sqlite::open(dir.path()).await.unwrap();
        let (code, what) = damage(journal.read(&shop(), 0, 99).await);
        assert_eq!(code, "TG6012");
        assert!(what.starts_with(&format!("shop/production entry 13: {says}")), "{what}");
        assert_eq!(journal.read(&blog(), 0, 99).await.unwrap().len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_end_is_refused_unread() {
    let dir = written().await;
    let huge = "UPDATE events SET payload = CAST(zeroblob(50000000) AS TEXT) WHERE position = 0";
    change(dir.path(), huge).await;
    let journal = Sqlite::open(dir.path()).await.unwrap();
    let (code, what) = damage(journal.read(&shop(), 0, 99).await);
    assert_eq!(code, "TG6010");
    assert_eq!(what, "shop/production entry 1: it has more than 1048576 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_snapshot_is_none() {
    let dir = written().await;
    let (journal, _) = open(dir.path()).await;
    let snapshot = Snapshot { seq: 12, schema: 1, bytes: b"all is well".to_vec() };
    for statement in [
        "UPDATE snapshots SET bytes = CAST('all is lost' AS BLOB)",
        "UPDATE snapshots SET seq = 11",
        "UPDATE snapshots SET schema = -1",
        "UPDATE snapshots SET bytes = zeroblob(100000000)",
    ] {
        journal.put_snapshot(&shop(), &snapshot).await.unwrap();
        assert_eq!(journal.snapshot(&shop()).await.unwrap().as_ref(), Some(&snapshot));
        change(dir.path(), statement).await;
        assert_eq!(journal.snapshot(&shop()).await.unwrap(), None, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_tree_takes_no_more_events() {
    let dir = written().await;
    change(dir.path(), "UPDATE tree SET root = zeroblob(32)").await;
    let (code, what) = damage(Sqlite::open(dir.path()).await);
    assert_eq!(code, "TG6010", "{what}");
    let dir = written().await;
    let journal = Sqlite::open(dir.path()).await.unwrap();
    let epoch = journal.acquire("test", note(1).at).await.unwrap();
    change(dir.path(), "UPDATE tree SET size = 4").await;
    let (code, _) = damage(journal.append(&shop(), 12, epoch, &[note(13)]).await);
    assert_eq!(code, "TG6010");
}

/// Even an open journal is not turned back: the next append is refused, and the checkpoint stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_put_back_takes_no_more_events() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    fill(&journal, epoch, &shop(), 5).await;
    let keep = "CREATE TABLE kept AS SELECT * FROM tree";
    sqlx::query(keep).execute(&mut raw(dir.path()).await).await.unwrap();
    fill(&journal, epoch, &shop(), 8).await;
    let back = "DELETE FROM events WHERE position >= 5; UPDATE streams SET head = 5; \
                DELETE FROM tree; INSERT INTO tree SELECT * FROM kept";
    change(dir.path(), back).await;
    let (code, what) = damage(journal.append(&shop(), 5, epoch, &[note(6)]).await);
    assert_eq!(code, "TG6013");
    assert_eq!(what, "the journal has 5 entries, its checkpoint was made of 8");
    journal.close().await.unwrap();
    assert_eq!(damage(Sqlite::open(dir.path()).await).1, what);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_hand_cannot_change_an_event() {
    let dir = written().await;
    let mut connection = {
        use sqlx::ConnectOptions as _;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file(dir.path()));
        options.connect().await.unwrap()
    };
    for statement in ["UPDATE events SET seq = 9", "DELETE FROM events"] {
        let refused = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
        assert!(refused.to_string().contains("events are never"), "{refused}");
    }
    connection.close().await.unwrap();
    let journal = Sqlite::open(dir.path()).await.unwrap();
    journal.verify().await.unwrap();
    assert_eq!(unavailable(journal.append(&shop(), 0, 0, &[note(2)]).await).0, "TG6008");
}

/// A row of the stream `shop/production`, as anyone who knows the format can make it.
struct Row {
    seq: i64,
    position: i64,
    kind: &'static str,
    schema: u32,
    payload: String,
}

/// Puts the row in with a right leaf, computed here from the description of the format alone.
async fn forge(dir: &std::path::Path, row: &Row, instead: bool) {
    let at_us = note(row.seq.unsigned_abs()).at.as_microsecond();
    let mut leaf = Sha256::new();
    leaf.update([0]);
    leaf.update(b"tidegate.event.v1\0");
    let fields: [&[u8]; 8] = [
        b"shop/production",
        &row.seq.to_be_bytes(),
        &1_u64.to_be_bytes(),
        &at_us.to_be_bytes(),
        row.kind.as_bytes(),
        &row.schema.to_be_bytes(),
        b"person:ada",
        row.payload.as_bytes(),
    ];
    for field in fields {
        leaf.update((field.len() as u64).to_be_bytes());
        leaf.update(field);
    }
    let leaf: [u8; 32] = leaf.finalize().into();
    let mut connection = raw(dir).await;
    let forged = if instead {
        sqlx::query("UPDATE events SET payload = $1, leaf = $2 WHERE position = $3 AND seq = $4")
            .bind(&row.payload)
            .bind(leaf.as_slice())
            .bind(row.position)
            .bind(row.seq)
    } else {
        sqlx::query(
            "INSERT INTO events VALUES ($1, 'shop/production', $2, 1, $3, $4, $5, 'person:ada', \
             $6, $7)",
        )
        .bind(row.position)
        .bind(row.seq)
        .bind(at_us)
        .bind(row.kind)
        .bind(i64::from(row.schema))
        .bind(&row.payload)
        .bind(leaf.as_slice())
    };
    assert_eq!(forged.execute(&mut connection).await.unwrap().rows_affected(), 1);
    connection.close().await.unwrap();
}
