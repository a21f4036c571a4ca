//! Reads `window`: when a deployment may begin, and what becomes of one that is under way when it
//! closes. Must never take a calendar of which it understands only a part: a holiday that is not
//! seen would be a day on which somebody is paged.

mod holidays;
mod opening;

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime, Time};
use tidegate_core::approval::Approve;
use tidegate_core::window::{CLOSURES_MAX, Closure, OPENINGS_MAX, Overrun, Window, zone};

use crate::codes;
use crate::fields::{Field, Fields, shorten};
use crate::node::Kind;
use crate::read;
use crate::report::Report;

/// Longest reason of a closure, characters: it stands in every sentence while it holds.
const WHY_CHARS_MAX: usize = 120;

/// Reads `window`.
pub(crate) fn window(
    field: Option<Field<'_>>,
    files: &BTreeMap<String, Vec<u8>>,
    report: &mut Report<'_>,
) -> Read {
    let Some(field) = field else { return Read::default() };
    let mut fields = Fields::of(&field, report);
    let zone = zone_name(fields.get("zone"), report);
    let open = fields.get("allow").map(|field| openings(&field, report)).unwrap_or_default();
    let mut closed = fields.get("freeze").map(|f| freezes(&f, report)).unwrap_or_default();
    if let Some(field) = fields.get("holidays") {
        closed.extend(holidays::read(&field, files, report));
    }
    if closed.len() > CLOSURES_MAX {
        let message = format!("`{}` has more than {CLOSURES_MAX} days and freezes", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
    }
    let choices = [("finish", Overrun::Finish), ("hold", Overrun::Hold)];
    let overrun = read::choice(fields.get("overrun"), &choices, Overrun::Finish, report);
    let prefer = [("low-traffic", true)];
    let low_traffic = read::choice(fields.get("prefer"), &prefer, false, report);
    let planned = read::choice(fields.get("planned"), &[("only", true)], false, report);
    fields.finish(&[], report);
    let window = zone.map(|zone| Window { zone, open, closed, overrun, low_traffic });
    Read { window, planned }
}

/// What somebody vouches for where only planned releases begin.
const PLANNED: &str = "this release was announced";

/// What the key says.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// When a deployment may begin.
    pub(crate) window: Option<Window>,
    /// Whether somebody has to vouch that it was announced.
    planned: bool,
}

impl Read {
    /// Who has to agree, with what has to be vouched for before them.
    pub(crate) fn asks(&self, approve: Option<Approve>) -> Option<Approve> {
        if !self.planned {
            return approve;
        }
        let mut approve = approve.unwrap_or_else(Approve::anyone);
        approve.attest.push(PLANNED.to_owned());
        Some(approve)
    }
}

fn zone_name(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<String> {
    let Some(field) = field else { return Some("UTC".to_owned()) };
    let text = read::text(&field, report)?;
    if zone(text).is_some() {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, no time zone", field.path, shorten(text));
    report
        .error(codes::BAD_DATE, field.at(), message)
        .help("write a name of the IANA database, as in `Europe/Berlin` or `UTC`");
    None
}

/// One text, or a list of texts.
fn openings(field: &Field<'_>, report: &mut Report<'_>) -> Vec<tidegate_core::window::Opening> {
    let fields: Vec<Field<'_>> = match &field.node.kind {
        Kind::List(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, node)| read::item(&field.path, index, node)).collect()
        }
        _ => vec![Field { path: field.path.clone(), node: field.node }],
    };
    if fields.is_empty() || fields.len() > OPENINGS_MAX {
        let message = format!("`{}` has 1 to {OPENINGS_MAX} openings", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message).help("leave it away for always");
        return Vec::new();
    }
    let read = fields.iter().filter_map(|field| {
        let text = read::text(field, report)?;
        match opening::opening(text) {
            Ok(opening) => Some(opening),
            Err(help) => {
                let message = format!("`{}` is `{}`, no opening", field.path, shorten(text));
                report.error(codes::BAD_DATE, field.at(), message).help(help);
                None
            }
        }
    });
    read.collect()
}

/// `freeze: [{from: 2026-12-20, to: 2027-01-03, reason: year end}]`.
fn freezes(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Closure> {
    let Some(items) = read::list(field, report) else { return Vec::new() };
    let mut closed = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let field = read::item(&field.path, index, node);
        let mut fields = Fields::of(&field, report);
        let from = fields.need("from", "2026-12-20", report);
        let from = from.and_then(|field| moment(&field, false, report));
        let end = fields.need("to", "2027-01-03", report);
        let at = end.as_ref().map_or_else(|| field.at(), Field::at);
        let to = end.and_then(|field| moment(&field, true, report));
        let why = fields.need("reason", "the year is closed", report);
        let why = why.and_then(|field| read::text(&field, report));
        fields.finish(&[], report);
        let (Some(from), Some(to), Some(why)) = (from, to, why) else { continue };
        if from >= to {
            let message = format!("`{}` ends before it begins", field.path);
            report.error(codes::BAD_DATE, at, message).help("write the earlier time under `from`");
            continue;
        }
        closed.push(Closure { why: why.chars().take(WHY_CHARS_MAX).collect(), from, to });
    }
    closed
}

/// A day or a time of the clock; as an end a day is meant whole.
fn moment(field: &Field<'_>, end: bool, report: &mut Report<'_>) -> Option<DateTime> {
    let text = read::text(field, report)?;
    let day = || {
        let date: Date = text.parse().ok()?;
        let date = if end { date.tomorrow().ok()? } else { date };
        Some(date.to_datetime(Time::midnight()))
    };
    // A text with an offset is no time of the zone's clock.
    let time = || {
        let zoned = text.ends_with('Z') || text.get(11..).is_some_and(|t| t.contains(['+', '-']));
        (text.len() > 10 && !zoned).then(|| text.parse().ok()).flatten()
    };
    let read = if text.len() == 10 { day() } else { time() };
    if read.is_none() {
        let message = format!("`{}` is `{}`, no day and no time", field.path, shorten(text));
        report
            .error(codes::BAD_DATE, field.at(), message)
            .help("write `2026-12-20` or `2026-12-20T18:00`, in the window's zone");
    }
    read
}
