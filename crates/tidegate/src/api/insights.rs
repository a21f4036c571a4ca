//! Numbers of delivery: how often, how long, how often back, how quickly safe, and what people and
//! gates had to do with it. Every number says what was counted.
//! Must never rank people, nor fill in what no event says.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tidegate_core::event::{Ending, Event, Recorded};
use tidegate_core::state::{Phase, Stage};
use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::DeploymentRow;
use utoipa::IntoParams;

use super::body::Query;
use super::reply::Reply;
use super::{Api, course, depict};
use crate::problem::Problem;
use crate::text::{count, number, span};
use crate::view::history::{Approvals, Back, Figure, GateUse, Insights, PerService, Weighed};

/// Days that are counted when nobody says how many.
const DAYS_DEFAULT: u16 = 30;
/// Most days.
const DAYS_MAX: u16 = 366;
/// Deployments whose events are read: some seconds of work.
const DEPLOYMENTS_MAX: usize = 1_000;
/// Deployments in one read of the journal.
const BATCH: u32 = 500;
/// An approval that comes sooner than this was hardly read.
const HASTY: SignedDuration = SignedDuration::from_secs(10);
/// Times of a gate that are shown.
const NEWEST_MAX: usize = 20;

/// What is counted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// How many days back, 1 to 366; 30 by default.
    pub(crate) days: Option<u16>,
    /// Only of this service.
    pub(crate) service: Option<String>,
    /// Only of this environment.
    pub(crate) environment: Option<String>,
}

/// Numbers of delivery over a time.
#[utoipa::path(
    get,
    path = "/v1/insights",
    tag = "deployments",
    params(Asked),
    responses((status = 200, body = Insights))
)]
pub(crate) async fn show(State(api): State<Api>, Query(asked): Query<Asked>) -> Reply<Insights> {
    let days = asked.days.unwrap_or(DAYS_DEFAULT).clamp(1, DAYS_MAX);
    let to = api.now();
    let from = to.checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(to);
    let (rows, cut) = rows(&api, &asked, from).await?;
    let mut tally = Tally::default();
    for row in &rows {
        let events = course::events(&api, row, 0).await?;
        tally.take(row, &events);
    }
    Ok(axum::Json(Insights {
        from,
        to,
        deployments: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        cut,
        dora: tally.dora(days),
        services: tally.services(),
        approvals: tally.approvals(),
        gates: tally.gates.into_iter().map(|(name, uses)| (name, judged(uses))).collect(),
        rollbacks: tally.backs,
    }))
}

/// The deployments that ended since then, newest first, and whether there were more.
async fn rows(
    api: &Api,
    asked: &Asked,
    from: Timestamp,
) -> Result<(Vec<DeploymentRow>, bool), Problem> {
    let fits = |row: &DeploymentRow| {
        asked.service.as_deref().is_none_or(|name| row.scope.service.as_str() == name)
            && asked
                .environment
                .as_deref()
                .is_none_or(|name| row.scope.environment.as_str() == name)
    };
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let batch = api.ports().journal.deployments(None, before.as_ref(), BATCH).await?;
        let whole = batch.len() < usize::try_from(BATCH).unwrap_or(usize::MAX);
        before = batch.last().map(|row| row.deployment.clone());
        for row in batch {
            match row.ended_at {
                Some(ended) if ended >= from && fits(&row) => found.push(row),
                // The list is in the order of beginnings; what began earlier and ended within is
                // found as long as it did not take longer than what is looked at.
                Some(_) if row.started_at < from => return Ok((found, false)),
                _ => {}
            }
            if found.len() >= DEPLOYMENTS_MAX {
                return Ok((found, true));
            }
        }
        if whole {
            return Ok((found, false));
        }
    }
}

/// What was counted so far.
#[derive(Default)]
struct Tally {
    services: BTreeMap<(String, String), Counted>,
    backs: Vec<Back>,
    gates: BTreeMap<String, GateUse>,
    asked: u64,
    refused: u64,
    answered: Vec<SignedDuration>,
}

/// A service.
#[derive(Default)]
struct Counted {
    succeeded: u64,
    failed: u64,
    stopped: u64,
    took: Vec<SignedDuration>,
    safe: Vec<SignedDuration>,
    /// Releases that stayed and came after one that had gone back.
    reworked: u64,
    /// Whether the next one in time stayed: the list goes back in time.
    good_next: bool,
}

/// What the events of one deployment say.
#[derive(Default)]
struct Story {
    asked_at: Option<Timestamp>,
    first_user_at: Option<Timestamp>,
    back_at: Option<Timestamp>,
    safe_at: Option<Timestamp>,
    why: String,
    by: String,
}

