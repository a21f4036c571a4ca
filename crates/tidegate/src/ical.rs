//! When deployments may begin and duties are due, as a calendar that other programs read (RFC 5545, in UTC).
//! Must never show a time as open that a freeze closes without showing the freeze.

use icalendar::{Calendar as Ical, Component, Event};
use jiff::Timestamp;

use crate::view::calendar::Calendar;

/// The calendars of some services as one, under a name.
pub(crate) fn of(name: &str, calendars: &[Calendar], now: Timestamp) -> String {
    let mut out = Ical::new();
    out.name(name);
    for calendar in calendars {
        add(&mut out, calendar, now);
    }
    out.done().to_string()
}

fn add(out: &mut Ical, calendar: &Calendar, now: Timestamp) {
    let utc = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}.{}", calendar.service, calendar.environment);
    let mut event = |kind: &str, from: Timestamp, to: Timestamp, words: &str| {
        let uid = format!("{kind}-{}@{scope}.tidegate", utc(from));
        let event = Event::with_uid(&uid)
            .summary(words)
            .add_property("DTSTAMP", utc(now))
            .add_property("DTSTART", utc(from))
            .add_property("DTEND", utc(to))
            .done();
        out.push(event);
    };
    for open in &calendar.openings {
        event("open", open.from, open.to, &format!("{scope}: deployments may begin"));
    }
    for duty in &calendar.duties {
        let Some(due) = duty.due else { continue };
        let owner = duty.owner.as_ref().map(|owner| format!(" ({owner})")).unwrap_or_default();
        let words = format!("{scope}: duty {} is due{owner}", duty.name);
        event(&format!("duty-{}", duty.name), due, due, &words);
    }
    for freeze in &calendar.freezes {
        let words = format!("{scope}: freeze {}: {}", freeze.name, freeze.reason);
        event("freeze", freeze.from, freeze.until, &words);
    }
}
