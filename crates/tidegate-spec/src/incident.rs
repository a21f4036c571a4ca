//! Reads `incident`: how soon somebody answers, who is called, and what is owed when it is over.
//! Must never take a class without a clock that somebody can keep.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::incident::{Class, Duty, Policy, RUNGS_MAX, Severity};

use crate::codes;
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::Kind;
use crate::read;
use crate::report::Report;

/// A clock of an incident: a minute at least, for people have to read; a month at most.
const CLOCK: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(1), SignedDuration::from_hours(31 * 24));
/// Most texts of one list.
const TEXTS_MAX: usize = 64;

/// Reads `incident`.
pub(crate) fn incident(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<Policy> {
    let field = field?;
    let mut fields = Fields::of(&field, report);
    let severity = fields.get("severity").map(|field| classes(&field, report)).unwrap_or_default();
    let ladder = texts(fields.get("ladder"), report);
    if ladder.len() > RUNGS_MAX {
        let message = format!("`{}.ladder` has more than {RUNGS_MAX} rungs", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
    }
    let mut steps = texts(fields.get("steps"), report);
    let investigate = fields.get("investigate").and_then(|field| {
        let mut fields = Fields::of(&field, report);
        let within = clock(fields.get("within"), report);
        steps.extend(texts(fields.get("steps"), report));
        fields.finish(&[], report);
        within
    });
    let mut contains = Vec::new();
    let postmortem = fields.get("postmortem").and_then(|field| {
        let mut fields = Fields::of(&field, report);
        let within = clock(fields.get("within"), report);
        contains = texts(fields.get("contains"), report);
        fields.finish(&[], report);
        within
    });
    let regulator = fields.get("regulator").and_then(|field| {
        let mut fields = Fields::of(&field, report);
        let owner = fields.need("owner", "compliance", report);
        let owner = owner.and_then(|field| read::text(&field, report)).map(str::to_owned);
        let within = fields.need("due", "72h", report);
        let within = clock(within, report);
        fields.finish(&[], report);
        Some(Duty { owner: owner?, within: within? })
    });
    let contact = texts(fields.get("contact"), report);
    fields.finish(&["declare", "rollback", "status_page"], report);
    Some(Policy { severity, ladder, steps, investigate, postmortem, contains, contact, regulator })
}

fn clock(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<SignedDuration> {
    field.map(|field| read::duration(Some(field), CLOCK.0, CLOCK, report))
}

fn classes(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<Severity, Class> {
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map by class", report);
        return BTreeMap::new();
    };
    let mut classes = BTreeMap::new();
    for (key, node) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
        let path = format!("{}.{}", field.path, shorten(&key.text));
        let Some(severity) = Severity::ALL.into_iter().find(|it| it.word() == key.text) else {
            let message = format!("`{path}` is no class");
            report
                .error(codes::UNKNOWN_KEY, key.at, message)
                .help("the classes are p0, p1, p2 and p3, the worst first");
            continue;
        };
        let one = Field { path, node };
        let mut fields = Fields::of(&one, report);
        let means = fields.get("means").and_then(|field| read::text(&field, report));
        let means = means.map(str::to_owned);
        let within = fields.get("within");
        let within = read::duration(within, severity.within(), CLOCK, report);
        fields.finish(&[], report);
        classes.insert(severity, Class { means, within });
    }
    classes
}

fn texts(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    let Some(items) = read::list(&field, report) else { return Vec::new() };
    if items.len() > TEXTS_MAX {
        let message = format!("`{}` has more than {TEXTS_MAX} lines", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let each = items.iter().enumerate();
    let each = each.filter_map(|(index, node)| {
        let one = read::item(&field.path, index, node);
        Some(read::text(&one, report)?.to_owned())
    });
    each.collect()
}
