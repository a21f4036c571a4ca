//! The brake of one service: the control plane's judge, carried along over the proxy's own ticks.
//! Decisions only, from ticks given; going back is the store's work. It must never need anything
//! that a table and the ticks do not say, nor be quicker than a control plane that is there: that
//! one has more to go by, and writes down why.

use std::collections::BTreeMap;

use tidegate_judge::evidence::EvidencePolicy;
use tidegate_judge::histogram::{Cells, Histogram};
use tidegate_judge::policy::{Floor, Policy};
use tidegate_judge::rule::{Metric, Op, Rule};
use tidegate_judge::tick::Stream;
use tidegate_judge::verdict::Alarm;
use tidegate_judge::{Arm, Judge, tick};

use crate::ticks::Ring;
use crate::wire::{
    BrakeEvidence, BrakeJudge, BrakeRule, InstanceTick, RevisionTick, Table, Tick, Weight,
};

/// For how long the judge's word stands before the proxy acts on it, milliseconds: ten answers that
/// a control plane would have given, less than any lease.
const PATIENCE_MS: u64 = 10_000;

/// What is judged by which numbers. As long as it stays the same the judge goes on; a change of
/// the share is a step of the same trial.
#[derive(Clone, Debug, PartialEq)]
struct Trial {
    revision: String,
    rules: Vec<BrakeRule>,
    judge: Option<BrakeJudge>,
    limits_ms: Vec<f64>,
}

impl Trial {
    /// The trial of a table: the revision whose share is above what the fallback gives it.
    fn of(table: &Table) -> Option<Self> {
        let evidence = table.judge.and_then(|judge| judge.evidence);
        if table.brake.is_empty() && evidence.is_none() {
            return None;
        }
        Some(Self {
            revision: on_trial(table)?.to_owned(),
            rules: table.brake.clone(),
            judge: table.judge,
            limits_ms: table.limits_ms.clone(),
        })
    }

    fn policy(&self, instances: (u32, u32)) -> Policy {
        let rule = |rule: &BrakeRule| Rule {
            min_sample: rule.min_requests,
            ..Rule::sustained(Metric::ErrorRate, Op::Above, rule.errors_above_percent, rule.over_ms)
        };
        let evidence = |declared: BrakeEvidence| EvidencePolicy {
            objective: declared.objective,
            rho: declared.rho,
            latency_margin: declared.latency_margin,
            warm_up_ms: declared.warm_up_ms,
            horizon_ms: declared.horizon_ms.max(1),
            changes: declared.changes,
            instances,
            ..EvidencePolicy::default()
        };
        let attributed = self.judge.is_some_and(|judge| judge.attributed);
        Policy {
            rollback: self.rules.iter().map(rule).collect(),
            floor: if attributed { Floor::Attributed } else { Floor::Literal },
            evidence: self.judge.and_then(|judge| judge.evidence).map(evidence),
            ..Policy::default()
        }
    }
}

fn on_trial(table: &Table) -> Option<&str> {
    let shares = table.fallback.iter().flatten();
    let fallback: BTreeMap<&str, Weight> =
        shares.map(|share| (share.revision.as_str(), share.weight)).collect();
    let of = |revision: &str| fallback.get(revision).copied().unwrap_or(Weight::ZERO);
    let gained = |backend: &&crate::wire::Backend| backend.weight > of(&backend.revision);
    table.backends.iter().find(gained).map(|backend| backend.revision.as_str())
}

/// A judge that sits over one trial.
#[derive(Debug)]
pub(crate) struct Brake {
    trial: Trial,
    judge: Judge,
    cells: Cells,
    /// The table whose share is judged.
    step: Option<(u64, u64)>,
    /// For how long the judge has said so while this table stood, milliseconds.
    overdue_ms: u64,
}

impl Brake {
    /// The brake of `table`: the one there is, when it sits over the same trial, or a new one that
    /// has heard how the others fare without it. Ticks numbered below `since` had other latencies.
    /// `None` when there is no trial, or no way to judge it.
    pub(crate) fn of(table: &Table, held: Option<Self>, ring: &Ring, since: u64) -> Option<Self> {
        let trial = Trial::of(table)?;
        match held {
            Some(held) if held.trial == trial => Some(held),
            Some(_) | None => Self::seat(trial, table, ring, since),
        }
    }

