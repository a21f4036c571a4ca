//! Properties over random ticks: replay, monotony, no number that is not a number.
//! It must never draw a case that the real proxy could not send.

use proptest::prelude::*;
use tidegate_judge::zone::place;
use tidegate_judge::{Arm, Call, Cells, Measured, Standing, Tick, Verdict, Zone};

use crate::scene::{arm, cells, errors_below, judge, runbook};

#[derive(Clone, Debug)]
struct Draw {
    requests: u64,
    failures: u64,
    ms: f64,
    cpu: Option<f64>,
    probes: u64,
    probes_failed: u64,
}

fn draw() -> impl Strategy<Value = Option<Draw>> {
    let one = (0_u64..40, 0_u64..40, 1.0_f64..2_000.0, 0_u8..120, 0_u64..3, 0_u64..3);
    proptest::option::weighted(
        0.95,
        one.prop_map(|(requests, failures, ms, cpu, probes, probes_failed)| Draw {
            requests,
            failures: failures.min(requests),
            ms,
            cpu: (cpu < 110).then(|| f64::from(cpu)),
            probes,
            probes_failed: probes_failed.min(probes),
        }),
    )
}

fn to_arm(draw: &Draw, cells: &Cells) -> Arm {
    Arm {
        cpu: draw.cpu,
        probes: draw.probes,
        probes_failed: draw.probes_failed,
        ..arm(cells, draw.requests, draw.failures, draw.ms)
    }
}

fn ticks(draws: &[(Option<Draw>, Option<Draw>)], cells: &Cells) -> Vec<Tick> {
    (1_u64..)
        .zip(draws)
        .map(|(second, (candidate, live))| Tick {
            at_ms: second * 1_000,
            length_ms: 1_000,
            candidate: candidate.as_ref().map(|draw| to_arm(draw, cells)),
            live: live.as_ref().map(|draw| to_arm(draw, cells)),
        })
        .collect()
}

fn verdicts(ticks: &[Tick]) -> Vec<Verdict> {
    let mut judge = judge(&runbook(), 2_500);
    ticks.iter().map(|tick| judge.tick(tick)).collect()
}

// Bit for bit: `PartialEq` on floats would let 0.0 pass for -0.0.
fn bits(verdicts: &[Verdict]) -> Vec<(String, Vec<Option<u64>>)> {
    let numbers = |verdict: &Verdict| {
        let both = verdict.metrics.iter().flat_map(|metric| [metric.candidate, metric.live]);
        both.map(|number| number.map(f64::to_bits)).collect()
    };
    verdicts.iter().map(|verdict| (format!("{verdict:?}"), numbers(verdict))).collect()
}

fn badness(standing: Standing) -> u8 {
    match standing {
        Standing::Pass => 0,
        Standing::TooFew | Standing::Unmeasured => 1,
        Standing::Outside => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_same_ticks_give_the_same_verdicts(
        draws in proptest::collection::vec((draw(), draw()), 1..80)
    ) {
        let ticks = ticks(&draws, &cells(&runbook()));
        prop_assert_eq!(bits(&verdicts(&ticks)), bits(&verdicts(&ticks)));
    }

    #[test]
    fn advance_is_said_only_when_every_zone_is_advance_and_the_tick_is_there(
        draws in proptest::collection::vec((draw(), draw()), 1..80)
    ) {
        let ticks = ticks(&draws, &cells(&runbook()));
        for (tick, verdict) in ticks.iter().zip(verdicts(&ticks)) {
            let zones = verdict.metrics.iter().all(|metric| metric.zone == Zone::Advance);
            if verdict.call == Call::Advance {
                prop_assert!(zones && tick.candidate.is_some());
            }
            for metric in &verdict.metrics {
                prop_assert!(metric.bad <= metric.sample);
                prop_assert!(!metric.candidate.is_some_and(f64::is_nan));
            }
            prop_assert!(verdict.sentence.ends_with('.') && !verdict.sentence.contains("NaN"));
        }
    }

    #[test]
    fn more_failures_never_improve_the_standing(
        of in 1_u64..20_000, bad in 0_u64..50, more in 1_u64..50
    ) {
        let bad = bad.min(of);
        let worse = (bad + more).min(of);
        let stand = |bad| place(&errors_below(1.0), Measured::Share { bad, of }, 0.95, 10);
        prop_assert!(badness(stand(bad).standing) <= badness(stand(worse).standing));
    }

    #[test]
    fn more_failures_in_any_tick_never_turn_a_verdict_towards_advance(
        draws in proptest::collection::vec((draw(), draw()), 1..60), at in 0_usize..60
    ) {
        let cells = cells(&runbook());
        let before = ticks(&draws, &cells);
        let mut after = before.clone();
        let at = at % after.len();
        if let Some(arm) = &mut after[at].candidate {
            arm.failures = arm.requests;
        }
        for (good, bad) in verdicts(&before).iter().zip(verdicts(&after)) {
            let worse = bad.call != Call::Advance || good.call == Call::Advance;
            prop_assert!(worse, "{} / {}", good.sentence, bad.sentence);
            prop_assert!(good.call != Call::Rollback || bad.call == Call::Rollback);
        }
    }
}
