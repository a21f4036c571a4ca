//! The judge over whole stretches of ticks: faults, incidents, silence, crashes.
//! It must never accept *advance* where something was missing.

use tidegate_judge::{
    Arm, Call, Floor, HoldReason, Judge, Metric, Op, Policy, Rule, RuleState, Verdict, Zone,
};

use crate::scene::{arm, cells, errors_above, errors_below, judge, run, runbook, tick};

fn held(verdict: &Verdict, reason: HoldReason) {
    assert_eq!(verdict.call, Call::Hold { reason }, "{}", verdict.sentence);
}

#[test]
fn a_good_release_advances_once_its_sample_is_big_enough() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let good = |_| (Some(arm(&cells, 50, 0, 40.0)), Some(arm(&cells, 950, 1, 40.0)));
    let verdict = run(&mut judge, 0, 59, good);
    held(&verdict, HoldReason::InsufficientEvidence);
    assert_eq!((verdict.metrics[0].sample, verdict.metrics[0].needed), (2_950, 2_995));
    let verdict = run(&mut judge, 59, 1, good);
    assert_eq!(verdict.call, Call::Advance, "{}", verdict.sentence);
    assert!(verdict.metrics.iter().all(|metric| metric.zone == Zone::Advance));
    assert_eq!(verdict.metrics.len(), 5);

    // A new step counts its own requests.
    judge.step_began(60_000, 2_500);
    let verdict = run(&mut judge, 60, 1, good);
    held(&verdict, HoldReason::InsufficientEvidence);
    assert_eq!(verdict.metrics[0].sample, 50);
}

#[test]
fn ticks_that_began_before_the_step_do_not_count_for_it() {
    let policy = Policy { advance: vec![errors_below(1.0)], ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    judge.step_began(500, 500);
    let verdict = judge.tick(&tick(1_000, Some(arm(&cells, 9_999, 0, 9.0)), None));
    held(&verdict, HoldReason::InsufficientEvidence);
    assert_eq!(verdict.metrics[0].sample, 0);
    assert_eq!(
        verdict.sentence,
        "Hold: no requests were counted for errors of the new version, 299 are needed."
    );
}

#[test]
fn five_minutes_of_errors_roll_back_across_a_step() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let bad = |_| (Some(arm(&cells, 50, 2, 40.0)), Some(arm(&cells, 950, 0, 40.0)));
    let verdict = run(&mut judge, 0, 200, bad);
    held(&verdict, HoldReason::BetweenLimits);
    judge.step_began(200_000, 2_500);
    let verdict = run(&mut judge, 200, 100, bad);
    held(&verdict, HoldReason::BetweenLimits);
    let RuleState::Breaching { since_ms: 1_000, needs_ms: 1_000 } = verdict.metrics[0].state else {
        panic!("{:?}", verdict.metrics[0].state)
    };
    let verdict = run(&mut judge, 300, 1, bad);
    assert_eq!(verdict.call, Call::Rollback);
    assert_eq!(
        verdict.sentence,
        "Roll back: errors of the new version are 4.0 % (602 of 15,050), limit 1 % for 5m, \
         breached for 5m; in live 0 % (0 of 285,950)."
    );
}

#[test]
fn a_good_minute_resets() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let verdict = run(&mut judge, 0, 500, |second| {
        let failures = if (240..300).contains(&second) { 0 } else { 2 };
        (Some(arm(&cells, 50, failures, 40.0)), Some(arm(&cells, 950, 0, 40.0)))
    });
    held(&verdict, HoldReason::BetweenLimits);
    // Looking back ten seconds it takes three bad ones to be above 1 % again.
    assert!(matches!(verdict.metrics[0].state, RuleState::Breaching { since_ms: 302_000, .. }));
}

#[test]
fn silence_holds_and_never_passes_or_rolls_back() {
    let policy = Policy {
        advance: vec![errors_below(1.0)],
        rollback: vec![errors_above(5.0, 10_000)],
        ..Policy::default()
    };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let live = || Some(arm(&cells, 950, 0, 40.0));
    let verdict = run(&mut judge, 0, 10, |_| (Some(arm(&cells, 50, 0, 9.0)), live()));
    assert_eq!(verdict.call, Call::Advance);
    let verdict = run(&mut judge, 10, 3, |_| (None, live()));
    held(&verdict, HoldReason::InsufficientEvidence);
    let verdict = run(&mut judge, 13, 1, |_| (None, live()));
    held(&verdict, HoldReason::Telemetry);
    assert_eq!(
        verdict.sentence,
        "Hold: nothing was heard of the new version for 4 ticks, which is no pass."
    );
    let verdict = run(&mut judge, 14, 3_600, |_| (None, live()));
    held(&verdict, HoldReason::Telemetry);
    let verdict = run(&mut judge, 3_614, 1, |_| (Some(arm(&cells, 50, 0, 9.0)), live()));
    assert_eq!(verdict.call, Call::Advance, "{}", verdict.sentence);
    let verdict = run(&mut judge, 3_615, 4, |_| (Some(arm(&cells, 50, 0, 9.0)), None));
    held(&verdict, HoldReason::Telemetry);
    judge.step_began(3_619_000, 10_000);
    let verdict = run(&mut judge, 3_619, 6, |_| (Some(arm(&cells, 50, 0, 9.0)), None));
    assert_eq!(verdict.call, Call::Advance, "at 100 % there is no live to hear of");
}

