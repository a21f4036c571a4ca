//! Numbers that other systems measure: asks for each side in turn and keeps what is fresh.
//! Must never keep an old value alive: what is stale, from the future or refused is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::ids::{PartName, Scope};
use tidegate_core::plan::Source;
use tokio::task::JoinSet;

use super::{Course, Side};
use crate::ports::{Failure, MetricSide, Ports, Sample};

/// A value stamped so far ahead of our clock comes from a clock that cannot be believed.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(10);

/// Which value: index of the source, part, and whether it is the candidate's.
type Key = (usize, PartName, bool);

/// The newest values of one deployment.
#[derive(Debug)]
pub(super) struct Gauges {
    scope: Scope,
    values: BTreeMap<Key, Sample>,
    asked: BTreeMap<Key, Timestamp>,
    answers: JoinSet<(Key, Result<Sample, Failure>)>,
}

impl Gauges {
    pub(super) fn new(scope: Scope) -> Self {
        let (values, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { scope, values, asked, answers: JoinSet::new() }
    }

    /// Takes the answers that are there and asks for what is due, without waiting for either.
    pub(super) fn ask(&mut self, ports: &Ports, course: &Course) {
        while let Some(answer) = self.answers.try_join_next() {
            let Ok((key, answer)) = answer else { continue };
            match answer {
                Ok(sample) => {
                    self.values.insert(key, sample);
                }
                Err(failure) => {
                    tracing::warn!(scope = %self.scope, part = %key.1, %failure, "a metric cannot be read");
                    self.values.remove(&key);
                }
            }
        }
        let now = ports.clock.now();
        for (index, source) in course.plan.traffic.judging.sources.iter().enumerate() {
            for (part, sides) in &course.sides {
                let both = [(true, Some(&sides.candidate)), (false, sides.live.as_ref())];
                for (candidate, side) in both {
                    let Some(side) = side else { continue };
                    let key = (index, part.clone(), candidate);
                    let due = self
                        .asked
                        .get(&key)
                        .is_none_or(|asked| now.duration_since(*asked) >= source.every);
                    if due {
                        self.asked.insert(key.clone(), now);
                        self.question(ports, source.clone(), key, side);
                    }
                }
            }
        }
    }

    fn question(&mut self, ports: &Ports, source: Source, key: Key, side: &Side) {
        let metrics = ports.metrics.clone();
        let asked = MetricSide {
            place: side.place.clone(),
            version: side.version.clone(),
            revision: side.revision.clone(),
        };
        self.answers.spawn(async move {
            let limit = Duration::try_from(source.timeout).unwrap_or(Duration::ZERO);
            let answer = match tokio::time::timeout(limit, metrics.read(&source, &asked)).await {
                Ok(answer) => answer,
                Err(_elapsed) => Err(Failure::retryable(
                    "TG4401",
                    format!("`{}` had no answer within {limit:?}", source.name),
                )),
            };
            (key, answer)
        });
    }

    /// The values of a part at `now`: the candidate's and the live side's, in the order of the
    /// plan's sources.
    pub(super) fn values(
        &self,
        course: &Course,
        part: &PartName,
        now: Timestamp,
    ) -> (Vec<Option<f64>>, Vec<Option<f64>>) {
        let sources = &course.plan.traffic.judging.sources;
        let of = |candidate: bool| {
            let values = sources.iter().enumerate().map(|(index, source)| {
                let sample = self.values.get(&(index, part.clone(), candidate))?;
                let age = now.duration_since(sample.at);
                (age <= source.stale_after && age >= -AHEAD_MAX).then_some(sample.value)
            });
            values.collect()
        };
        (of(true), of(false))
    }
}
