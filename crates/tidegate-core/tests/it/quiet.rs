//! The hour of the fewest requests: seen hours only, and only where a deployment may begin.

use jiff::Timestamp;
use tidegate_core::window::{Load, Opening, Overrun, Window};

fn window(open: Vec<Opening>) -> Window {
    Window {
        zone: "Europe/Berlin".to_owned(),
        open,
        closed: Vec::new(),
        overrun: Overrun::Finish,
        low_traffic: true,
    }
}

/// A Wednesday, 12:30 in Berlin.
fn now() -> Timestamp {
    "2026-11-25T11:30:00Z".parse().unwrap()
}

#[test]
fn nothing_is_proposed_of_which_nothing_is_known() {
    let mut load = Load::default();
    assert_eq!(window(Vec::new()).quietest(&load, now()), None);
    // Half a minute says nothing, and there is no hour 24.
    load.add(3, 30.0, 0.0);
    load.add(24, 3_600.0, 0.0);
    assert_eq!(window(Vec::new()).quietest(&load, now()), None);
}

#[test]
fn the_quietest_hour_that_was_seen_is_proposed_by_the_clock_of_the_zone() {
    let mut load = Load::default();
    load.add(14, 600.0, 60_000.0);
    load.add(4, 600.0, 600.0);
    load.add(4, 600.0, 1_800.0);
    let quiet = window(Vec::new()).quietest(&load, now()).unwrap();
    assert_eq!(quiet.from, "2026-11-26T03:00:00Z".parse().unwrap());
    assert_eq!((quiet.rate, quiet.busiest, quiet.known), (2.0, 100.0, 2));
}

#[test]
fn only_hours_in_which_one_may_begin_are_proposed() {
    let mut load = Load::default();
    load.add(4, 600.0, 0.0);
    load.add(14, 600.0, 60_000.0);
    let from = |hour| jiff::civil::time(hour, 0, 0, 0);
    let open = vec![Opening::Weekly { days: vec![4], from: from(9), to: from(17) }];
    let quiet = window(open).quietest(&load, now()).unwrap();
    // Thursday, 14:00 in Berlin: the hour at four is quieter, and closed.
    assert_eq!(quiet.from, "2026-11-26T13:00:00Z".parse().unwrap());
}
