//! N1 to N3 and N8: what passes, what holds, and by how little.
//! It must never test with a tolerance: limits are exact.

use tidegate_judge::binomial;
use tidegate_judge::zone::place;
use tidegate_judge::{
    Call, HoldReason, Measured, Metric, Op, PolicyError, Quantile, Reading, Rule, Standing, Zone,
};

use crate::scene::{arm, cells, errors_above, errors_below, judge, run, runbook};

#[test]
fn exact_samples_for_zero_failures() {
    assert_eq!(binomial::needed(0, 0.001, 0.95), 2_995);
    assert_eq!(binomial::needed(0, 0.01, 0.95), 299);
    assert!(!binomial::shows_below(0, 2_994, 0.001, 0.95));
    assert!(binomial::shows_below(0, 2_995, 0.001, 0.95));
    assert_eq!(binomial::needed(0, 0.0, 0.95), binomial::NEEDED_MAX);
    assert_eq!(binomial::needed(3, 0.01, 0.0), 4);
}

#[test]
fn binomial_tails_by_hand() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    near(binomial::cdf(0, 3, 0.5), 0.125);
    near(binomial::cdf(1, 3, 0.5), 0.5);
    near(binomial::cdf(2, 3, 0.5), 0.875);
    near(binomial::cdf(3, 3, 0.5), 1.0);
    near(binomial::cdf(1, 4, 0.1), 0.9_f64.powi(4) + 4.0 * 0.1 * 0.9_f64.powi(3));
    near(binomial::upper_bound(0, 10, 0.95), 1.0 - 0.05_f64.powf(0.1));
    near(binomial::lower_bound(10, 10, 0.95), 0.05_f64.powf(0.1));
    // The textbook interval of 4 of 20 at 95 % (two-sided): 5.73 % to 43.66 %.
    assert!((binomial::lower_bound(4, 20, 0.975) - 0.057_334).abs() < 1e-5);
    assert!((binomial::upper_bound(4, 20, 0.975) - 0.436_614).abs() < 1e-5);
    assert!(binomial::cdf(10, 1_000_000_000, 0.5) <= 0.0);
}

#[test]
fn n1_five_hundred_clean_requests_do_not_show_one_in_a_thousand() {
    let rule = errors_below(0.1);
    let placed = place(&rule, Measured::Share { bad: 0, of: 500 }, 0.95, 0);
    assert_eq!((placed.standing, placed.needed), (Standing::TooFew, 2_995));
    let placed = place(&rule, Measured::Share { bad: 0, of: 3_000 }, 0.95, 0);
    assert_eq!(placed.standing, Standing::Pass);
    let placed = place(&rule, Measured::Share { bad: 3, of: 3_000 }, 0.95, 0);
    assert_eq!(placed.standing, Standing::Outside, "0.1 % is not below 0.1 %");
    let placed = place(&rule, Measured::Share { bad: 1, of: 3_000 }, 0.95, 0);
    assert_eq!(placed.standing, Standing::TooFew);
    assert!(placed.needed > 4_000, "{}", placed.needed);
    let placed = place(&rule, Measured::Share { bad: 0, of: 3_000 }, 0.95, 5_000);
    assert_eq!((placed.standing, placed.needed), (Standing::TooFew, 5_000));
    let placed = place(&rule, Measured::Share { bad: 0, of: 1 }, 0.0, 0);
    assert_eq!(placed.standing, Standing::Pass, "confidence 0 takes the plain share");
    let placed = place(&rule, Measured::Share { bad: 0, of: 0 }, 0.0, 0);
    assert_eq!(placed.standing, Standing::TooFew, "but never nothing at all");
}

#[test]
fn n2_the_exact_bucket_rule() {
    let rule = Rule::at_once(Metric::LatencyMs(Quantile::P95), Op::Below, 200.0);
    let cells = tidegate_judge::Cells::new(&[200.0]);
    let reading = |fast_ms: f64, slow: u64| {
        let mut sum = arm(&cells, 100 - slow, 0, fast_ms);
        sum.absorb(&arm(&cells, slow, 0, 900.0));
        rule.read(rule.measure(&sum, &cells))
    };
    assert_eq!(reading(199.9, 5), Reading::Breach, "95 of 100 are faster than 200 ms");
    assert_eq!(reading(199.9, 6), Reading::Good);
    assert_eq!(reading(200.0, 0), Reading::Good, "200.0 is not below 200");
}

