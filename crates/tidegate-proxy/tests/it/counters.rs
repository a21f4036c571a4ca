//! The sharded counters under every order of their steps: `loom` runs the product's own file.
//! Two shards count while a tick is cut; what one call does not have, the next one does.

use loom::sync::Arc;
use loom::thread;

/// What the counters are made of here.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../../src/shard.rs"]
mod shard;

use shard::Sharded;

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