impl Tally {
    fn take(&mut self, row: &DeploymentRow, events: &[Recorded]) {
        let mut story = Story::default();
        for recorded in events {
            self.hear(row, recorded, &mut story);
        }
        let key = (row.scope.service.to_string(), row.scope.environment.to_string());
        let counted = self.services.entry(key).or_default();
        let ended = row.ended_at.unwrap_or(row.started_at);
        let safe = story.back_at.zip(story.safe_at).filter(|_| story.first_user_at.is_some());
        let safe = safe.map(|(back, safe)| safe.duration_since(back));
        match row.ending {
            Some(Ending::Succeeded | Ending::LiveUnverified) => {
                counted.succeeded += 1;
                counted.took.push(ended.duration_since(row.started_at));
                counted.good_next = true;
            }
            _ if story.first_user_at.is_some() && story.back_at.is_some() => {
                counted.failed += 1;
                counted.safe.extend(safe);
                counted.reworked += u64::from(std::mem::take(&mut counted.good_next));
            }
            _ => counted.stopped += 1,
        }
        let Some(at) = story.back_at else { return };
        let ms = |span: SignedDuration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.backs.push(Back {
            deployment: row.deployment.to_string(),
            service: row.scope.service.to_string(),
            environment: row.scope.environment.to_string(),
            version: row.version.clone(),
            at,
            by: story.by,
            why: story.why,
            decided_ms: story.first_user_at.map(|first| ms(at.duration_since(first))),
            safe_ms: safe.map(ms),
            ending: row.ending.map_or("", depict::ending_word).to_owned(),
        });
    }

    fn hear(&mut self, row: &DeploymentRow, recorded: &Recorded, story: &mut Story) {
        match &recorded.event {
            Event::PhaseEntered { phase: Phase::Approvals, .. } => {
                story.asked_at = Some(recorded.at);
                self.asked += 1;
            }
            Event::ApprovalGiven { .. } => {
                let waited = story.asked_at.map(|asked| recorded.at.duration_since(asked));
                self.answered.extend(waited);
            }
            Event::ReviewOpened { .. } => self.refused += 1,
            Event::GatesWeighed { results, .. } => {
                for result in results {
                    let name = format!("{}/{}", row.scope.service, result.gate);
                    let uses = self.gates.entry(name).or_default();
                    weigh(uses, row, recorded.at, result);
                }
            }
            Event::StepConverged { .. } if story.first_user_at.is_none() => {
                story.first_user_at = Some(recorded.at);
            }
            Event::RollbackBegan { why, .. } => {
                story.back_at = Some(recorded.at);
                story.why.clone_from(why);
                story.by = recorded.actor.to_string();
            }
            // The stage of the traffic is over: the data plane confirmed.
            Event::PhaseEntered { phase: Phase::Rollback { stage: Stage::Verify }, .. } => {
                story.safe_at = story.safe_at.or(Some(recorded.at));
            }
            _ => {}
        }
    }

    fn dora(&self, days: u16) -> Vec<Figure> {
        let sum = |of: fn(&Counted) -> u64| self.services.values().map(of).sum::<u64>();
        let all = |of: fn(&Counted) -> &Vec<SignedDuration>| {
            self.services.values().flat_map(of).copied().collect::<Vec<_>>()
        };
        let (succeeded, failed) = (sum(|one| one.succeeded), sum(|one| one.failed));
        let (met, reworked) = (succeeded + failed, sum(|one| one.reworked));
        // Counts of deployments are far below the largest that is exact.
        let share = |part: u64| (met > 0).then(|| part as f64 * 100.0 / met as f64);
        let weekly = (succeeded > 0).then(|| succeeded as f64 * 7.0 / f64::from(days));
        vec![
            figure(
                "Deployment frequency",
                weekly,
                "a week",
                format!(
                    "Deployments that ended with the new version live, returns of earlier releases \
                 among them: {} in {days} days.",
                    count(succeeded)
                ),
            ),
            timed(
                "Change lead time",
                all(|one| &one.took),
                "From the start of a deployment to its end with the new version live. The time from \
                 commit to deployment is not in it: a journal does not know when a commit was \
                 written.",
            ),
            figure(
                "Change failure rate",
                share(failed),
                "%",
                format!(
                    "Deployments that users had met and that went back, of all that users met: {} of \
                 {}. What gates, people or checks stopped before is not a failure.",
                    count(failed),
                    count(met)
                ),
            ),
            timed(
                "Failed deployment recovery time",
                all(|one| &one.safe),
                "From the decision to go back until the data plane confirmed that no new request \
                 reaches the new version.",
            ),
            figure(
                "Rework rate",
                share(reworked),
                "%",
                format!(
                    "Deployments that stayed and were the first to do so after one of the same service \
                 that went back, of all that users met: {} of {}.",
                    count(reworked),
                    count(met)
                ),
            ),
        ]
    }