#[test]
fn a_gauge_that_is_not_measured_holds() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let verdict = run(&mut judge, 0, 100, |_| {
        let mut blind = arm(&cells, 50, 0, 40.0);
        blind.memory = Some(f64::NAN);
        (Some(blind), Some(arm(&cells, 950, 0, 40.0)))
    });
    held(&verdict, HoldReason::Telemetry);
    let sentence = "Hold: memory of the new version cannot be read, which is no pass.";
    assert_eq!(verdict.sentence, sentence);
}

#[test]
fn a_histogram_of_another_shape_is_telemetry_lost() {
    let policy = runbook();
    let cells = cells(&policy);
    let foreign = tidegate_judge::Cells::new(&[]);
    let mut judge = judge(&policy, 500);
    let verdict = run(&mut judge, 0, 100, |_| {
        let mut odd = arm(&cells, 50, 0, 40.0);
        odd.latency = arm(&foreign, 50, 0, 40.0).latency;
        (Some(odd), Some(arm(&cells, 950, 0, 40.0)))
    });
    held(&verdict, HoldReason::Telemetry);
}

#[test]
fn a_dead_process_that_logs_nothing_holds_and_its_probes_roll_back() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let dead = |judge: &mut Judge, from, seconds| {
        run(judge, from, seconds, |_| {
            let mut silent = arm(&cells, 0, 0, 40.0);
            silent.probes_failed = 1;
            (Some(silent), Some(arm(&cells, 950, 0, 40.0)))
        })
    };
    let verdict = dead(&mut judge, 0, 3);
    held(&verdict, HoldReason::Telemetry);
    assert_eq!(
        verdict.sentence,
        "Hold: the last 3 health probes of the new version all failed, so its counts cannot be \
         the whole story."
    );
    let verdict = dead(&mut judge, 3, 176);
    held(&verdict, HoldReason::Telemetry);
    let verdict = dead(&mut judge, 179, 1);
    assert_eq!(verdict.call, Call::Rollback);
    assert_eq!(
        verdict.sentence,
        "Roll back: failed probes of the new version are 100 % (180 of 180), limit 50 % for 3m, \
         breached for 2m 59s; in live 0 % (0 of 180)."
    );
}

fn incident(floor: Floor, live_failures: u64) -> Verdict {
    let policy = Policy {
        advance: vec![errors_below(1.0)],
        rollback: vec![errors_above(1.0, 60_000)],
        floor,
        ..Policy::default()
    };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 5_000);
    run(&mut judge, 0, 61, |second| {
        // Live is hit two seconds after the candidate was.
        let failures = if second > 2 { live_failures } else { 0 };
        (Some(arm(&cells, 100, 5, 40.0)), Some(arm(&cells, 100, failures, 40.0)))
    })
}

#[test]
fn a_shared_incident_is_not_the_candidates_fault_unless_the_policy_is_literal() {
    held(&incident(Floor::Attributed, 5), HoldReason::Environment);
    assert_eq!(incident(Floor::Literal, 5).call, Call::Rollback);
    assert_eq!(incident(Floor::Attributed, 2).call, Call::Rollback, "clearly worse than live");
    assert_eq!(incident(Floor::Attributed, 0).call, Call::Rollback);
    assert_eq!(
        incident(Floor::Attributed, 5).sentence,
        "Hold: errors of the new version are 5.0 % (305 of 6,100), limit 1 % for 1m, breached for \
         1m; in live 4.8 % (295 of 6,100): live breaches the same rule, so the new version is not \
         the cause."
    );
}

fn ending_incident(live_after: u64, candidate_after: u64, seconds: u64) -> Verdict {
    let policy = Policy {
        rollback: vec![errors_above(1.0, 60_000)],
        floor: Floor::Attributed,
        ..Policy::default()
    };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 5_000);
    run(&mut judge, 0, 120 + seconds, |second| {
        let (candidate, live) = if second > 120 { (candidate_after, live_after) } else { (5, 5) };
        (Some(arm(&cells, 100, candidate, 40.0)), Some(arm(&cells, 100, live, 40.0)))
    })
}

#[test]
fn live_may_clear_a_little_before_the_candidate_when_an_incident_ends() {
    // Live clears at once, the candidate is still above 1 % looking back ten seconds.
    held(&ending_incident(0, 5, 10), HoldReason::Environment);
    assert_eq!(ending_incident(0, 0, 15).call, Call::Advance);
    let verdict = ending_incident(0, 5, 40);
    assert_eq!(verdict.call, Call::Rollback, "what goes on is its own: {}", verdict.sentence);
}

