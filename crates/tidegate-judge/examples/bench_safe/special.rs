//! Figures that are no cell of the grid: steps passed by evidence, slow scrapes, the bare test
//! without guards, and what a tick costs.
//! Must never change how the judge is set up, but for what its name says.

use std::time::Instant;

use tidegate_judge::evidence::Step;
use tidegate_judge::evidence::relative::Relative;
use tidegate_judge::{Alarm, Arm, Judge, Tick};

use crate::draw::Draw;
use crate::family::{ALL, ERRORS_OF_LIVE, Family, Fault, Noise};
use crate::ours::{policy, relative_nats, seated};
use crate::world::{BEFORE, CELLS, SECONDS, World};

/// Steps that are passed by evidence, and the least time of each in seconds.
const STEPS: [f64; 3] = [0.05, 0.25, 0.5];
const BAKE_MIN: u64 = 60;

/// A rollout whose steps are passed as soon as safety is proven, of a candidate that fails at
/// `rate`: the seconds it took, or `None` when it was not through within an hour.
pub(crate) fn by_evidence(rps: f64, rate: f64, replica: u64) -> Option<u64> {
    let fault = if rate > ERRORS_OF_LIVE { Fault::Errors { rate, from: 0.0 } } else { Fault::None };
    let number = if fault == Fault::None { 301 } else { 302 };
    let family = Family { number, name: "by evidence", fault, noise: Noise::None, ..ALL[0] };
    let mut world = World::new(&family, rps, replica);
    world.set_base_errors(ERRORS_OF_LIVE);
    let mut judge = seated(policy(&family), &mut world)?;
    let mut second = 0;
    for share in STEPS {
        let began = second;
        judge.step_began((BEFORE + second) * 1_000, (share * 10_000.0_f64).round() as u16);
        loop {
            if second == SECONDS {
                return None;
            }
            second += 1;
            let alarm = judge.feed(world.second(second - 1, share, (BEFORE + second) * 1_000));
            if alarm > Alarm::None {
                return None;
            }
            let evidence = judge.evidence()?;
            let proven = evidence.safe() >= 1.0 / evidence.policy().beta;
            if proven && second - began >= BAKE_MIN {
                break;
            }
        }
    }
    Some(second)
}

/// Scrapes of so many seconds until a candidate that fails half of its requests is rolled back.
pub(crate) fn scrapes(rps: f64, length: u64, replica: u64) -> Option<u64> {
    let fault = Fault::Errors { rate: 0.5, from: 0.0 };
    let family = Family { number: 303, name: "scrapes", fault, ..ALL[0] };
    let mut world = World::new(&family, rps, replica);
    let mut judge = Judge::new(policy(&family), CELLS.clone()).ok()?;
    let mut scrape = |judge: &mut Judge, at: u64, share: f64| {
        let (mut candidate, mut live) = (Arm::default(), Arm::default());
        for second in 0..length {
            let tick = world.second(at + second, share, (at + second + 1) * 1_000);
            tick.candidate.iter().for_each(|arm| candidate.absorb(arm));
            tick.live.iter().for_each(|arm| live.absorb(arm));
        }
        let candidate = (share > 0.0).then_some(candidate);
        let at_ms = (at + length) * 1_000;
        judge.feed(&Tick { at_ms, length_ms: length * 1_000, candidate, live: Some(live) })
    };
    let before = BEFORE / length;
    for at in 0..before {
        scrape(&mut judge, at * length, 0.0);
    }
    judge.step_began(before * length * 1_000, 500);
    (1..=SECONDS / length)
        .find(|count| scrape(&mut judge, (before + count - 1) * length, 0.05) == Alarm::Rollback)
}

/// The bare test of 5.1 with no margin, no cap and the whole error budget, at one share: seconds to
/// its alarm, and the nats that the best test could have gathered in that time.
pub(crate) fn bare(rps: f64, rate: f64, replica: u64) -> Option<(u64, f64)> {
    let (share, mut draw) = (0.05, Draw::new(304_000 + replica));
    let mut relative = Relative::new(1.0);
    for second in 1..=40 * SECONDS {
        let step = Step {
            at_ms: second * 1_000,
            stake: if second == 1 { 1.0 } else { 0.0 },
            cap: f64::INFINITY,
        };
        let errors =
            (draw.poisson(rps * share * rate), draw.poisson(rps * (1.0 - share) * ERRORS_OF_LIVE));
        relative.update(&step, share, errors, 1.0);
        if relative.process().value() >= 100.0 {
            let nats = relative_nats(rps, share, rate, ERRORS_OF_LIVE, 1.0);
            return Some((second, nats * second as f64));
        }
    }
    None
}

/// Nanoseconds of one tick, and of one tick with its verdict, at so many requests a second.
pub(crate) fn cost(rps: f64) -> Option<(f64, f64)> {
    const TICKS: u64 = 600;
    const ROUNDS: u64 = 10;
    let family = ALL.iter().find(|family| family.number == 201)?;
    let mut world = World::new(family, rps, 0);
    let ticks: Vec<Tick> =
        (0..TICKS).map(|at| world.second(at, 0.25, (BEFORE + at + 1) * 1_000).clone()).collect();
    let judge = seated(policy(family), &mut world)?;
    let round = |with_verdict: bool| {
        let mut judge = judge.clone();
        judge.step_began(BEFORE * 1_000, 2_500);
        let began = Instant::now();
        let mut alarms = 0;
        for tick in &ticks {
            alarms += u64::from(judge.feed(tick) == Alarm::Rollback);
            if with_verdict {
                alarms +=
                    judge.verdict().map_or(0, |verdict| u64::from(verdict.sentence.is_empty()));
            }
        }
        (began.elapsed().as_nanos() as f64 / TICKS as f64, alarms)
    };
    // The fastest of several rounds: what is above it is the machine's other work.
    let best =
        |with_verdict| (0..ROUNDS).map(|_| round(with_verdict).0).fold(f64::INFINITY, f64::min);
    Some((best(false), best(true)))
}
