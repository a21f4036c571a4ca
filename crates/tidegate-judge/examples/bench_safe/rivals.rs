//! Other judges, as ports of the decision logic that their projects publish.
//! Must never be slower or blinder than the original: where the original depends on its
//! surroundings, the port gets the better ones (fresh numbers, no scrape delay, no start-up).

mod argo;
mod cloudwatch;
mod documents;
mod flagger;
mod kayenta;

use std::collections::VecDeque;

use tidegate_judge::{Arm, Histogram};

use crate::family::Family;
use crate::world::{BEFORE, CELLS, SECONDS, World, share};

/// A judge that is fed one second of both releases after another.
pub(crate) trait Rival {
    /// True when it rolls back now. `second` counts from 1.
    fn second(&mut self, second: u64, candidate: &Arm, live: &Arm) -> bool;
}

/// A setting of a rival by name, and how to make it.
type Setting = (&'static str, fn() -> Box<dyn Rival>);

/// All settings, each rival's in the order default, documented, and others from fast to slow.
pub(crate) const SETTINGS: [Setting; 22] = [
    ("documents: literal rules", || Box::new(documents::Documents::default())),
    ("Flagger: default, 1 failed check of 60 s", || Box::new(flagger::Flagger::new(60, 1))),
    ("Flagger: documented, 5 checks of 60 s", || Box::new(flagger::Flagger::new(60, 5))),
    ("Flagger: documented, 10 checks of 60 s", || Box::new(flagger::Flagger::new(60, 10))),
    ("Flagger: 1 check of 10 s", || Box::new(flagger::Flagger::new(10, 1))),
    ("Flagger: 10 checks of 10 s", || Box::new(flagger::Flagger::new(10, 10))),
    ("Flagger: 30 checks of 10 s", || Box::new(flagger::Flagger::new(10, 30))),
    ("Argo: documented, 3 failures, 5 min, 95 %", || Box::new(argo::Argo::new(300, 3, 0.95))),
    ("Argo: default limit 0, 60 s, 99 %", || Box::new(argo::Argo::new(60, 0, 0.99))),
    ("Argo: 3 failures, 60 s, 95 %", || Box::new(argo::Argo::new(60, 3, 0.95))),
    ("Argo: 3 failures, 10 s, 95 %", || Box::new(argo::Argo::new(10, 3, 0.95))),
    ("Argo: 10 failures, 10 s, 95 %", || Box::new(argo::Argo::new(10, 10, 0.95))),
    ("CloudWatch: 1 of 1, 60 s", || Box::new(cloudwatch::CloudWatch::new(60, 1, 1))),
    ("CloudWatch: 3 of 3, 60 s", || Box::new(cloudwatch::CloudWatch::new(60, 3, 3))),
    ("CloudWatch: 5 of 5, 60 s", || Box::new(cloudwatch::CloudWatch::new(60, 5, 5))),
    ("CloudWatch: 3 of 3, 10 s", || Box::new(cloudwatch::CloudWatch::new(10, 3, 3))),
    ("CloudWatch: 10 of 10, 10 s", || Box::new(cloudwatch::CloudWatch::new(10, 10, 10))),
    ("CloudWatch: 30 of 30, 10 s", || Box::new(cloudwatch::CloudWatch::new(10, 30, 30))),
    ("Kayenta: default, one look at 60 min", || Box::new(kayenta::Kayenta::new(60, 0))),
    ("Kayenta: documented, 60-min looks", || Box::new(kayenta::Kayenta::new(60, 60))),
    ("Kayenta: looks every 5 min", || Box::new(kayenta::Kayenta::new(5, 0))),
    ("Kayenta: looks every 15 min", || Box::new(kayenta::Kayenta::new(15, 0))),
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

/// The counts of the last few seconds of one release.
#[derive(Debug)]
pub(crate) struct Recent {
    length: usize,
    seconds: VecDeque<(u64, u64, Histogram)>,
}

impl Recent {
    pub(crate) fn new(length: u64) -> Recent {
        Recent { length: length as usize, seconds: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, arm: &Arm) {
        if self.seconds.len() == self.length {
            self.seconds.pop_front();
        }
        self.seconds.push_back((arm.requests, arm.failures, arm.latency.clone()));
    }

    /// Share of failed requests; `None` of none.
    pub(crate) fn error_rate(&self) -> Option<f64> {
        let sum = |pick: fn(&(u64, u64, Histogram)) -> u64| -> u64 {
            self.seconds.iter().map(pick).sum()
        };
        let (requests, failures) = (sum(|second| second.0), sum(|second| second.1));
        (requests > 0).then(|| failures as f64 / requests as f64)
    }

    /// A quantile in milliseconds; `None` of none.
    pub(crate) fn quantile_ms(&self, q: f64) -> Option<f64> {
        let mut sum = Histogram::new(&CELLS);
        for (_, _, latency) in &self.seconds {
            // A second that was not measured has no cells, and adds nothing.
            if sum.merge(latency).is_err() {
                return None;
            }
        }
        sum.quantile_ms(q, &CELLS)
    }
}
