//! Golden sentences: the text a person reads, whole.
//! It must never be blessed without being read aloud.

use tidegate_judge::{Call, EvidencePolicy, Metric, Op, Policy, Quantile, Rule};

use crate::scene::{FIVE_MINUTES, arm, cells, errors_above, errors_below, judge, run, runbook};

#[test]
fn sentence_of_an_advance() {
    let policy = runbook();
    let cells = cells(&policy);
    let mut judge = judge(&policy, 2_500);
    let verdict = run(&mut judge, 0, 60, |_| {
        (Some(arm(&cells, 60, 0, 150.0)), Some(arm(&cells, 180, 0, 150.0)))
    });
    assert_eq!(verdict.call, Call::Advance);
    assert_eq!(
        verdict.sentence,
        "Advance: the new version has errors 0 % (0 of 3,600) with limit < 0.1 %; p95 at most 156 \
         ms (3,600 requests) with limit < 200 ms; CPU 40.0 % with limit < 70 %; memory 50.0 % with \
         limit < 80 %; failed probes 0 % (0 of 60) where > 50 % for 3m rolls back."
    );
}

#[test]
fn sentence_of_too_small_a_sample() {
    let policy = Policy { advance: vec![errors_below(0.1)], ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 2_500);
    let verdict =
        run(&mut judge, 0, 10, |_| (Some(arm(&cells, 50, 0, 9.0)), Some(arm(&cells, 150, 0, 9.0))));
    assert_eq!(
        verdict.sentence,
        "Hold: errors of the new version are 0 % (0 of 500), which is < 0.1 %, but 2,995 requests \
         are needed to be 95 % sure: 2,495 to go."
    );
}

#[test]
fn sentence_of_a_breach_under_way() {
    let policy = Policy { rollback: vec![errors_above(1.0, FIVE_MINUTES)], ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 2_500);
    let verdict =
        run(&mut judge, 0, 181, |_| (Some(arm(&cells, 20, 1, 9.0)), Some(arm(&cells, 60, 0, 9.0))));
    assert_eq!(
        verdict.sentence,
        "Hold: errors of the new version are 5.0 % (181 of 3,620), limit 1 % for 5m, breaching for \
         3m, rolls back in 2m unless it ends; in live 0 % (0 of 10,860)."
    );
}

#[test]
fn sentence_of_slow_answers() {
    let rule = Rule::sustained(Metric::LatencyMs(Quantile::P95), Op::Above, 500.0, 30_000);
    let policy = Policy { rollback: vec![rule], ..Policy::default() };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 2_500);
    let verdict = run(&mut judge, 0, 31, |_| {
        (Some(arm(&cells, 20, 0, 700.0)), Some(arm(&cells, 60, 0, 90.0)))
    });
    assert_eq!(verdict.call, Call::Rollback);
    assert_eq!(
        verdict.sentence,
        "Roll back: p95 of the new version is over 500 ms (620 of 620 took that or more), limit \
         500 ms for 30s, breached for 30s; in live 0 of 1,860 took that or more."
    );
}

#[test]
fn rules_read_as_they_are_written() {
    let odd = Quantile::from_bp(9_990).expect("in range");
    let rules = [
        (errors_above(1.0, FIVE_MINUTES), "errors > 1 % for 5m"),
        (Rule::at_once(Metric::LatencyMs(Quantile::P95), Op::Below, 200.0), "p95 < 200 ms"),
        (Rule::at_once(Metric::LatencyMs(odd), Op::AtMost, 0.5), "p99.9 <= 0.5 ms"),
        (Rule::sustained(Metric::Cpu, Op::AtLeast, 90.0, 5_400_000), "CPU >= 90 % for 1h 30m"),
        (Rule::sustained(Metric::Memory, Op::Above, 95.5, 450), "memory > 95.5 % for 450ms"),
    ];
    for (rule, text) in rules {
        assert_eq!(rule.to_string(), text);
    }
}

#[test]
fn sentence_of_evidence() {
    let policy = Policy {
        rollback: vec![errors_above(1.0, FIVE_MINUTES)],
        evidence: Some(EvidencePolicy::default()),
        ..Policy::default()
    };
    let cells = cells(&policy);
    let mut judge = judge(&policy, 500);
    // Five requests a second against 95; from the third second on every fourth has a failure.
    let mut verdict = None;
    for second in 1..=60_u64 {
        let failed = u64::from(second > 2 && second % 4 == 3);
        let live = u64::from(second == 9);
        let (candidate, live) = (arm(&cells, 5, failed, 60.0), arm(&cells, 95, live, 60.0));
        let tick = crate::scene::tick(second * 1_000, Some(candidate), Some(live));
        let next = judge.tick(&tick);
        let ends = next.call == Call::Rollback;
        verdict = Some(next);
        if ends {
            break;
        }
    }
    let verdict = verdict.expect("ticks were fed");
    assert_eq!(
        verdict.sentence,
        "Roll back: the new version failed 4 of 75 requests (5.3 %), live 1 of 1,425 requests \
         (0.07 %), 79 times as often (99 % range 2.9 to 1000), since about 14s ago, an equal \
         version does that in fewer than 1 of 227 rollouts."
    );
}
