//! Tidegate's own judge in the benchmark: with the runbook's rules, as the product runs it.
//! Must never use a setting that the report does not name.

use tidegate_judge::evidence::relative::chance;
use tidegate_judge::{Alarm, EvidencePolicy, Floor, Judge, Metric, Op, Policy, Quantile, Rule};

use crate::family::{ERRORS_OF_LIVE, Family, Noise};
use crate::world::{BEFORE, CELLS, SECONDS, STEP, World, share};

/// Five minutes, in milliseconds.
const FIVE_MINUTES_MS: u64 = 300_000;

/// What became of one rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct End {
    /// Seconds from the rollout's start to the rollback.
    pub(crate) rolled_back: Option<f64>,
    /// The same to the first brake or rollback.
    pub(crate) braked: Option<f64>,
    /// The same to the first tick in which the literal rules fired.
    pub(crate) literal: Option<f64>,
    /// Seconds from the fault's start to the first hold for lost telemetry.
    pub(crate) held: Option<f64>,
    /// Failed requests and requests of the candidate until the end.
    pub(crate) failed: u64,
    pub(crate) requests: u64,
    /// Nats that the errors could have given at most until the end, by the known rates.
    pub(crate) nats: f64,
}

/// The rules of the process documents, and the evidence beside them.
pub(crate) fn policy(family: &Family) -> Policy {
    let p95 = Metric::LatencyMs(Quantile::P95);
    let warm_up_ms = if family.noise == Noise::ColdStart { 60_000 } else { 0 };
    let instances = (family.instances, family.instances);
    Policy {
        advance: vec![
            Rule::at_once(Metric::ErrorRate, Op::Below, 0.1),
            Rule::at_once(p95, Op::Below, 200.0),
        ],
        rollback: vec![
            Rule::sustained(Metric::ErrorRate, Op::Above, 1.0, FIVE_MINUTES_MS),
            Rule::sustained(p95, Op::Above, 500.0, FIVE_MINUTES_MS),
            Rule::sustained(Metric::Memory, Op::Above, 95.0, FIVE_MINUTES_MS),
        ],
        floor: Floor::Attributed,
        evidence: Some(EvidencePolicy { warm_up_ms, instances, ..EvidencePolicy::default() }),
        ..Policy::default()
    }
}

/// A judge that has heard live for [`BEFORE`] seconds.
pub(crate) fn seated(policy: Policy, world: &mut World) -> Option<Judge> {
    let mut judge = Judge::new(policy, CELLS.clone()).ok()?;
    for second in 0..BEFORE {
        judge.feed(world.second(second, 0.0, (second + 1) * 1_000));
    }
    Some(judge)
}

/// One rollout to its rollback, or to the end of the hour.
pub(crate) fn rollout(family: &Family, rps: f64, replica: u64) -> End {
    let mut world = World::new(family, rps, replica);
    let mut end = End::default();
    let Some(mut judge) = seated(policy(family), &mut world) else { return end };
    for second in 0..SECONDS {
        let share = share(second);
        let began_ms = (BEFORE + second) * 1_000;
        if second.is_multiple_of(STEP) {
            judge.step_began(began_ms, (share * 10_000.0).round() as u16);
        }
        let tick = world.second(second, share, began_ms + 1_000);
        let alarm = judge.feed(tick);
        let now = (second + 1) as f64;
        if let Some(candidate) = &tick.candidate {
            end.failed += candidate.failures;
            end.requests += candidate.requests;
        }
        end.nats += bound(family, rps, share, second as f64);
        if tick.candidate.is_none() && end.held.is_none() {
            let held = judge.verdict().is_some_and(|verdict| {
                matches!(
                    verdict.call,
                    tidegate_judge::Call::Hold { reason: tidegate_judge::HoldReason::Telemetry }
                ) && verdict.sentence.contains("nothing was heard of the new version")
            });
            end.held = held.then_some(now - family.onset());
        }
        if alarm >= Alarm::Brake && end.braked.is_none() {
            end.braked = Some(now);
        }
        if alarm == Alarm::Rollback {
            end.rolled_back = Some(now);
            break;
        }
    }
    let first_ms = judge.literal_fired_ms();
    end.literal = first_ms.map(|at_ms| at_ms.saturating_sub(BEFORE * 1_000) as f64 / 1_000.0);
    end
}

/// Nats a second that the best test of the judge's own null could gain (Wald): the smaller of what
/// the objective and what `rho` times live leave to be shown.
fn bound(family: &Family, rps: f64, share: f64, t: f64) -> f64 {
    let crate::family::Fault::Errors { rate, from } = family.fault else { return 0.0 };
    if t < from {
        return 0.0;
    }
    let policy = EvidencePolicy::default();
    let absolute = tidegate_judge::evidence::outlook::nats(rate, policy.objective) * rps * share;
    absolute.min(relative_nats(rps, share, rate, ERRORS_OF_LIVE, policy.rho))
}

/// Nats a second of the best test that looks only at whose the errors are.
pub(crate) fn relative_nats(rps: f64, share: f64, rate: f64, live: f64, rho: f64) -> f64 {
    let errors = rps * (share * rate + (1.0 - share) * live);
    let (th, th0) = (chance(share, rate / live), chance(share, rho));
    errors * (th * (th / th0).ln() + (1.0 - th) * ((1.0 - th) / (1.0 - th0)).ln())
}
