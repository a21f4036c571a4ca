//! What keeps evidence honest: budgets, silence, routes, users, learning, replay, nonsense.
//! It must never accept a number that is not one.

use tidegate_judge::evidence::latency::dispersion_here;
use tidegate_judge::evidence::outlook::{min_detectable, nats};
use tidegate_judge::evidence::process::Process;
use tidegate_judge::{
    Alarm, Arm, Call, Cells, EvidencePolicy, Floor, Judge, Policy, Stratum, Stream, Tick, Verdict,
};

use crate::scene::{arm, cells, errors_above, errors_below, tick};

fn policy() -> Policy {
    Policy {
        advance: vec![errors_below(1.0)],
        rollback: vec![errors_above(1.0, 300_000)],
        floor: Floor::Attributed,
        evidence: Some(EvidencePolicy { warm_up_ms: 0, ..EvidencePolicy::default() }),
        ..Policy::default()
    }
}

/// A judge at 50 % that has heard live for `before` seconds; the rollout begins after them.
fn seated(policy: &Policy, before: u64, live: impl Fn(&Cells, u64) -> Arm) -> (Judge, Cells) {
    let cells = cells(policy);
    let mut judge = Judge::new(policy.clone(), cells.clone()).expect("the policy can be judged");
    for second in 1..=before {
        assert_eq!(
            judge.feed(&tick(second * 1_000, None, Some(live(&cells, second)))),
            Alarm::None
        );
    }
    judge.step_began(before * 1_000, 5_000);
    (judge, cells)
}

fn until_rollback(
    judge: &mut Judge,
    from: u64,
    seconds: u64,
    make: impl Fn(u64) -> (Option<Arm>, Option<Arm>),
) -> Option<(u64, Verdict)> {
    for second in from + 1..=from + seconds {
        let (candidate, live) = make(second);
        let verdict = judge.tick(&tick(second * 1_000, candidate, live));
        if verdict.call == Call::Rollback {
            return Some((second - from, verdict));
        }
    }
    None
}

#[test]
fn the_blast_radius_is_a_limit_in_failed_requests_and_a_shared_incident_is_not_charged() {
    let policy = Policy { blast_radius: Some(20), evidence: None, ..policy() };
    let (mut judge, cells) = seated(&policy, 60, |cells, _| arm(cells, 100, 0, 9.0));
    let one = |failures| Some(arm(&cells, 100, failures, 9.0));
    let (after, verdict) =
        until_rollback(&mut judge, 60, 60, |_| (one(1), one(0))).expect("25 of them are too many");
    assert!((20..=28).contains(&after), "{after}");
    assert_eq!(verdict.blast.failed, after);
    assert!(verdict.sentence.contains("are charged to the new version, at most 20 may be"));
    let (mut judge, cells) = seated(&policy, 60, |cells, _| arm(cells, 100, 0, 9.0));
    let both = |second: u64| arm(&cells, 100, if second > 70 { 5 } else { 0 }, 9.0);
    let end =
        until_rollback(&mut judge, 60, 200, |second| (Some(both(second)), Some(both(second))));
    assert!(end.is_none(), "{end:?}");
}

#[test]
fn silence_holds_unless_the_policy_says_that_it_rolls_back() {
    for (silence_ms, rolls_back) in [(None, false), (Some(15_000), true)] {
        let policy = Policy { silence_ms, ..policy() };
        let (mut judge, cells) = seated(&policy, 10, |cells, _| arm(cells, 10, 0, 9.0));
        let live = || Some(arm(&cells, 10, 0, 9.0));
        let end = until_rollback(&mut judge, 10, 40, |_| (None, live()));
        assert_eq!(end.is_some(), rolls_back);
        if let Some((after, verdict)) = end {
            assert_eq!(after, 15);
            assert!(verdict.sentence.contains("nothing was heard of the new version for 15s"));
        }
    }
    let short = Policy { silence_ms: Some(3_000), ..policy() };
    assert!(Judge::new(short.clone(), cells(&short)).is_err(), "three ticks are noise");
}