    fn seat(trial: Trial, table: &Table, ring: &Ring, since: u64) -> Option<Self> {
        let instances = |is_candidate: bool| {
            let backends = table.backends.iter();
            let ours =
                backends.filter(|backend| (backend.revision == trial.revision) == is_candidate);
            let count = ours.map(|backend| backend.endpoints.len()).sum::<usize>();
            u32::try_from(count).unwrap_or(u32::MAX).max(1)
        };
        let policy = trial.policy((instances(true), instances(false)));
        let cells = Cells::new(&trial.limits_ms);
        let judge = Judge::new(policy, cells.clone())
            .inspect_err(|error| tracing::error!(%error, "the brake cannot judge these rules"))
            .ok()?;
        let mut brake = Self { trial, judge, cells, step: None, overdue_ms: 0 };
        for past in ring.oldest().filter(|past| past.seq >= since) {
            brake.feed(&past, false);
        }
        Some(brake)
    }

    /// Takes a tick that ran under `table`; the reason when it is time to go back.
    pub(crate) fn hear(&mut self, table: &Table, tick: &Tick) -> Option<String> {
        let step = (tick.epoch, tick.generation);
        if self.step != Some(step) {
            self.step = Some(step);
            self.overdue_ms = 0;
            let backend = table.backend(&self.trial.revision);
            let share_bp = backend.map_or(0, |backend| backend.weight.basis_points());
            self.judge.step_began(tick.at_ms.saturating_sub(tick.length_ms), share_bp);
        }
        match self.feed(tick, true) {
            Alarm::Rollback => self.overdue_ms += tick.length_ms,
            Alarm::None | Alarm::Brake => self.overdue_ms = 0,
        }
        (self.overdue_ms >= PATIENCE_MS).then(|| self.reason())
    }

    fn feed(&mut self, tick: &Tick, with_candidate: bool) -> Alarm {
        let ours = |counted: &&RevisionTick| counted.revision == self.trial.revision;
        let candidate = tick.revisions.iter().find(ours).filter(|_| with_candidate);
        let mut live = Arm { latency: Histogram::new(&self.cells), ..Arm::default() };
        for counted in tick.revisions.iter().filter(|counted| !ours(counted)) {
            live.absorb(&self.arm(counted));
            live.streams.extend(counted.instances.iter().map(|told| self.stream(told)));
        }
        self.judge.feed(&tick::Tick {
            at_ms: tick.at_ms,
            length_ms: tick.length_ms,
            candidate: candidate.map(|counted| self.arm(counted)),
            live: Some(live),
        })
    }

    fn arm(&self, counted: &RevisionTick) -> Arm {
        Arm {
            requests: counted.requests,
            failures: counted.failures.total(),
            latency: self.histogram(&counted.latency),
            ..Arm::default()
        }
    }

    fn stream(&self, told: &InstanceTick) -> Stream {
        Stream {
            requests: told.requests,
            failures: told.failures,
            latency: self.histogram(&told.latency),
            ..Stream::default()
        }
    }

    fn histogram(&self, counts: &[(u16, u32)]) -> Histogram {
        let mut cells = vec![0_u32; self.cells.len()];
        for (cell, count) in counts {
            if let Some(sum) = cells.get_mut(usize::from(*cell)) {
                *sum = sum.saturating_add(*count);
            }
        }
        Histogram::from_counts(cells)
    }

