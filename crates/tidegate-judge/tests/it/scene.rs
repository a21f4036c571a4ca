//! Builders of ticks and policies for the tests.
//! It must never decide anything itself.

use tidegate_judge::{
    Arm, Cells, Histogram, Judge, Metric, Op, Policy, Quantile, Rule, Tick, Verdict,
};

/// Five minutes in milliseconds.
pub(crate) const FIVE_MINUTES: u64 = 300_000;

pub(crate) fn errors_above(percent: f64, sustained_ms: u64) -> Rule {
    Rule::sustained(Metric::ErrorRate, Op::Above, percent, sustained_ms)
}

pub(crate) fn errors_below(percent: f64) -> Rule {
    Rule::at_once(Metric::ErrorRate, Op::Below, percent)
}

/// The rules of the runbook, in its order.
pub(crate) fn runbook() -> Policy {
    let p95 = Metric::LatencyMs(Quantile::P95);
    Policy {
        advance: vec![
            errors_below(0.1),
            Rule::at_once(p95, Op::Below, 200.0),
            Rule::at_once(Metric::Cpu, Op::Below, 70.0),
            Rule::at_once(Metric::Memory, Op::Below, 80.0),
        ],
        rollback: vec![
            errors_above(1.0, FIVE_MINUTES),
            Rule::sustained(p95, Op::Above, 500.0, FIVE_MINUTES),
            Rule::sustained(Metric::Cpu, Op::Above, 90.0, 2 * FIVE_MINUTES),
            Rule::sustained(Metric::Memory, Op::Above, 95.0, FIVE_MINUTES),
            Rule::sustained(Metric::ProbeFailures, Op::Above, 50.0, 180_000),
        ],
        ..Policy::default()
    }
}

pub(crate) fn cells(policy: &Policy) -> Cells {
    Cells::new(&policy.limits_ms())
}

pub(crate) fn judge(policy: &Policy, share_bp: u16) -> Judge {
    let mut judge = Judge::new(policy.clone(), cells(policy)).expect("the policy can be judged");
    judge.step_began(0, share_bp);
    judge
}

/// An arm whose answers all took `ms` milliseconds.
pub(crate) fn arm(cells: &Cells, requests: u64, failures: u64, ms: f64) -> Arm {
    let mut latency = Histogram::new(cells);
    for _ in 0..requests {
        latency.record(cells.index(ms));
    }
    Arm {
        requests,
        failures,
        latency,
        cpu: Some(40.0),
        memory: Some(50.0),
        probes: 1,
        probes_failed: 0,
        ..Arm::default()
    }
}

pub(crate) fn tick(at_ms: u64, candidate: Option<Arm>, live: Option<Arm>) -> Tick {
    Tick { at_ms, length_ms: 1_000, candidate, live }
}

/// Feeds `seconds` ticks after `from_s`, made by `make`, and answers with the last verdict.
pub(crate) fn run(
    judge: &mut Judge,
    from_s: u64,
    seconds: u64,
    mut make: impl FnMut(u64) -> (Option<Arm>, Option<Arm>),
) -> Verdict {
    let mut last = None;
    for second in from_s + 1..=from_s + seconds {
        let (candidate, live) = make(second);
        last = Some(judge.tick(&tick(second * 1_000, candidate, live)));
    }
    last.expect("at least one tick")
}
