//! Whole rollouts with sequential evidence, drawn from a fixed generator (splitmix64).
//! It must never be tuned to a seed: the seeds are 1, 2, 3 and so on.

use tidegate_judge::{
    Arm, Call, Cells, EvidencePolicy, Floor, Histogram, HoldReason, Judge, Policy, Tick, Verdict,
};

use crate::scene::{cells, errors_above, errors_below};

struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal: the sum of twelve.
    fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// What one second of traffic is made of.
struct World {
    per_second: u32,
    share: f64,
    errors: (f64, f64),
    slower: f64,
    /// Slowness of both.
    pace: f64,
}

fn second(world: &World, draw: &mut Draw, cells: &Cells) -> (Arm, Arm) {
    let empty = || Arm { latency: Histogram::new(cells), probes: 1, ..Arm::default() };
    let (mut candidate, mut live) = (empty(), empty());
    for _ in 0..world.per_second {
        let ms = 60.0 * world.pace * (0.5 * draw.bell()).exp();
        let (arm, rate, ms) = if draw.next() < world.share {
            (&mut candidate, world.errors.0, ms * world.slower)
        } else {
            (&mut live, world.errors.1, ms)
        };
        arm.requests += 1;
        arm.failures += u64::from(draw.next() < rate);
        arm.latency.record(cells.index(ms));
    }
    (candidate, live)
}

fn policy() -> Policy {
    Policy {
        advance: vec![errors_below(1.0)],
        rollback: vec![errors_above(1.0, 300_000)],
        floor: Floor::Attributed,
        evidence: Some(EvidencePolicy::default()),
        ..Policy::default()
    }
}

/// Runs until something other than hold or advance is called; `(seconds, failed, verdict)`.
fn rollout(world: impl Fn(u64) -> World, seed: u64, seconds: u64) -> Option<(u64, u64, Verdict)> {
    let policy = policy();
    let cells = cells(&policy);
    let mut judge = Judge::new(policy, cells.clone()).expect("the policy can be judged");
    let share_bp = (world(0).share * 10_000.0).round() as u16;
    judge.step_began(0, share_bp);
    let mut draw = Draw(seed);
    let mut failed = 0;
    for at in 1..=seconds {
        let (candidate, live) = second(&world(at), &mut draw, &cells);
        failed += candidate.failures;
        let (candidate, live) = (Some(candidate), Some(live));
        let tick = Tick { at_ms: at * 1_000, length_ms: 1_000, candidate, live };
        let verdict = judge.tick(&tick);
        if matches!(verdict.call, Call::Rollback) {
            return Some((at, failed, verdict));
        }
    }
    None
}

fn plain(errors: (f64, f64), slower: f64) -> World {
    World { per_second: 100, share: 0.05, errors, slower, pace: 1.0 }
}

#[test]
fn five_percent_errors_are_found_in_seconds() {
    let mut found: Vec<(u64, u64)> = (1..=20)
        .map(|seed| {
            let end = rollout(|_| plain((0.05, 0.0005), 1.0), seed, 300);
            let (at, failed, verdict) = end.expect("it must be found");
            assert!(verdict.sentence.starts_with("Roll back: the new version failed "));
            assert!(verdict.literal.is_some_and(|literal| literal.in_ms > 200_000));
            (at, failed)
        })
        .collect();
    found.sort_unstable();
    assert!(found[10].0 <= 30, "median {:?}", found[10]);
    assert!(found[18].0 <= 60, "95 % {:?}", found[18]);
    assert!(found.iter().all(|(_, failed)| *failed <= 10), "{found:?}");
}

#[test]
fn half_of_all_requests_failing_is_found_within_five_seconds() {
    for seed in 1..=20 {
        let end = rollout(|_| plain((0.5, 0.0005), 1.0), seed, 60).expect("it must be found");
        assert!(end.0 <= 5, "seed {seed}: {} s", end.0);
    }
}

#[test]
fn answers_twice_as_slow_are_found_after_the_warm_up() {
    // Two instances on each side, of which nothing is known: a third slower may be the machines.
    for seed in 1..=5 {
        let end = rollout(|_| plain((0.0005, 0.0005), 2.0), seed, 240).expect("it must be found");
        assert!(end.2.sentence.starts_with("Roll back: answers of the new version are slower"));
        assert!(end.0 <= 150, "seed {seed}: {} s", end.0);
    }
}

#[test]
fn equal_releases_are_left_alone() {
    for seed in 1..=15 {
        let end = rollout(|_| plain((0.002, 0.002), 1.0), seed, 400);
        assert!(end.is_none(), "seed {seed}: {end:?}");
    }
}

#[test]
fn a_shared_incident_is_left_alone() {
    for seed in 1..=10 {
        let world = |at| {
            let (rate, pace) = if at > 60 { (0.04, 1.8) } else { (0.001, 1.0) };
            World { pace, ..plain((rate, rate), 1.0) }
        };
        let end = rollout(world, seed, 420);
        assert!(end.is_none(), "seed {seed}: {end:?}");
    }
}

#[test]
fn broken_routing_holds_instead_of_blaming_anyone() {
    let policy = policy();
    let cells = cells(&policy);
    let mut judge = Judge::new(policy, cells.clone()).expect("the policy can be judged");
    judge.step_began(0, 500);
    let mut draw = Draw(1);
    let mut last = None;
    for at in 1..=60_u64 {
        let world = World { share: 0.4, ..plain((0.001, 0.001), 1.0) };
        let (candidate, live) = second(&world, &mut draw, &cells);
        let (candidate, live) = (Some(candidate), Some(live));
        let tick = Tick { at_ms: at * 1_000, length_ms: 1_000, candidate, live };
        last = Some(judge.tick(&tick));
    }
    let verdict = last.expect("ticks were fed");
    assert_eq!(verdict.call, Call::Hold { reason: HoldReason::Telemetry });
    let why =
        "Hold: requests do not arrive in the ratio that was set, so no count can be believed.";
    assert_eq!(verdict.sentence, why);
}

#[test]
fn the_same_rollout_gives_the_same_verdict_bit_for_bit() {
    let run = || rollout(|_| plain((0.05, 0.0005), 1.2), 7, 300).expect("it must be found");
    let (one, two) = (run(), run());
    let bits = |verdict: &Verdict| verdict.evidence.as_ref().map(|report| report.total.to_bits());
    assert_eq!(bits(&one.2), bits(&two.2));
    assert_eq!(format!("{one:?}"), format!("{two:?}"));
}