#[test]
fn one_bad_moment_of_live_does_not_spare_a_candidate() {
    let policy = Policy {
        rollback: vec![errors_above(1.0, 60_000)],
        floor: Floor::Attributed,
        ..Policy::default()
    };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 5_000);
    let verdict = run(&mut judge, 0, 65, |second| {
        // Over the whole minute live is worse than the candidate, in most of it there is nothing.
        let live = if (30..40).contains(&second) { 60 } else { 0 };
        (Some(arm(&cells, 100, 5, 40.0)), Some(arm(&cells, 100, live, 40.0)))
    });
    assert_eq!(verdict.call, Call::Rollback, "{}", verdict.sentence);
}

#[test]
fn n6_a_full_live_is_not_the_candidates_fault_but_no_reason_to_go_on() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let verdict = run(&mut judge, 0, 601, |_| {
        let mut full = arm(&cells, 950, 0, 40.0);
        full.cpu = Some(97.0);
        (Some(arm(&cells, 50, 0, 40.0)), Some(full))
    });
    held(&verdict, HoldReason::Environment);
    assert_eq!(
        verdict.sentence,
        "Hold: live alone breaches CPU > 90 % for 10m, so the new version is not the cause."
    );
}

#[test]
fn a_mending_release_is_not_kept_out_by_a_broken_live() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let verdict = run(&mut judge, 0, 601, |_| {
        (Some(arm(&cells, 50, 0, 40.0)), Some(arm(&cells, 950, 300, 800.0)))
    });
    assert_eq!(verdict.call, Call::Advance, "{}", verdict.sentence);
}

#[test]
fn without_rules_only_presence_and_the_least_sample_are_asked_for() {
    let policy = Policy { at_least: 100, ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let live = || Some(arm(&cells, 950, 0, 40.0));
    let verdict = run(&mut judge, 0, 1, |_| (Some(arm(&cells, 60, 60, 9.0)), live()));
    held(&verdict, HoldReason::InsufficientEvidence);
    assert_eq!(verdict.sentence, "Hold: the new version had 60 of 100 requests.");
    let verdict = run(&mut judge, 1, 1, |_| (Some(arm(&cells, 60, 60, 9.0)), live()));
    assert_eq!(verdict.call, Call::Advance);
    let verdict = run(&mut judge, 2, 1, |_| (None, live()));
    held(&verdict, HoldReason::InsufficientEvidence);
}

#[test]
fn a_repeated_tick_changes_nothing_and_a_clock_that_goes_back_starts_windows_again() {
    let policy = Policy { rollback: vec![errors_above(1.0, 10_000)], ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let bad = || Some(arm(&cells, 50, 5, 40.0));
    let first = judge.tick(&tick(5_000, bad(), bad()));
    assert_eq!(judge.tick(&tick(5_000, None, None)), first);
    run(&mut judge, 5, 9, |_| (bad(), bad()));
    let verdict = judge.tick(&tick(3_000, bad(), bad()));
    let since_ms = 3_000;
    assert_eq!(verdict.metrics[0].state, RuleState::Breaching { since_ms, needs_ms: 10_000 });
}

#[test]
fn a_demo_sized_policy_catches_a_bad_release_in_its_sustained_time() {
    let policy = Policy {
        advance: vec![errors_below(1.0)],
        rollback: vec![errors_above(5.0, 5_000)],
        ..Policy::default()
    };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let bad = |_| (Some(arm(&cells, 10, 3, 40.0)), Some(arm(&cells, 190, 0, 40.0)));
    let verdict = run(&mut judge, 0, 5, bad);
    held(&verdict, HoldReason::BetweenLimits);
    assert_eq!(
        verdict.sentence,
        "Hold: errors of the new version are 30.0 % (15 of 50), limit 5 % for 5s, breaching for \
         4s, rolls back in 1s unless it ends; in live 0 % (0 of 950)."
    );
    assert_eq!(run(&mut judge, 5, 1, bad).call, Call::Rollback);
}

#[test]
fn one_bad_second_does_not_fill_a_short_window() {
    let policy = Policy { rollback: vec![errors_above(5.0, 10_000)], ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    for second in 1..=30 {
        let failures = if second == 10 { 50 } else { 0 };
        let arms = (Some(arm(&cells, 50, failures, 9.0)), Some(Arm::default()));
        let verdict = run(&mut judge, second - 1, 1, |_| arms.clone());
        assert_ne!(verdict.call, Call::Rollback, "second {second}");
    }
}

#[test]
fn a_probe_rule_without_probes_is_not_a_pass() {
    let rule = Rule::sustained(Metric::ProbeFailures, Op::Above, 50.0, 180_000);
    let policy = Policy { rollback: vec![rule], ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    let verdict = run(&mut judge, 0, 10, |_| {
        let mut unprobed = arm(&cells, 50, 0, 9.0);
        unprobed.probes = 0;
        (Some(unprobed), Some(arm(&cells, 950, 0, 9.0)))
    });
    held(&verdict, HoldReason::InsufficientEvidence);
}