    fn reason(&self) -> String {
        let sentence = self.judge.verdict().map(|verdict| verdict.sentence);
        format!("{}: {}", self.trial.revision, sentence.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::{Backend, Failures, Share, TableParts};

    use super::*;

    const JUDGE: BrakeJudge = BrakeJudge {
        attributed: true,
        evidence: Some(BrakeEvidence {
            objective: 0.001,
            rho: 1.5,
            latency_margin: 0.06,
            warm_up_ms: 0,
            horizon_ms: 3_600_000,
            changes: 3,
        }),
    };

    fn table(generation: u64, candidate_bp: u16, judge: BrakeJudge) -> Table {
        let listen = "127.0.0.1:1".parse().unwrap();
        let backend = |revision, bp| Backend::plain(revision, Weight::new(bp).unwrap(), listen);
        let backends = vec![backend("live", 10_000 - candidate_bp), backend("new", candidate_bp)];
        let brake =
            vec![BrakeRule { errors_above_percent: 1.0, over_ms: 300_000, min_requests: 20 }];
        let parts = TableParts {
            generation,
            fallback: Some(vec![Share { revision: "live".into(), weight: Weight::FULL }]),
            brake,
            judge: Some(judge),
            ..TableParts::plain("shop/web", listen, backends)
        };
        Table::seal(parts).unwrap()
    }

    fn counted(revision: &str, requests: u64, failures: u64) -> RevisionTick {
        RevisionTick {
            revision: revision.into(),
            requests,
            failures: Failures { status_5xx: failures, ..Failures::default() },
            ..RevisionTick::default()
        }
    }

    fn second(at: u64, generation: u64, revisions: Vec<RevisionTick>) -> Tick {
        Tick {
            service: "shop/web".into(),
            seq: at,
            at_ms: 1_000 * at,
            length_ms: 1_000,
            epoch: 1,
            generation,
            override_sequence: None,
            no_backend: 0,
            revisions,
        }
    }

    /// The second in which it goes back, of 900 with 5 and 95 requests each of which so many fail.
    fn braked(judge: BrakeJudge, new: u64, live: u64) -> Option<(u64, String)> {
        let mut ring = Ring::new("shop/web", 0);
        for at in 0..600 {
            ring.push(second(at, 1, vec![counted("live", 100, 0)]));
        }
        let table = table(2, 500, judge);
        let mut brake = Brake::of(&table, None, &ring, 0).unwrap();
        (1..=900).find_map(|at| {
            let revisions = vec![counted("live", 95, live), counted("new", 5, new)];
            let reason = brake.hear(&table, &second(600 + at, 2, revisions))?;
            Some((at, reason))
        })
    }

    #[test]
    fn it_judges_as_the_control_plane_does() {
        let (at, reason) = braked(JUDGE, 2, 0).unwrap();
        assert!((10..=15).contains(&at), "two in five fail: {at} s, {reason}");
        assert!(reason.starts_with("new: Roll back: the new version failed"), "{reason}");
        assert_eq!(braked(JUDGE, 0, 0), None);
        assert_eq!(braked(JUDGE, 1, 19), None, "both fail alike");
        let literal = BrakeJudge { attributed: false, evidence: None };
        let (at, _) = braked(literal, 1, 19).unwrap();
        assert!((310..=322).contains(&at), "the rule alone, taken literally: {at} s");
    }

    #[test]
    fn a_step_goes_on_with_the_trial_and_another_revision_is_another() {
        let ring = Ring::new("shop/web", 0);
        let first = table(2, 500, JUDGE);
        let mut brake = Brake::of(&first, None, &ring, 0).unwrap();
        brake.hear(&first, &second(1, 2, vec![counted("live", 95, 0), counted("new", 5, 1)]));
        let next = table(3, 2_500, JUDGE);
        let mut brake = Brake::of(&next, Some(brake), &ring, 0).unwrap();
        assert_eq!(brake.step, Some((1, 2)), "what was heard is kept");
        brake.hear(&next, &second(2, 3, vec![counted("live", 75, 0), counted("new", 25, 0)]));
        assert_eq!(brake.step, Some((1, 3)));
        let literal = table(4, 2_500, BrakeJudge { attributed: false, evidence: None });
        assert_eq!(Brake::of(&literal, Some(brake), &ring, 0).unwrap().step, None);
        assert!(Brake::of(&table(5, 0, JUDGE), None, &ring, 0).is_none(), "nothing is on trial");
    }
}