    fn services(&self) -> Vec<PerService> {
        let ms = |of: &[SignedDuration]| {
            let middle = quantile(of.to_vec(), 0.5)?;
            i64::try_from(middle.as_millis()).ok()
        };
        let rows = self.services.iter().map(|((service, environment), counted)| PerService {
            service: service.clone(),
            environment: environment.clone(),
            succeeded: counted.succeeded,
            failed: counted.failed,
            stopped: counted.stopped,
            median_ms: ms(&counted.took),
            safe_ms: ms(&counted.safe),
        });
        rows.collect()
    }

    fn approvals(&self) -> Approvals {
        let ms = |part| {
            let found = quantile(self.answered.clone(), part)?;
            i64::try_from(found.as_millis()).ok()
        };
        let hasty = self.answered.iter().filter(|waited| **waited < HASTY).count();
        Approvals {
            asked: self.asked,
            given: u64::try_from(self.answered.len()).unwrap_or(u64::MAX),
            hasty: u64::try_from(hasty).unwrap_or(u64::MAX),
            refused: self.refused,
            median_ms: ms(0.5),
            p90_ms: ms(0.9),
        }
    }
}

fn figure(name: &str, value: Option<f64>, unit: &str, definition: String) -> Figure {
    Figure {
        name: name.to_owned(),
        value: value.map(|value| format!("{} {unit}", number(value))),
        number: value,
        unit: unit.to_owned(),
        definition,
    }
}

/// A figure that is the middle of some lengths of time.
fn timed(name: &str, of: Vec<SignedDuration>, definition: &str) -> Figure {
    let counted = u64::try_from(of.len()).unwrap_or(u64::MAX);
    let middle = quantile(of, 0.5);
    Figure {
        name: name.to_owned(),
        value: middle.map(span),
        number: middle.map(|middle| middle.as_secs_f64()),
        unit: "s".to_owned(),
        definition: format!("{definition} Median of {}.", count(counted)),
    }
}

fn weigh(
    uses: &mut GateUse,
    row: &DeploymentRow,
    at: Timestamp,
    result: &tidegate_core::gate::GateResult,
) {
    let shown = super::gates::shown(result);
    uses.weighed += 1;
    if result.needed {
        match result.outcome {
            Outcome::Pass => uses.passed += 1,
            Outcome::Fail => uses.failed += 1,
            Outcome::NoData => uses.no_data += 1,
            Outcome::Waived => uses.waived += 1,
        }
    }
    if uses.newest.len() < NEWEST_MAX {
        uses.newest.push(Weighed {
            deployment: row.deployment.to_string(),
            version: row.version.clone(),
            at,
            result: shown.result,
            sentence: shown.sentence,
        });
    }
}

/// A gate with what its numbers say of its worth.
fn judged(mut uses: GateUse) -> GateUse {
    let held = uses.failed + uses.no_data;
    uses.sentence = if uses.waived > 0 && uses.passed == 0 && held == 0 {
        "it was set aside every time: is it the right demand?".to_owned()
    } else if held == 0 {
        "it never held anything back in this time".to_owned()
    } else {
        format!("it held {} of {} back", count(held), count(uses.weighed))
    };
    uses
}

/// The value below which this part of the values lies; the nearest of them (R type 1).
fn quantile(mut values: Vec<SignedDuration>, part: f64) -> Option<SignedDuration> {
    values.sort();
    let rank = (values.len() as f64 * part).ceil().max(1.0);
    // A rank is a small whole number.
    let rank: usize = format!("{rank:.0}").parse().ok()?;
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let of = |values: &[i64], part| {
            let values = values.iter().map(|s| SignedDuration::from_secs(*s)).collect();
            quantile(values, part).map(|found| found.as_secs())
        };
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[7], 0.9), Some(7));
        assert_eq!(of(&[3, 1, 2], 0.5), Some(2));
        assert_eq!(of(&[4, 1, 3, 2], 0.5), Some(2));
        assert_eq!(of(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9), Some(9));
    }

    #[test]
    fn a_gate_that_never_held_anything_back_says_so() {
        let of = |passed, failed, waived| {
            let weighed = passed + failed + waived;
            judged(GateUse { weighed, passed, failed, waived, ..GateUse::default() }).sentence
        };
        assert!(of(9, 0, 0).contains("never held"));
        assert!(of(0, 0, 4).contains("set aside every time"));
        assert_eq!(of(3, 2, 0), "it held 2 of 5 back");
    }
}
