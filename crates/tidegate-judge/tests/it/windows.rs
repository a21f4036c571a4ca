//! Sustained windows: N4 to N7 of the documents at their boundaries.
//! It must never fire a second early.

use tidegate_judge::window::{RatioWindow, Trail};
use tidegate_judge::{Gap, Measured, Metric, Op, Reading, Rule, RuleState, Window};

use crate::scene::{FIVE_MINUTES, errors_above};

fn feed(window: &mut Window, from_s: u64, to_s: u64, reading: Reading) -> RuleState {
    let mut state = RuleState::Clear;
    for second in from_s..=to_s {
        state = window.observe(second * 1_000, reading);
    }
    state
}

#[test]
fn five_minutes_are_five_minutes() {
    let mut window = Window::new(&errors_above(1.0, FIVE_MINUTES));
    let state = feed(&mut window, 10, 10 + 299, Reading::Breach);
    assert_eq!(state, RuleState::Breaching { since_ms: 10_000, needs_ms: 1_000 });
    let state = feed(&mut window, 310, 310, Reading::Breach);
    assert_eq!(state, RuleState::Fired { since_ms: 10_000, at_ms: 310_000 });
    let state = feed(&mut window, 311, 320, Reading::Breach);
    assert_eq!(state, RuleState::Fired { since_ms: 10_000, at_ms: 310_000 });
    assert_eq!(feed(&mut window, 321, 321, Reading::Good), RuleState::Clear);
}

#[test]
fn one_good_evaluation_starts_the_window_again() {
    let mut window = Window::new(&errors_above(1.0, FIVE_MINUTES));
    feed(&mut window, 0, 299, Reading::Breach);
    assert_eq!(feed(&mut window, 300, 300, Reading::Good), RuleState::Clear);
    let state = feed(&mut window, 301, 600, Reading::Breach);
    assert_eq!(state, RuleState::Breaching { since_ms: 301_000, needs_ms: 1_000 });
}

#[test]
fn a_gap_stops_the_clock_and_is_not_a_breach() {
    let mut window = Window::new(&errors_above(1.0, FIVE_MINUTES));
    feed(&mut window, 0, 290, Reading::Breach);
    assert_eq!(feed(&mut window, 291, 310, Reading::NoData), RuleState::NoData);
    let state = feed(&mut window, 311, 320, Reading::Breach);
    assert_eq!(state, RuleState::Breaching { since_ms: 0, needs_ms: 1_000 });
    let state = feed(&mut window, 321, 321, Reading::Breach);
    assert_eq!(state, RuleState::Fired { since_ms: 0, at_ms: 321_000 });
}

#[test]
fn a_long_gap_ends_the_run() {
    let rule = errors_above(1.0, FIVE_MINUTES);
    let mut window = Window::new(&rule);
    feed(&mut window, 0, 290, Reading::Breach);
    feed(&mut window, 291, 360, Reading::NoData);
    let state = feed(&mut window, 361, 361, Reading::Breach);
    assert_eq!(state, RuleState::Breaching { since_ms: 361_000, needs_ms: FIVE_MINUTES });

    // The same when nobody asked during the silence.
    let mut window = Window::new(&rule);
    feed(&mut window, 0, 10, Reading::Breach);
    let state = feed(&mut window, 400, 400, Reading::Breach);
    assert_eq!(state, RuleState::Breaching { since_ms: 400_000, needs_ms: FIVE_MINUTES });
}

#[test]
fn the_other_gap_policy_ends_the_run_at_once() {
    let mut window = Window::with_tick(&errors_above(1.0, FIVE_MINUTES), 1_000, Gap::Breaks);
    feed(&mut window, 0, 299, Reading::Breach);
    feed(&mut window, 300, 300, Reading::NoData);
    let state = feed(&mut window, 301, 301, Reading::Breach);
    assert_eq!(state, RuleState::Breaching { since_ms: 301_000, needs_ms: FIVE_MINUTES });
}