#[test]
fn a_release_that_gets_more_of_the_slow_route_is_not_a_slow_release() {
    // Fast route 10 ms without errors, slow route 300 ms with 2 % errors; the candidate gets half
    // of its requests from the slow one, live a tenth.
    let split = |cells: &Cells, fast: u64, slow: u64, second: u64, told_apart: bool| {
        let mut whole = arm(cells, fast, 0, 10.0);
        let errors = u64::from((second * slow).is_multiple_of(50));
        let heavy = arm(cells, slow, errors, 300.0);
        let stratum = |arm: &Arm| Stratum {
            requests: arm.requests,
            failures: arm.failures,
            latency: arm.latency.clone(),
        };
        let strata = vec![stratum(&whole), stratum(&heavy)];
        whole.absorb(&heavy);
        if told_apart {
            whole.strata = strata;
        }
        whole
    };
    let run = |told_apart: bool| {
        let policy = policy();
        let live = |cells: &Cells, second| split(cells, 90, 10, second, told_apart);
        let (mut judge, cells) = seated(&policy, 120, live);
        let end = until_rollback(&mut judge, 120, 240, |second| {
            (Some(split(&cells, 50, 50, second, told_apart)), Some(live(&cells, second)))
        });
        end.map(|(after, _)| after)
    };
    assert_eq!(run(true), None, "compared within routes both are alike");
    assert!(run(false).is_some(), "taken together it looks slow: that is what routes are for");
}

#[test]
fn five_retries_of_one_user_are_one_failure() {
    let run = |failed_users: Option<u64>| {
        let (mut judge, cells) = seated(&policy(), 60, |cells, _| arm(cells, 20, 0, 9.0));
        let end = until_rollback(&mut judge, 60, 120, |second| {
            let failing = second.is_multiple_of(10);
            let failures = if failing { 5 } else { 0 };
            let users = failed_users.map(|users| if failing { users } else { 0 });
            let candidate = Arm { failed_users: users, ..arm(&cells, 20, failures, 9.0) };
            (Some(candidate), Some(arm(&cells, 20, 0, 9.0)))
        });
        end.is_some()
    };
    assert!(run(None));
    assert!(!run(Some(1)));
    let arm = Arm { requests: 9, failures: 2, failed_users: Some(5), ..Arm::default() };
    assert_eq!(arm.distinct_failures(), 2, "more users than failures cannot be");
}

#[test]
fn bursts_that_live_has_shown_before_do_not_convict() {
    let bursty = |cells: &Cells, second: u64| {
        let at = second % 8;
        let mut whole = arm(cells, 80, if at == 0 { 10 } else { 0 }, 9.0);
        whole.streams = (0..8)
            .map(|stream| Stream {
                requests: 10,
                failures: if at == 0 && second / 8 % 8 == stream { 10 } else { 0 },
                ..Stream::default()
            })
            .collect();
        whole
    };
    let run = |before: u64| {
        let (mut judge, cells) = seated(&policy(), before, bursty);
        let end = until_rollback(&mut judge, before, 3, |second| {
            let failures = if second == before + 2 { 8 } else { 0 };
            let quiet = Arm { failures: 0, ..bursty(&cells, 1) };
            (Some(arm(&cells, 80, failures, 9.0)), Some(quiet))
        });
        let evidence = judge.verdict().and_then(|verdict| verdict.evidence);
        assert!(end.is_none(), "no single second decides");
        evidence.map_or(0.0, |evidence| evidence.total)
    };
    assert!(run(600) < run(1), "{} {}", run(600), run(1));
}

