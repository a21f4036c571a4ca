//! The sharded counters and histograms under every order of their steps: `loom` runs the product's own
//! files.
//! Two shards count while a tick is cut; what one call does not have, the next one does.

use loom::sync::Arc;
use loom::thread;

/// What the counters are made of here.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

#[path = "../../src/shard.rs"]
mod shard;
#[path = "../../src/tally.rs"]
mod tally;

use shard::Sharded;
use tally::Tally;

#[test]
fn no_count_is_lost_or_doubled_whenever_a_tick_is_cut() {
    loom::model(|| {
        let counters = Arc::new(Sharded::<2>::new(2));
        let writers = [0, 1].map(|shard| {
            let counters = Arc::clone(&counters);
            thread::spawn(move || {
                counters.add(shard, 0, 1);
                counters.add(shard, 1, 1);
                counters.add(shard, 0, 1);
                counters.sub(1 - shard, 1, 1);
            })
        });
        let first = counters.take(0);
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(first + counters.take(0), 4);
        assert_eq!(counters.take(0), 0);
        // A gauge that one shard raises and another lowers is at zero in the end.
        assert_eq!(counters.sum(1), 0);
    });
}

#[test]
fn two_writers_on_one_shard_lose_nothing() {
    loom::model(|| {
        let counters = Arc::new(Sharded::<1>::new(1));
        let writers = [3, 7].map(|shard| {
            let counters = Arc::clone(&counters);
            thread::spawn(move || counters.add(shard, 0, 1))
        });
        let first = counters.take(0);
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(first + counters.take(0), 2);
    });
}

#[test]
fn whoever_is_quiet_has_nothing_left_to_take() {
    loom::model(|| {
        let counters = Arc::new(Sharded::<2>::new(2));
        let writer = {
            let counters = Arc::clone(&counters);
            thread::spawn(move || counters.add(1, 0, 1))
        };
        // Passed over or taken: either way it is there the next time, once.
        let early = if counters.is_quiet(1) { 0 } else { counters.take(0) };
        writer.join().unwrap();
        assert_eq!(counters.is_quiet(1), early == 1);
        assert_eq!(early + counters.take(0), 1);
        counters.add(0, 1, 1);
        assert!(counters.is_quiet(1), "the others are not asked");
    });
}

#[test]
fn no_latency_is_left_behind_by_a_reader_between_marks_and_counts() {
    loom::model(|| {
        let tally = Arc::new(Tally::new(70, 2));
        let writer = {
            let tally = Arc::clone(&tally);
            thread::spawn(move || {
                tally.add(0, 3);
                tally.add(1, 3);
                tally.add(0, 69);
                tally.add(0, 3);
            })
        };
        let mut all = tally.take();
        writer.join().unwrap();
        all.extend(tally.take());
        let of =
            |cell| all.iter().filter(|found| found.0 == cell).map(|found| found.1).sum::<u32>();
        assert_eq!((of(3), of(69)), (3, 1));
        assert_eq!(tally.take(), []);
    });
}