#[test]
fn minute_ticks_do_not_break_a_run_and_a_clock_that_goes_back_does() {
    let rule = errors_above(1.0, FIVE_MINUTES);
    let mut window = Window::with_tick(&rule, 60_000, Gap::Holds);
    for minute in 0..5 {
        let state = window.observe(minute * 60_000, Reading::Breach);
        assert!(matches!(state, RuleState::Breaching { .. }), "{minute}: {state:?}");
    }
    let state = window.observe(FIVE_MINUTES, Reading::Breach);
    assert_eq!(state, RuleState::Fired { since_ms: 0, at_ms: FIVE_MINUTES });
    let state = window.observe(5, Reading::Breach);
    assert_eq!(state, RuleState::Breaching { since_ms: 5, needs_ms: FIVE_MINUTES });
}

#[test]
fn an_immediate_rule_fires_on_its_first_breach() {
    let mut window = Window::new(&errors_above(1.0, 0));
    assert_eq!(window.observe(7, Reading::NoData), RuleState::NoData);
    assert_eq!(window.observe(8, Reading::Good), RuleState::Clear);
    assert_eq!(window.observe(9, Reading::Breach), RuleState::Fired { since_ms: 9, at_ms: 9 });
}

fn probes(failed: &[u64]) -> RuleState {
    let rule = Rule::sustained(Metric::ProbeFailures, Op::Above, 50.0, 180_000);
    let mut window = RatioWindow::new(&rule);
    let mut state = RuleState::Clear;
    for second in 1..=180_u64 {
        let measured = match second {
            second if second.is_multiple_of(30) => {
                let probe = usize::try_from(second / 30 - 1).expect("small");
                Measured::Share { bad: failed[probe], of: 1 }
            }
            _ => Measured::Share { bad: 0, of: 0 },
        };
        state = window.observe((second - 1) * 1_000, second * 1_000, measured);
    }
    state
}

#[test]
fn three_of_six_probes_are_not_more_than_half_and_four_are() {
    assert_eq!(probes(&[1, 0, 1, 0, 1, 0]), RuleState::Clear);
    let state = probes(&[0, 1, 1, 0, 1, 1]);
    assert!(matches!(state, RuleState::Fired { at_ms: 180_000, .. }), "{state:?}");
}

#[test]
fn probes_fire_only_after_the_whole_window_and_only_on_a_fresh_probe() {
    let rule = Rule::sustained(Metric::ProbeFailures, Op::Above, 50.0, 180_000);
    let mut window = RatioWindow::new(&rule);
    let bad = Measured::Share { bad: 1, of: 1 };
    for second in 1..=179_u64 {
        let state = window.observe((second - 1) * 1_000, second * 1_000, bad);
        let needs_ms = 180_000 - second * 1_000;
        assert_eq!(state, RuleState::Breaching { since_ms: 1_000, needs_ms });
    }
    let state = window.observe(179_000, 180_000, Measured::Nothing);
    assert_eq!(state, RuleState::Breaching { since_ms: 1_000, needs_ms: 0 });
    let state = window.observe(180_000, 181_000, bad);
    assert_eq!(state, RuleState::Fired { since_ms: 1_000, at_ms: 181_000 });
    let state = window.observe(181_000, 600_000, Measured::Nothing);
    assert_eq!(state, RuleState::NoData, "old probes say nothing of the present");
}

#[test]
fn a_trail_bridges_single_empty_seconds() {
    let rule = errors_above(1.0, FIVE_MINUTES);
    let mut trail = Trail::new(&rule, 10_000, 1_000);
    let share = |bad, of| Measured::Share { bad, of };
    assert_eq!(trail.push(1_000, share(1, 4)), share(1, 4));
    for second in 2..=10 {
        assert_eq!(trail.push(second * 1_000, share(0, 0)), share(1, 4));
    }
    assert_eq!(trail.push(11_000, share(0, 0)), share(0, 0));
    assert_eq!(trail.push(12_000, Measured::Nothing), Measured::Nothing);
    assert_eq!(trail.push(3_000, share(0, 2)), share(0, 2), "the clock went back");
}

#[test]
fn a_trail_is_short_for_a_short_rule() {
    // One bad second in a rule of ten seconds may fill two evaluations, not ten.
    let mut trail = Trail::new(&errors_above(1.0, 10_000), 10_000, 1_000);
    let share = |bad, of| Measured::Share { bad, of };
    trail.push(1_000, share(9, 10));
    assert_eq!(trail.push(2_000, share(0, 10)), share(9, 20));
    assert_eq!(trail.push(3_000, share(0, 10)), share(0, 20));
}
