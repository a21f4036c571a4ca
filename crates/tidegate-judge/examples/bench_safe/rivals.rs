//! Other judges, as ports of the decision logic that their projects publish.
//! Must never be slower or blinder than the original: where the original depends on its
//! surroundings, the port gets the better ones (fresh numbers, no scrape delay, no start-up).

mod argo;
mod cloudwatch;
mod documents;
mod flagger;
mod kayenta;

use std::collections::VecDeque;

use tidegate_judge::Arm;

use crate::family::Family;
use crate::world::{BEFORE, CELLS, SECONDS, World, share};

/// A judge that is fed one second of both releases after another.
pub(crate) trait Rival {
    /// True when it rolls back now. `second` counts from 1.
    fn second(&mut self, second: u64, candidate: &Arm, live: &Arm) -> bool;
}

/// A setting of a rival by name, and how to make it.
type Setting = (&'static str, fn() -> Box<dyn Rival>);

/// All settings, each rival's in the order default, documented, and others from fast to slow; then
/// those found by search that hold 1 % false rollbacks themselves, the fastest of each.
pub(crate) const SETTINGS: [Setting; 33] = [
    ("documents: literal rules", || Box::new(documents::Documents::new((0.01, 500.0)))),
    ("Flagger: default, 1 failed check of 60 s", || {
        Box::new(flagger::Flagger::new(60, 1, flagger::DOCUMENTED))
    }),
    ("Flagger: documented, 5 checks of 60 s", || {
        Box::new(flagger::Flagger::new(60, 5, flagger::DOCUMENTED))
    }),
    ("Flagger: documented, 10 checks of 60 s", || {
        Box::new(flagger::Flagger::new(60, 10, flagger::DOCUMENTED))
    }),
    ("Flagger: 1 check of 10 s", || Box::new(flagger::Flagger::new(10, 1, flagger::DOCUMENTED))),
    ("Flagger: 10 checks of 10 s", || Box::new(flagger::Flagger::new(10, 10, flagger::DOCUMENTED))),
    ("Flagger: 30 checks of 10 s", || Box::new(flagger::Flagger::new(10, 30, flagger::DOCUMENTED))),
    ("Argo: documented, 3 failures, 5 min, 95 %", || Box::new(argo::Argo::new(300, 3, 0.95))),
    ("Argo: default limit 0, 60 s, 99 %", || Box::new(argo::Argo::new(60, 0, 0.99))),
    ("Argo: 3 failures, 60 s, 95 %", || Box::new(argo::Argo::new(60, 3, 0.95))),
    ("Argo: 3 failures, 10 s, 95 %", || Box::new(argo::Argo::new(10, 3, 0.95))),
    ("Argo: 10 failures, 10 s, 95 %", || Box::new(argo::Argo::new(10, 10, 0.95))),
    ("CloudWatch: 1 of 1, 60 s", || {
        Box::new(cloudwatch::CloudWatch::new(60, 1, 1, cloudwatch::USUAL))
    }),
    ("CloudWatch: 3 of 3, 60 s", || {
        Box::new(cloudwatch::CloudWatch::new(60, 3, 3, cloudwatch::USUAL))
    }),
    ("CloudWatch: 5 of 5, 60 s", || {
        Box::new(cloudwatch::CloudWatch::new(60, 5, 5, cloudwatch::USUAL))
    }),
    ("CloudWatch: 3 of 3, 10 s", || {
        Box::new(cloudwatch::CloudWatch::new(10, 3, 3, cloudwatch::USUAL))
    }),
    ("CloudWatch: 10 of 10, 10 s", || {
        Box::new(cloudwatch::CloudWatch::new(10, 10, 10, cloudwatch::USUAL))
    }),
    ("CloudWatch: 30 of 30, 10 s", || {
        Box::new(cloudwatch::CloudWatch::new(10, 30, 30, cloudwatch::USUAL))
    }),
    ("Kayenta: default, one look at 60 min", || Box::new(kayenta::Kayenta::new(60, 0, 1.0))),
    ("Kayenta: documented, 60-min looks", || Box::new(kayenta::Kayenta::new(60, 60, 1.0))),
    ("Kayenta: looks every 5 min", || Box::new(kayenta::Kayenta::new(5, 0, 1.0))),
    ("Kayenta: looks every 15 min", || Box::new(kayenta::Kayenta::new(15, 0, 1.0))),
    ("documents: errors above 10 %", || Box::new(documents::Documents::new((0.1, 500.0)))),
    ("Flagger: 10 checks of 60 s, success 90 %, p99 1.5 s", || {
        Box::new(flagger::Flagger::new(60, 10, (90.0, 1_500.0)))
    }),
    ("Flagger: 30 checks of 10 s, success 80 %, p99 1.5 s", || {
        Box::new(flagger::Flagger::new(10, 30, (80.0, 1_500.0)))
    }),
    ("Argo: 5 failures, 60 s, 80 %", || Box::new(argo::Argo::new(60, 5, 0.8))),
    ("Argo: 10 failures, 60 s, 90 %", || Box::new(argo::Argo::new(60, 10, 0.9))),
    ("Argo: 30 failures, 10 s, 80 %", || Box::new(argo::Argo::new(10, 30, 0.8))),
    ("CloudWatch: 3 of 3, 60 s, errors 20 %", || {
        Box::new(cloudwatch::CloudWatch::new(60, 3, 3, (0.2, 500.0)))
    }),
    ("CloudWatch: 5 of 5, 60 s, errors 20 %", || {
        Box::new(cloudwatch::CloudWatch::new(60, 5, 5, (0.2, 500.0)))
    }),
    ("CloudWatch: 20 of 20, 10 s, errors 10 %", || {
        Box::new(cloudwatch::CloudWatch::new(10, 20, 20, (0.1, 500.0)))
    }),
    ("Kayenta: looks every 10 min, increase x10", || Box::new(kayenta::Kayenta::new(10, 0, 10.0))),
    ("Kayenta: looks every 30 min, increase x8", || Box::new(kayenta::Kayenta::new(30, 0, 8.0))),
];

/// For every setting the second in which it rolled back.
pub(crate) fn rollout(family: &Family, rps: f64, replica: u64) -> Vec<Option<u64>> {
    let mut world = World::new(family, rps, replica);
    for second in 0..BEFORE {
        world.second(second, 0.0, (second + 1) * 1_000);
    }
    let mut rivals: Vec<Box<dyn Rival>> = SETTINGS.iter().map(|(_, make)| make()).collect();
    let mut ends = vec![None; rivals.len()];
    for second in 0..SECONDS {
        let tick = world.second(second, share(second), (BEFORE + second + 1) * 1_000);
        let empty = Arm::default();
        let candidate = tick.candidate.as_ref().unwrap_or(&empty);
        let live = tick.live.as_ref().unwrap_or(&empty);
        for (rival, end) in rivals.iter_mut().zip(&mut ends) {
            if end.is_none() && rival.second(second + 1, candidate, live) {
                *end = Some(second + 1);
            }
        }
        if ends.iter().all(Option::is_some) {
            break;
        }
    }
    ends
}

/// One second: requests, failures and the cells with their counts.
type Second = (u64, u64, Vec<(usize, u32)>);

/// The counts of the last few seconds of one release.
#[derive(Debug)]
pub(crate) struct Recent {
    length: usize,
    seconds: VecDeque<Second>,
    requests: u64,
    failures: u64,
    cells: Vec<u32>,
}

impl Recent {
    pub(crate) fn new(length: u64) -> Recent {
        Recent {
            length: length as usize,
            seconds: VecDeque::new(),
            requests: 0,
            failures: 0,
            cells: vec![0; CELLS.len()],
        }
    }

    pub(crate) fn add(&mut self, arm: &Arm) {
        if self.seconds.len() == self.length
            && let Some((requests, failures, cells)) = self.seconds.pop_front()
        {
            self.requests -= requests;
            self.failures -= failures;
            for (cell, count) in cells {
                self.cells[cell] -= count;
            }
        }
        let counted = arm.latency.counts().iter().copied().enumerate();
        let cells: Vec<(usize, u32)> = counted.filter(|(_, count)| *count > 0).collect();
        self.requests += arm.requests;
        self.failures += arm.failures;
        for (cell, count) in &cells {
            self.cells[*cell] += count;
        }
        self.seconds.push_back((arm.requests, arm.failures, cells));
    }

    /// Share of failed requests; `None` of none.
    pub(crate) fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.failures as f64 / self.requests as f64)
    }

    /// A quantile in milliseconds; `None` of none.
    pub(crate) fn quantile_ms(&self, q: f64) -> Option<f64> {
        let total: u64 = self.cells.iter().map(|count| u64::from(*count)).sum();
        let mut seen = 0;
        let found = self.cells.iter().position(|count| {
            seen += u64::from(*count);
            seen as f64 >= q * total as f64
        });
        found.filter(|_| total > 0).map(|cell| CELLS.upper_ms(cell))
    }
}
