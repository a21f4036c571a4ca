//! The kept ticks of one service: an hour and more, bounded in number and in bytes. What is lost
//! is lost from the old end, and the sequence numbers show it. Seconds in which nothing happened
//! share what they say, so that a service without traffic costs next to nothing; a reader must
//! never be able to tell.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::wire::{RevisionTick, Tick, Ticks, limits};

/// An hour of one-second ticks, and room for those that tables cut short.
const TICKS_KEPT: usize = 4_000;
/// Estimated bytes of the ticks of all services together, as they are told. The hour of one busy
/// service (two revisions with some 60 filled histogram cells each) is about 6 MiB, 16 MiB where
/// either has six instances, of an idle one 2 MiB.
const BYTES_KEPT: usize = 20 * 1_048_576;

#[derive(Debug)]
pub(crate) struct Ring {
    service: String,
    ticks: VecDeque<Kept>,
    bytes: usize,
    next: u64,
}

/// One tick.
#[derive(Debug)]
struct Kept {
    seq: u64,
    at_ms: u64,
    length_ms: u64,
    what: Arc<What>,
}

/// The table in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Under {
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    pub(crate) override_sequence: Option<u64>,
}

/// What a tick says besides its time.
#[derive(Debug)]
struct What {
    under: Under,
    no_backend: u64,
    revisions: Vec<RevisionTick>,
}

impl What {
    fn is_idle(&self) -> bool {
        self.no_backend == 0 && self.revisions.iter().all(RevisionTick::is_idle)
    }

    /// An estimate of what a tick that says this takes where it is told.
    fn bytes(&self) -> usize {
        let revisions = self.revisions.iter().map(|revision| {
            let instances = revision.instances.iter();
            let of_instances = instances
                .map(|instance| size_of_val(instance) + size_of_val(instance.latency.as_slice()));
            let latency = size_of_val(revision.latency.as_slice());
            size_of_val(revision) + revision.revision.len() + latency + of_instances.sum::<usize>()
        });
        size_of::<Tick>() + revisions.sum::<usize>()
    }
}

impl Ring {
    /// `first` is the first sequence number.
    pub(crate) fn new(service: &str, first: u64) -> Self {
        Self { service: service.to_owned(), ticks: VecDeque::new(), bytes: 0, next: first }
    }

    /// Goes on with kept ticks, oldest first.
    pub(crate) fn resume(service: &str, next: u64, ticks: Vec<Tick>) -> Self {
        let mut ring = Self::new(service, next);
        for tick in ticks {
            ring.next = tick.seq;
            ring.push(tick);
        }
        ring.next = next;
        ring
    }

    /// Oldest first.
    pub(crate) fn oldest(&self) -> impl Iterator<Item = Tick> {
        self.ticks.iter().map(|kept| self.tell(kept))
    }

    /// The last one.
    pub(crate) fn newest(&self) -> Option<Tick> {
        self.ticks.back().map(|kept| self.tell(kept))
    }

    /// Keeps a tick and gives it its number.
    pub(crate) fn push(&mut self, tick: Tick) {
        let Tick { service: _, seq: _, at_ms, length_ms, .. } = tick;
        let Tick { epoch, generation, override_sequence, no_backend, revisions, .. } = tick;
        let under = Under { epoch, generation, override_sequence };
        self.keep(at_ms, length_ms, Arc::new(What { under, no_backend, revisions }));
    }

    /// Keeps a tick in which nothing happened, like the one before; false when that one had
    /// something to say, or another table.
    pub(crate) fn repeat(&mut self, under: Under, at_ms: u64, length_ms: u64) -> bool {
        let before = self.ticks.back().map(|kept| &kept.what);
        let Some(what) = before.filter(|what| what.under == under && what.is_idle()) else {
            return false;
        };
        let what = Arc::clone(what);
        self.keep(at_ms, length_ms, what);
        true
    }

    fn keep(&mut self, at_ms: u64, length_ms: u64, what: Arc<What>) {
        self.bytes += what.bytes();
        self.ticks.push_back(Kept { seq: self.next, at_ms, length_ms, what });
        self.next += 1;
        while self.ticks.len() > TICKS_KEPT {
            self.drop_oldest();
        }
    }