#[test]
fn feeding_and_judging_say_the_same_and_the_inputs_tell_replays_from_others() {
    let run = |failures: u64| {
        let (mut fed, cells) = seated(&policy(), 30, |cells, _| arm(cells, 50, 0, 9.0));
        let mut judged = fed.clone();
        let mut last = None;
        for second in 31..=60 {
            let candidate = arm(&cells, 50, if second % 3 == 0 { failures } else { 0 }, 9.0);
            let tick = tick(second * 1_000, Some(candidate), Some(arm(&cells, 50, 0, 9.0)));
            let verdict = judged.tick(&tick);
            let expected = match verdict.call {
                Call::Rollback => Alarm::Rollback,
                Call::Brake => Alarm::Brake,
                Call::Advance | Call::Hold { .. } => Alarm::None,
            };
            assert_eq!(fed.feed(&tick), expected);
            assert_eq!(fed.verdict(), Some(verdict.clone()));
            last = Some(verdict);
        }
        last.expect("ticks were fed")
    };
    let (one, again, other) = (run(2), run(2), run(1));
    assert_eq!(one, again);
    assert_eq!(one.inputs, again.inputs);
    assert_eq!((one.inputs.count, one.inputs.from_ms, one.inputs.to_ms), (60, 1_000, 60_000));
    assert_ne!(one.inputs.ticks, other.inputs.ticks);
    assert_eq!(one.inputs.policy, other.inputs.policy);
    let looser = Policy { at_least: 5, ..policy() };
    let judge = Judge::new(looser.clone(), cells(&looser)).expect("the policy can be judged");
    assert_ne!(judge.inputs().policy, one.inputs.policy);
}

#[test]
fn the_verdict_says_what_it_still_needs_and_what_the_rules_alone_would_do() {
    let (mut judge, cells) = seated(&policy(), 60, |cells, _| arm(cells, 100, 0, 9.0));
    let make = |second: u64| arm(&cells, 20, u64::from(second.is_multiple_of(4)), 9.0);
    let mut before = None;
    for second in 61..=260 {
        let pair = (Some(make(second)), Some(arm(&cells, 20, 0, 9.0)));
        let verdict = judge.tick(&tick(second * 1_000, pair.0, pair.1));
        if verdict.call == Call::Rollback {
            let report = verdict.evidence.expect("it is asked for");
            assert!(report.rolls_back && report.strength >= 1.0 && report.odds >= 100);
            assert!(report.false_alarm_odds().starts_with("1 in "));
            let literal = verdict.literal.expect("1.25 % is more than 1 %");
            assert!(literal.in_ms > 100_000 && literal.fired_ms.is_none(), "{literal:?}");
            let eta: Option<u64> = before;
            assert!(eta.is_some_and(|in_ms| in_ms < 60_000), "{eta:?}");
            return;
        }
        before = verdict.eta.rollback_ms.or(before);
        let errors = &verdict.evidence.expect("it is asked for").parts[0];
        assert_eq!(errors.part.name(), "errors");
        assert_eq!(errors.null, "at most 1.5 times as often as live, or at most 0.1 %");
        assert_eq!(errors.candidate.of, 20 * (second - 60));
    }
    panic!("it must be found");
}

#[test]
fn a_small_sample_cannot_show_a_small_fault() {
    // The design's table: requests of the candidate, and what they show on average.
    let table = [(45, 0.066), (450, 0.013), (2_250, 0.005_1), (4_500, 0.003_7), (45_000, 0.001_7)];
    for (requests, rate) in table {
        let shown = min_detectable(requests, 0.001, 0.0, 0.01).expect("something is shown");
        assert!((shown / rate - 1.0).abs() < 0.06, "{requests}: {shown} is not {rate}");
    }
    assert_eq!(min_detectable(0, 0.001, 0.0, 0.01), None);
    assert_eq!(min_detectable(1, 0.001, 0.0, 0.01), None);
    assert!((nats(0.5, 0.001) - 2.761).abs() < 1e-3);
    assert!(nats(0.001, 0.001) <= 0.0);
}

