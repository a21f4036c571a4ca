//! `window`: what is read, and what is refused with something to do about it.

use std::collections::BTreeMap;

use tidegate_core::window::{Door, Overrun};
use tidegate_spec::{Context, Diagnostics, Parsed, Purpose, read_with};

use crate::release;

const BASE: &str = "tidegate: 1\nservice: shop\ndeploy:\n  run: [./app]\n  probes:\n    \
                    health: {get: /}\ntraffic: {route: {listen: \"127.0.0.1:8080\"}}\n";
const DAYS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n\
                    UID:1\r\nDTSTART;VALUE=DATE:20201225\r\n\
                    RRULE:FREQ=YEARLY\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn read(window: &str, calendar: &str) -> Result<Parsed, Diagnostics> {
    let files = BTreeMap::from([("days.ics".to_owned(), calendar.as_bytes().to_vec())]);
    let context = Context {
        release: release(),
        environment: None,
        files: &files,
        variables: &BTreeMap::new(),
        today: None,
        purpose: Purpose::Deploy,
    };
    read_with(&format!("{BASE}window: {window}\n"), "tidegate.yaml", &context)
}

#[test]
fn a_window_is_read_with_its_holidays_and_freezes() {
    let window = "{zone: Europe/Berlin, allow: [mon-fri 09:00-16:00, 0 9 * * 6 for 2h], \
                  holidays: days.ics, overrun: hold, \
                  freeze: [{from: 2026-12-28, to: 2026-12-29, reason: the books are closed}]}";
    let parsed = read(window, DAYS).unwrap_or_else(|found| panic!("refused:\n{found}"));
    let window = parsed.plan.window.unwrap();
    assert_eq!((window.open.len(), window.overrun), (2, Overrun::Hold));
    let at = |time: &str| window.at(time.parse().unwrap());
    let closed = |time: &str, said: &str| match at(time) {
        Door::Closed { why, .. } => assert!(why.contains(said), "{time}: {why}"),
        open @ Door::Open { .. } => panic!("{time}: {open:?}"),
    };
    assert!(matches!(at("2026-12-24T10:00:00Z"), Door::Open { closes: Some(_) }));
    closed("2026-12-25T10:00:00Z", "Christmas");
    closed("2026-12-29T10:00:00Z", "the books are closed");
    closed("2026-12-30T07:59:59Z", "window is closed");
    assert!(matches!(at("2026-12-26T08:30:00Z"), Door::Open { .. }), "Saturday by cron");
    let wanted = format!("{BASE}window: {{holidays: days.ics}}\n");
    assert_eq!(tidegate_spec::wanted(&wanted, &BTreeMap::new()), ["days.ics"]);
}

#[test]
fn what_is_not_understood_is_refused() {
    for (window, code) in [
        ("{zone: Berlin}", "TG1036"),
        ("{allow: weekdays}", "TG1036"),
        ("{allow: mon-fri 9-16}", "TG1036"),
        ("{allow: mon-fri 25:00-26:00}", "TG1036"),
        ("{allow: 0 9 * * 1-9 for 2h}", "TG1036"),
        ("{allow: 0 9 * * 1 for 200h}", "TG1036"),
        ("{holidays: none.ics}", "TG1032"),
        ("{freeze: [{from: 2026-12-28, to: 2026-12-27, reason: x}]}", "TG1036"),
        ("{freeze: [{from: 2026-12-28T10:00Z, to: 2026-12-29, reason: x}]}", "TG1036"),
        ("{freeze: [{from: 2026-12-28, to: 2026-12-29}]}", "TG1008"),
        ("{overrun: stop}", "TG1023"),
        ("{opens: never}", "TG1007"),
    ] {
        let refused = read(window, DAYS).expect_err(window).to_string();
        assert!(refused.contains(code), "{window}: {refused}");
    }
    let weekly = DAYS.replace("FREQ=YEARLY", "FREQ=WEEKLY");
    let unread = DAYS.replace("20201225", "yesterday");
    let calendars = [
        ("", "no whole"),
        ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "no events"),
        (weekly.as_str(), "FREQ=WEEKLY"),
        (unread.as_str(), "no beginning"),
        (DAYS.split_at(DAYS.len() / 2).0, "no whole"),
    ];
    for (calendar, said) in calendars {
        let refused = read("{holidays: days.ics}", calendar).expect_err(said).to_string();
        assert!(refused.contains(said), "{refused}");
    }
}
