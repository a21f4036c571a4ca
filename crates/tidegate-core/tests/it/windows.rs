//! Windows, closures and freezes: what a script says of them, and vectors over the changes of the
//! clock. Must never look at the time zones of the machine.

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use tidegate_core::window::{Closure, Door, Opening, Overrun, Window, cron, zone};

/// `open=09:00-16:00` each day of the week in UTC, `closed=DAY`, `overrun=hold`.
pub(crate) fn set(window: &mut Option<Window>, key: &str, value: &str) -> Result<(), String> {
    let window = window.get_or_insert_with(|| of("UTC", Vec::new()));
    match key {
        "open" => {
            let (from, to) = value.split_once('-').ok_or("open=HH:MM-HH:MM")?;
            let time = |text: &str| text.parse::<Time>().map_err(|e| e.to_string());
            let days = (1..=7).collect();
            window.open.push(Opening::Weekly { days, from: time(from)?, to: time(to)? });
        }
        "closed" => {
            let day: DateTime = value.parse().map_err(|e: jiff::Error| e.to_string())?;
            let to = day.date().tomorrow().map_err(|e| e.to_string())?.into();
            window.closed.push(Closure { why: "a holiday".to_owned(), from: day, to });
        }
        _ if value == "hold" => window.overrun = Overrun::Hold,
        _ => window.overrun = Overrun::Finish,
    }
    Ok(())
}

fn of(zone: &str, open: Vec<Opening>) -> Window {
    let zone = zone.to_owned();
    Window { zone, open, closed: Vec::new(), overrun: Overrun::Finish, low_traffic: false }
}

fn weekly(days: &[i8], from: i8, to: i8) -> Opening {
    let time = |hour| Time::new(hour, 0, 0, 0).unwrap();
    Opening::Weekly { days: days.to_vec(), from: time(from), to: time(to) }
}

fn by_cron(line: &str, hours: i64) -> Opening {
    Opening::Cron { line: line.to_owned(), lasts: jiff::SignedDuration::from_hours(hours) }
}

/// `open until T`, `closed until T` or without an end, as one text.
fn at(window: &Window, now: &str) -> String {
    let now: Timestamp = now.parse().unwrap();
    match window.at(now) {
        Door::Open { closes: None } => "open".to_owned(),
        Door::Open { closes: Some(end) } => format!("open until {end}"),
        Door::Closed { opens: None, why } => format!("closed: {why}"),
        Door::Closed { opens: Some(end), .. } => format!("closed until {end}"),
    }
}

#[test]
fn a_week_in_a_zone_follows_its_clock_over_both_changes() {
    let berlin = of("Europe/Berlin", vec![weekly(&[1, 2, 3, 4, 5, 6, 7], 2, 4)]);
    for (now, said) in [
        // Winter is one hour ahead of UTC, summer two.
        ("2026-01-10T00:59:59Z", "closed until 2026-01-10T01:00:00Z"),
        ("2026-01-10T01:00:00Z", "open until 2026-01-10T03:00:00Z"),
        ("2026-07-10T01:00:00Z", "open until 2026-07-10T02:00:00Z"),
        // 02:00 to 03:00 does not exist on 29 March: it begins at what would have been 02:00.
        ("2026-03-29T00:59:59Z", "closed until 2026-03-29T01:00:00Z"),
        ("2026-03-29T01:30:00Z", "open until 2026-03-29T02:00:00Z"),
        // 02:00 to 03:00 comes twice on 25 October: it is open in both.
        ("2026-10-25T00:00:00Z", "open until 2026-10-25T03:00:00Z"),
        ("2026-10-25T02:59:59Z", "open until 2026-10-25T03:00:00Z"),
        ("2026-10-25T03:00:00Z", "closed until 2026-10-26T01:00:00Z"),
    ] {
        assert_eq!(at(&berlin, now), said, "{now}");
    }
}

#[test]
fn nights_days_and_closures() {
    // Friday 22:00 to Saturday 02:00.
    let night = of("UTC", vec![weekly(&[5], 22, 2)]);
    assert_eq!(at(&night, "2026-11-28T01:59:59Z"), "open until 2026-11-28T02:00:00Z");
    assert_eq!(at(&night, "2026-11-28T02:00:00Z"), "closed until 2026-12-04T22:00:00Z");
    // Openings that meet are one.
    let whole = of("UTC", vec![weekly(&[1], 9, 12), weekly(&[1], 12, 17)]);
    assert_eq!(at(&whole, "2026-11-23T09:00:00Z"), "open until 2026-11-23T17:00:00Z");
    // A closure cuts, and a window without openings is open but for it.
    let mut always = of("UTC", Vec::new());
    assert_eq!(at(&always, "2026-11-25T00:00:00Z"), "open");
    always.closed.push(Closure {
        why: "year end".to_owned(),
        from: "2026-12-20T00:00".parse().unwrap(),
        to: "2027-01-04T00:00".parse().unwrap(),
    });
    assert_eq!(at(&always, "2026-11-25T00:00:00Z"), "open until 2026-12-20T00:00:00Z");
    assert_eq!(at(&always, "2026-12-20T00:00:00Z"), "closed until 2027-01-04T00:00:00Z");
    // No such day ever, no such zone: closed, and nobody waits for it.
    assert!(at(&of("UTC", vec![weekly(&[], 1, 2)]), "2026-11-25T00:00:00Z").starts_with("closed:"));
    let nowhere = at(&of("Mars/Olympus", Vec::new()), "2026-11-25T00:00:00Z");
    assert_eq!(nowhere, "closed: no time zone `Mars/Olympus`");
    assert!(zone("../../etc/passwd").is_none());
}

#[test]
fn cron_lines_are_of_the_zones_clock() {
    let new_york = of("America/New_York", vec![by_cron("30 9 * * MON-THU", 6)]);
    assert_eq!(at(&new_york, "2026-11-25T14:29:59Z"), "closed until 2026-11-25T14:30:00Z");
    assert_eq!(at(&new_york, "2026-11-25T14:30:00Z"), "open until 2026-11-25T20:30:00Z");
    assert_eq!(at(&new_york, "2026-11-26T21:00:00Z"), "closed until 2026-11-30T14:30:00Z");
    // In summer an hour earlier.
    assert_eq!(at(&new_york, "2026-07-06T13:30:00Z"), "open until 2026-07-06T19:30:00Z");
    // 0 and 7 are Sunday, as crontab has it.
    for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN"] {
        let window = of("UTC", vec![by_cron(sunday, 1)]);
        assert_eq!(at(&window, "2026-11-25T12:00:00Z"), "closed until 2026-11-29T00:00:00Z");
    }
    for wrong in ["", "* * * *", "61 * * * *", "0 9 * * 1-4 UTC", "0 9 * * FOO", "@daily"] {
        assert!(cron(wrong).is_err(), "{wrong}");
    }
}
