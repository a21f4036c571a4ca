//! The kept ticks of one service: an hour and more, bounded in number and in bytes. What is lost
//! is lost from the old end, and the sequence numbers show it.

use std::collections::VecDeque;

use crate::wire::{Tick, Ticks, limits};

/// An hour of one-second ticks, and room for those that tables cut short.
const TICKS_KEPT: usize = 4_000;
/// Estimated bytes of the ticks of all services together. The hour of one busy service (two
/// revisions with some 60 filled histogram cells each) is about 6 MiB, 16 MiB where either has six
/// instances, of an idle one 2 MiB.
const BYTES_KEPT: usize = 20 * 1_048_576;

#[derive(Debug)]
pub(crate) struct Ring {
    ticks: VecDeque<Tick>,
    bytes: usize,
    next: u64,
}

impl Ring {
    /// `first` is the first sequence number.
    pub(crate) fn new(first: u64) -> Self {
        Self { ticks: VecDeque::new(), bytes: 0, next: first }
    }

    /// Goes on with kept ticks, oldest first.
    pub(crate) fn resume(next: u64, ticks: Vec<Tick>) -> Self {
        let bytes = ticks.iter().map(bytes_of).sum();
        Self { ticks: ticks.into(), bytes, next }
    }

    /// Oldest first.
    pub(crate) fn oldest(&self) -> impl Iterator<Item = &Tick> {
        self.ticks.iter()
    }

    /// The last one.
    pub(crate) fn newest(&self) -> Option<&Tick> {
        self.ticks.back()
    }

    /// Keeps a tick and gives it its number.
    pub(crate) fn push(&mut self, mut tick: Tick) {
        tick.seq = self.next;
        self.next += 1;
        self.bytes += bytes_of(&tick);
        self.ticks.push_back(tick);
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
            self.bytes -= bytes_of(&oldest);
        }
    }

    /// The number the next tick will get.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The ticks after a number, oldest first, as many as one answer holds.
    pub(crate) fn after(&self, service: &str, seq: u64) -> Ticks {
        let from = self.ticks.partition_point(|tick| tick.seq <= seq);
        let ticks = self.ticks.range(from..).take(limits::TICKS_IN_ANSWER).cloned().collect();
        Ticks {
            service: service.to_owned(),
            oldest: self.ticks.front().map(|tick| tick.seq),
            newest: self.ticks.back().map(|tick| tick.seq),
            ticks,
        }
    }
}

/// An estimate of what a tick takes in memory.
fn bytes_of(tick: &Tick) -> usize {
    let revisions = tick.revisions.iter().map(|revision| {
        let instances = revision.instances.iter();
        let of_instances = instances
            .map(|instance| size_of_val(instance) + size_of_val(instance.latency.as_slice()));
        size_of_val(revision)
            + revision.revision.len()
            + size_of_val(revision.latency.as_slice())
            + of_instances.sum::<usize>()
    });
    size_of::<Tick>() + tick.service.len() + revisions.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more_than_the_limit() {
        let mut ring = Ring::new(1_000);
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
        let answer = ring.after("s", 0);
        assert_eq!(answer.oldest, Some(1_010));
        assert_eq!(answer.newest, Some(1_000 + TICKS_KEPT as u64 + 9));
        assert_eq!(answer.ticks.len(), limits::TICKS_IN_ANSWER);
        assert_eq!(ring.after("s", ring.next() - 3).ticks.len(), 2);
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
        assert_eq!(ring.bytes, ring.ticks.iter().map(bytes_of).sum::<usize>());
    }
}