#[test]
fn n3_one_hot_instance_holds() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 2_500);
    let verdict = run(&mut judge, 0, 60, |_| {
        let mut hot = arm(&cells, 60, 0, 50.0);
        hot.cpu = Some(71.0);
        (Some(hot), Some(arm(&cells, 180, 0, 50.0)))
    });
    assert_eq!(verdict.call, Call::Hold { reason: HoldReason::BetweenLimits });
    assert_eq!(
        verdict.sentence,
        "Hold: CPU of the new version is 71.0 %, must be < 70 % to go on, > 90 % for 10m rolls \
         back."
    );
}

#[test]
fn n8_between_the_limits_names_both() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 2_500);
    let verdict = run(&mut judge, 0, 60, |_| {
        (Some(arm(&cells, 60, 0, 300.0)), Some(arm(&cells, 180, 0, 50.0)))
    });
    assert_eq!(verdict.call, Call::Hold { reason: HoldReason::BetweenLimits });
    let p95 = &verdict.metrics[1];
    assert_eq!(p95.zone, Zone::Hold);
    assert!(p95.candidate.is_some_and(|ms| (300.0..320.0).contains(&ms)));
    assert_eq!(
        verdict.sentence,
        "Hold: p95 of the new version is at most 313 ms (3,600 requests), 3,600 took 200 ms or \
         more where 5 % may, must be < 200 ms to go on, > 500 ms for 5m rolls back."
    );
}

#[test]
fn percentages_are_decided_in_whole_numbers() {
    let rule = errors_above(0.3, 0);
    assert_eq!(rule.read(Measured::Share { bad: 3, of: 1_000 }), Reading::Good);
    assert_eq!(rule.read(Measured::Share { bad: 3, of: 999 }), Reading::Breach);
    let all = errors_above(100.0, 0);
    let most = Measured::Share { bad: u64::MAX, of: u64::MAX };
    assert_eq!(all.read(most), Reading::Good);
    let probes = Rule::at_once(Metric::ProbeFailures, Op::Above, 50.0);
    assert_eq!(probes.read(Measured::Share { bad: 3, of: 6 }), Reading::Good);
    assert_eq!(probes.read(Measured::Share { bad: 4, of: 6 }), Reading::Breach);
}

#[test]
fn numbers_that_are_not_numbers_are_no_data() {
    let cpu = Rule::at_once(Metric::Cpu, Op::Above, 90.0);
    let cells = tidegate_judge::Cells::new(&[]);
    for value in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)] {
        let broken = tidegate_judge::Arm { cpu: value, ..Default::default() };
        assert_eq!(cpu.read(cpu.measure(&broken, &cells)), Reading::NoData, "{value:?}");
    }
    assert_eq!(cpu.read(Measured::Level(f64::NAN)), Reading::NoData);
    let reset = tidegate_judge::Arm { requests: 3, failures: 4, ..Default::default() };
    assert_eq!(errors_above(1.0, 0).measure(&reset, &cells), Measured::Nothing);
}

#[test]
fn policies_that_cannot_be_decided_are_refused() {
    let p95 = Metric::LatencyMs(Quantile::P95);
    let refused = |change: fn(&mut tidegate_judge::Policy, Metric)| {
        let mut policy = runbook();
        let cells = cells(&policy);
        change(&mut policy, p95);
        policy.check(&cells).expect_err("must be refused")
    };
    let error = refused(|policy, p95| policy.advance[1] = Rule::at_once(p95, Op::Below, 201.0));
    assert!(matches!(error, PolicyError::NotAnEdge { .. }));
    let error = refused(|policy, _| policy.advance[0].op = Op::Above);
    assert!(matches!(error, PolicyError::Direction { .. }));
    let error = refused(|policy, _| policy.advance[0].sustained_ms = 1);
    assert!(matches!(error, PolicyError::SustainedAdvance { .. }));
    let error = refused(|policy, _| policy.rollback[0].limit = 100.5);
    assert_eq!(error.to_string(), "the limit of `errors > 100.5 % for 5m` is out of range");
    let error = refused(|policy, _| policy.rollback[2].limit = f64::NAN);
    assert!(matches!(error, PolicyError::Limit { .. }));
    let error = refused(|policy, _| policy.rollback[0].sustained_ms = u64::MAX);
    assert!(matches!(error, PolicyError::SustainedTooLong { .. }));
    let error = refused(|policy, _| policy.confidence = 1.0);
    assert!(matches!(error, PolicyError::Confidence { .. }));
    let error = refused(|policy, _| policy.rollback = vec![policy.rollback[0]; 33]);
    assert!(matches!(error, PolicyError::TooManyRules { rules: 33 }));
    let error = refused(|policy, _| policy.tick_ms = 0);
    assert!(matches!(error, PolicyError::Timing { .. }));
}