    /// Keeps to this service's part of the memory that `services` share.
    pub(crate) fn trim(&mut self, services: usize) {
        while self.bytes > BYTES_KEPT / services.max(1) && self.ticks.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.ticks.pop_front() {
            self.bytes -= oldest.what.bytes();
        }
    }

    /// The number the next tick will get.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The ticks after a number, oldest first, as many as one answer holds.
    pub(crate) fn after(&self, seq: u64) -> Ticks {
        let from = self.ticks.partition_point(|tick| tick.seq <= seq);
        let found = self.ticks.range(from..).take(limits::TICKS_IN_ANSWER);
        Ticks {
            service: self.service.clone(),
            oldest: self.ticks.front().map(|tick| tick.seq),
            newest: self.ticks.back().map(|tick| tick.seq),
            ticks: found.map(|kept| self.tell(kept)).collect(),
        }
    }

    fn tell(&self, kept: &Kept) -> Tick {
        let Kept { seq, at_ms, length_ms, what } = kept;
        let Under { epoch, generation, override_sequence } = what.under;
        Tick {
            service: self.service.clone(),
            seq: *seq,
            at_ms: *at_ms,
            length_ms: *length_ms,
            epoch,
            generation,
            override_sequence,
            no_backend: what.no_backend,
            revisions: what.revisions.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more_than_the_limit() {
        let mut ring = Ring::new("s", 1_000);
        let tick = Tick {
            service: "s".into(),
            seq: 0,
            at_ms: 0,
            length_ms: 1_000,
            epoch: 1,
            generation: 1,
            override_sequence: None,
            no_backend: 0,
            revisions: Vec::new(),
        };
        for _ in 0..TICKS_KEPT + 10 {
            ring.push(tick.clone());
        }
        let answer = ring.after(0);
        assert_eq!(answer.oldest, Some(1_010));
        assert_eq!(answer.newest, Some(1_000 + TICKS_KEPT as u64 + 9));
        assert_eq!(answer.ticks.len(), limits::TICKS_IN_ANSWER);
        assert_eq!(ring.after(ring.next() - 3).ticks.len(), 2);
        let mut heavy = tick;
        let latency = vec![(0, 0); 60];
        let revision = crate::wire::RevisionTick { latency, ..Default::default() };
        heavy.revisions = vec![revision.clone(), revision];
        for _ in 0..3_700 {
            ring.push(heavy.clone());
        }
        ring.trim(3);
        assert!(ring.ticks.len() >= 3_600, "an hour of a busy service: {}", ring.ticks.len());
        ring.trim(30);
        assert!((400..600).contains(&ring.ticks.len()), "{}", ring.ticks.len());
        assert_eq!(ring.bytes, ring.ticks.iter().map(|kept| kept.what.bytes()).sum::<usize>());
    }

    #[test]
    fn seconds_without_traffic_are_told_as_those_with_it() {
        let idle = |at: u64| Tick {
            service: "s".into(),
            seq: at,
            at_ms: 1_000 * at,
            length_ms: 1_000 + at % 2,
            epoch: 1,
            generation: 2,
            override_sequence: None,
            no_backend: 0,
            revisions: vec![RevisionTick { revision: "live".into(), ..RevisionTick::default() }],
        };
        let under = Under { epoch: 1, generation: 2, override_sequence: None };
        let mut ring = Ring::new("s", 0);
        assert!(!ring.repeat(under, 0, 1_000), "there is nothing to be like");
        ring.push(idle(0));
        assert!(ring.repeat(under, 1_000, 1_001));
        assert!(ring.repeat(under, 2_000, 1_000));
        assert!(Arc::ptr_eq(&ring.ticks[0].what, &ring.ticks[2].what));
        assert_eq!(ring.after(0).ticks, [idle(1), idle(2)]);
        let resumed = Ring::resume("s", ring.next(), ring.oldest().collect());
        assert_eq!((resumed.next(), resumed.after(0)), (3, ring.after(0)));
        let mut other = under;
        other.generation = 3;
        assert!(!ring.repeat(other, 3_000, 1_000), "another table");
        let mut busy = idle(3);
        busy.revisions[0].tunnels = 1;
        ring.push(busy);
        assert!(!ring.repeat(under, 4_000, 1_000), "a tunnel is open");
        assert_eq!(ring.next(), 4, "what was refused has no number");
    }
}
