//! Gates that rest on reports. Must never leave a gate without a limit: each kind has one by
//! itself, or the file must write one.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::fact::{Format, Severity, Subject};
use tidegate_core::gate::{Bound, Demand, Report as Source};

use super::amount::{self, Unit};
use crate::codes;
use crate::diagnostic::is_hidden;
use crate::fields::{Field, Fields, shorten};
use crate::read;
use crate::report::Report;
use crate::units::{self, Refused};

/// Most names of reports in one gate.
const FILES_MAX: usize = 32;
/// Most names in any other list.
const NAMES_MAX: usize = 1_000;
/// Longest age of a document: two years.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);

const TIMES: [&str; 6] = ["p50", "p90", "p95", "p99", "avg", "max"];
/// Words for a time without saying which requests it is of.
const UNSAID_TIMES: [&str; 5] = ["latency", "response", "response_time", "duration", "time"];

pub(super) fn demand(
    format: Format,
    source: &Field<'_>,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Demand> {
    let files = files(source, report)?;
    let from = Source { format, files };
    Some(match format.subject() {
        Subject::Tests => Demand::Tests {
            report: from,
            pass: amount::share(fields.get("pass"), 100.0, report),
            at_least: amount::count(fields.get("at_least"), 1, report).max(1),
            quarantine: names(fields.get("quarantine"), report),
        },
        Subject::Coverage => coverage(from, source, fields, report)?,
        Subject::Findings => Demand::Findings {
            report: from,
            allow: allow(fields.get("allow"), report)?,
            scanned: amount::more_than(fields.get("scanned"), 0, report),
            fresh: age(fields.get("fresh"), report),
            except: names(fields.get("except"), report),
        },
        Subject::Components => licences(from, source, fields, report)?,
        Subject::Timings => timings(from, source, fields, report)?,
        Subject::Infrastructure => Demand::Infrastructure {
            report: from,
            delete: amount::count(fields.get("delete"), 0, report),
            replace: amount::count(fields.get("replace"), 0, report),
            drift: read::choice(
                fields.get("drift"),
                &[("refuse", false), ("allow", true)],
                false,
                report,
            ),
        },
        Subject::Provenance => Demand::Provenance {
            report: from,
            builder: text(fields.get("builder"), report),
            source: text(fields.get("source"), report),
            signer: text(fields.get("signer"), report),
        },
        Subject::Document => {
            Demand::Document { report: from, within: age(fields.get("within"), report) }
        }
    })
}

/// Names of reports, as `tidegate evidence add` is given them.
fn files(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let files = amount::texts(field, FILES_MAX, report);
    let bad = files.iter().find(|name| {
        name.is_empty()
            || name.starts_with('/')
            || name.split('/').any(|piece| piece == "..")
            || name.chars().any(|c| c.is_control() || is_hidden(c))
    });
    if let Some(bad) = bad {
        let message = format!("`{}` has `{}`, not the name of a report", field.path, shorten(bad));
        report
            .error(codes::BAD_PATH, field.at(), message)
            .help("write it as it is added, relative and without `..`: `reports/unit/*.xml`");
        return None;
    }
    (!files.is_empty()).then_some(files)
}