#[test]
fn pauses_thin_out_with_traffic() {
    assert!((dispersion_here(7.0, 0.05, 1.0 / 19.0) - 1.6).abs() < 1e-9);
    assert!((dispersion_here(7.0, 0.05, 1.0) - 7.0).abs() < 1e-9);
    assert!((dispersion_here(1.0, 0.5, 3.0) - 1.0).abs() < 1e-9);
}

#[test]
fn stakes_go_where_they_are_meant_to() {
    let mut process = Process::weighted(vec![0.75, 0.25]);
    process.step(1, 0.4, 9.0, |k| if k == 0 { 2.0_f64.ln() } else { 0.0 });
    assert!((process.value() - (0.6 + 0.3 * 2.0 + 0.1)).abs() < 1e-12);
    let pace = [2.0_f64.ln(), -1.0];
    // 0.6 doubles every tick: 4.8 takes three.
    assert!(process.ticks_to(4.8, &pace).is_some_and(|ticks| (ticks - 3.0).abs() < 1e-9));
    assert_eq!(process.ticks_to(0.5, &pace), Some(0.0));
    assert_eq!(process.ticks_to(5.0, &[-1.0, 0.0]), None);
}

fn all_numbers(verdict: &Verdict) -> bool {
    let report = verdict.evidence.as_ref().expect("it is asked for");
    let parts = report.parts.iter().all(|part| {
        part.value.is_finite() && part.value >= 0.0 && part.phi.is_finite() && part.phi >= 1.0
    });
    parts
        && report.total.is_finite()
        && report.safe.is_finite()
        && verdict.blast.charged.is_finite()
}

#[test]
fn no_traffic_resets_and_jumping_clocks_make_no_nonsense() {
    let (mut judge, cells) = seated(&policy(), 5, |cells, _| arm(cells, 0, 0, 9.0));
    let none = || Some(arm(&cells, 0, 0, 9.0));
    for second in 6..=200 {
        assert!(all_numbers(&judge.tick(&tick(second * 1_000, none(), none()))), "no traffic");
    }
    // A clock that goes back, leaps ahead, and stands still; a tick of no length; an hour's tick.
    let some = || Some(arm(&cells, 40, 1, 9.0));
    for (at_ms, length_ms) in
        [(150_000, 1_000), (u64::MAX / 2, 1_000), (u64::MAX / 2, 1_000), (1, 0), (2_000, 3_600_000)]
    {
        let tick = Tick { at_ms, length_ms, candidate: some(), live: some() };
        assert!(all_numbers(&judge.tick(&tick)), "at {at_ms}");
    }
    // Counters that reset contradict themselves, or are simply small again; or they are huge.
    let odd = |requests, failures| Some(Arm { requests, failures, ..arm(&cells, 3, 0, 9.0) });
    for (at, arm) in
        [odd(0, 7), odd(3, 1), odd(u64::MAX, u64::MAX), odd(u64::MAX, 0)].into_iter().enumerate()
    {
        let at_ms = 10_000 + at as u64 * 1_000;
        assert!(all_numbers(&judge.tick(&tick(at_ms, arm.clone(), arm))), "counts {at}");
    }
}

#[test]
fn a_common_change_of_the_error_rate_changes_nothing() {
    // Of a hundred errors half are the candidate's, at 50 %, whether they come in a minute or in
    // a second: the evidence against it stays below one.
    for crowd in [1_u64, 10, 100] {
        let (mut judge, cells) = seated(&policy(), 60, |cells, _| arm(cells, 200, 0, 9.0));
        let end = until_rollback(&mut judge, 60, 120, |second| {
            let failures = if second.is_multiple_of(2) { crowd } else { 0 };
            let both = || Some(arm(&cells, 200, failures, 9.0));
            (both(), both())
        });
        assert!(end.is_none(), "{crowd}");
        let evidence = judge.verdict().and_then(|verdict| verdict.evidence);
        assert!(evidence.is_some_and(|evidence| evidence.relative < 1.0), "{crowd}");
    }
}
