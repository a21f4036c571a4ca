//! Reads an iCalendar file of days without deployments, RFC 5545: whole days and times, once or
//! every year. Must never leave an event out that it does not understand.

use std::collections::BTreeMap;

use icalendar::{Calendar, CalendarComponent, Component};
use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};
use tidegate_core::window::{CLOSURES_MAX, Closure};

use crate::codes;
use crate::fields::{Field, shorten};
use crate::read;
use crate::report::Report;

/// Longest name of a holiday, characters.
const NAME_CHARS_MAX: usize = 80;
/// For how many years a day that comes every year is read.
const YEARS: i32 = 30;

pub(super) fn read(
    field: &Field<'_>,
    files: &BTreeMap<String, Vec<u8>>,
    report: &mut Report<'_>,
) -> Vec<Closure> {
    let Some(path) = read::artifact_path(field, report) else { return Vec::new() };
    let Some(bytes) = files.get(&path) else {
        let message = format!("`{}` names `{}`, and there is no such file", field.path, path);
        report
            .error(codes::INCLUDE, field.at(), message)
            .help("commit the calendar beside this file, with a path relative to it");
        return Vec::new();
    };
    match closures(bytes) {
        Ok(closed) => closed,
        Err(what) => {
            let message = format!("`{}` cannot be read as a calendar: {what}", shorten(&path));
            report
                .error(codes::BAD_DATE, field.at(), message)
                .help("export whole days as iCalendar, once or every year");
            Vec::new()
        }
    }
}

fn closures(bytes: &[u8]) -> Result<Vec<Closure>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_no| "it is not UTF-8".to_owned())?;
    if !text.trim_start().starts_with("BEGIN:VCALENDAR") || !text.contains("END:VCALENDAR") {
        return Err("it is no whole iCalendar file".to_owned());
    }
    let calendar: Calendar = text.parse().map_err(|error: String| shorten(&error))?;
    let mut closed = Vec::new();
    for component in &calendar.components {
        let CalendarComponent::Event(event) = component else { continue };
        let name = event.property_value("SUMMARY").unwrap_or("a day without a name");
        let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        let wrong = |what: &str| format!("{name}: {what}");
        let from = event.property_value("DTSTART").and_then(moment);
        let from =
            from.ok_or_else(|| wrong("it has no beginning that is a day or a local time"))?;
        let to = match (event.property_value("DTEND"), event.property_value("DURATION")) {
            (Some(end), None) => moment(end).ok_or_else(|| wrong("its end is not read"))?,
            (None, None) => from.date().tomorrow().map_err(|e| e.to_string())?.into(),
            _ => return Err(wrong("a duration is not read, write its end")),
        };
        let years = match event.property_value("RRULE") {
            None => 0,
            Some("FREQ=YEARLY") => YEARS,
            Some(rule) => return Err(wrong(&format!("the rule {rule} is not read"))),
        };
        for year in 0..=years {
            let later = |time: DateTime| time.checked_add(year.years()).map_err(|e| e.to_string());
            closed.push(Closure { why: name.clone(), from: later(from)?, to: later(to)? });
        }
        if closed.len() > CLOSURES_MAX {
            return Err(format!("it has more than {CLOSURES_MAX} days"));
        }
    }
    if closed.is_empty() {
        return Err("it has no events".to_owned());
    }
    Ok(closed)
}

/// `20261224` or `20261224T180000`. A time in UTC is none of the zone's clock.
fn moment(value: &str) -> Option<DateTime> {
    match value.len() {
        8 => Some(Date::strptime("%Y%m%d", value).ok()?.to_datetime(Time::midnight())),
        15 => DateTime::strptime("%Y%m%dT%H%M%S", value).ok(),
        _ => None,
    }
}