fn text(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<String> {
    read::text(&field?, report).map(str::to_owned)
}

fn names(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<String> {
    field.map(|field| amount::texts(&field, NAMES_MAX, report)).unwrap_or_default()
}

/// A long duration, in days where a month is too short a limit.
fn age(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<SignedDuration> {
    let field = field?;
    let text = read::text(&field, report)?.trim();
    let days = text.strip_suffix("days").or_else(|| text.strip_suffix('d')).map(str::trim_end);
    let whole = days.and_then(|days| days.parse::<i64>().ok()).filter(|days| *days > 0);
    let age = match whole {
        Some(days) if days <= 2 * 366 => Ok(SignedDuration::from_hours(days * 24)),
        Some(_) => Err(Refused::new(
            format!("`{}` is longer than two years", shorten(text)),
            format!("write at most {} days", AGE_MAX.as_hours() / 24),
        )),
        None => units::duration(text),
    };
    match age {
        Ok(age) => Some(age),
        Err(refused) => {
            read::refuse(codes::BAD_DURATION, &field, refused, report);
            None
        }
    }
}

fn coverage(
    from: Source,
    source: &Field<'_>,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Demand> {
    let line = fields.get("line");
    let branch = fields.get("branch");
    let unsaid = line.is_none() && branch.is_none();
    let critical = names(fields.get("critical"), report);
    if unsaid && critical.is_empty() {
        report
            .error(codes::MISSING_KEY, source.at(), "a coverage that nothing could fail")
            .help("write for example `line: \"> 80%\"`");
        return None;
    }
    Some(Demand::Coverage {
        report: from,
        line: amount::bound(line, Unit::Percent, true, report),
        branch: amount::bound(branch, Unit::Percent, true, report),
        critical,
    })
}

/// `allow: {critical: 0, high: 2}`; `any` is the limit of each severity that is not named.
fn allow(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<BTreeMap<Severity, u64>> {
    let Some(field) = field else {
        return Some(BTreeMap::from([(Severity::Critical, 0), (Severity::High, 0)]));
    };
    let mut fields = Fields::of(&field, report);
    let mut allow = BTreeMap::new();
    if let Some(any) = fields.get("any") {
        let most = amount::count(Some(any), 0, report);
        allow.extend(Severity::ALL.map(|severity| (severity, most)));
    }
    for severity in Severity::ALL {
        if let Some(found) = fields.get(severity.word()) {
            allow.insert(severity, amount::count(Some(found), 0, report));
        }
    }
    let at = fields.at();
    fields.finish(&[], report);
    if allow.is_empty() {
        report
            .error(codes::MISSING_KEY, at, format!("`{}` limits no severity", field.path))
            .help("write for example `allow: {critical: 0, high: 0}`, or `allow: {any: 0}`");
        return None;
    }
    Some(allow)
}

fn licences(
    from: Source,
    source: &Field<'_>,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Demand> {
    let allow = names(fields.get("allow"), report);
    let deny = names(fields.get("deny"), report);
    let unknown = amount::count(fields.get("unknown"), 0, report);
    if allow.is_empty() && deny.is_empty() {
        report
            .error(codes::MISSING_KEY, source.at(), "licences that nothing could fail")
            .help("write for example `deny: [AGPL-3.0, GPL-3.0]` or `allow: [MIT, Apache-2.0]`");
        return None;
    }
    Some(Demand::Licences { report: from, allow, deny, unknown })
}

fn timings(
    from: Source,
    source: &Field<'_>,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Demand> {
    for word in UNSAID_TIMES {
        if let Some(found) = fields.get(word) {
            let message = format!("`{}` says no percentile", found.path);
            report
                .error(codes::NO_PERCENTILE, found.at(), message)
                .help("write `p95: \"< 200ms\"`: an average hides the slow requests");
            return None;
        }
    }
    let mut limits: BTreeMap<String, Bound> = BTreeMap::new();
    let mut said = false;
    for word in TIMES {
        let field = fields.get(word);
        said |= field.is_some();
        let bound = amount::bound(field, Unit::Millis, false, report);
        limits.extend(bound.map(|bound| (word.to_owned(), bound)));
    }
    let errors = fields.get("errors");
    said |= errors.is_some();
    let errors = amount::bound(errors, Unit::Percent, false, report);
    let at_least = amount::count(fields.get("at_least"), 1, report).max(1);
    if !said {
        report
            .error(codes::MISSING_KEY, source.at(), "a load test that nothing could fail")
            .help("write for example `p95: \"< 200ms\"`");
        return None;
    }
    Some(Demand::Timings { report: from, limits, errors, at_least })
}
