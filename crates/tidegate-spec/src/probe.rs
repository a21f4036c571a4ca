//! Reads `probes`: questions that every instance must answer.
//! Must never make a probe that cannot fail.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::ids::valid_name;
use tidegate_core::plan::{Ask, Probe};

use crate::codes;
use crate::command;
use crate::diagnostic::is_hidden;
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::Kind;
use crate::read;
use crate::report::Report;

/// Most probes of one part.
pub(crate) const PROBES_MAX: usize = 32;
/// Most headers that one probe looks at.
const HEADERS_MAX: usize = 32;
/// Defaults in the words of Compose. The interval is shorter than there: a breach of
/// `sick > 50% for 3m` needs samples, and a probe on the same machine costs next to nothing.
pub(crate) const INTERVAL: SignedDuration = SignedDuration::from_secs(1);
const TIMEOUT: SignedDuration = SignedDuration::from_secs(2);
const RETRIES: u32 = 3;
const START_PERIOD: SignedDuration = SignedDuration::from_secs(20);
/// Bounds of interval, timeout and `within`.
const ASK_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::from_millis(100), SignedDuration::from_mins(10));
/// Days that a certificate must still be valid, when nothing is said.
const DAYS_LEFT: u32 = 14;

/// The probes of a part, in the order of the file.
pub(crate) fn probes(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Probe> {
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map of probes by name", report);
        return Vec::new();
    };
    if entries.len() > PROBES_MAX {
        let message = format!("`{}` has more than {PROBES_MAX} probes", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let mut probes = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let path = format!("{}.{}", field.path, shorten(&key.text));
        if !valid_name(&key.text) {
            let never = |text| tidegate_core::ids::PartName::new(text);
            read::name(&key.text, &path, key.at, never, report);
            continue;
        }
        probes.extend(probe(&key.text, &Field { path, node }, report));
    }
    probes
}

/// What a part that serves requests is asked when the file says nothing.
pub(crate) fn listens() -> Probe {
    Probe {
        name: "port".to_owned(),
        ask: Ask::Tcp,
        interval: INTERVAL,
        timeout: TIMEOUT,
        retries: RETRIES,
        start_period: START_PERIOD,
        theirs: false,
    }
}

fn probe(name: &str, field: &Field<'_>, report: &mut Report<'_>) -> Option<Probe> {
    let mut fields = Fields::of(field, report);
    let written = fields.get("timeout");
    let at = written.as_ref().map(Field::at);
    let mut timeout = read::duration(written, TIMEOUT, ASK_BOUNDS, report);
    let ask = ask(&mut fields, report);
    if let Some(Ask::Http { within: Some(within), .. }) = &ask
        && *within > timeout
    {
        match at {
            // A patient `within` needs a patient timeout, and nobody wrote one.
            None => timeout = *within,
            Some(at) => {
                let message = format!("`{}` is shorter than `within`", fields.path("timeout"));
                report
                    .error(codes::CONFLICT, at, message)
                    .help(format!("raise it to {} or remove it", crate::units::show(*within)));
            }
        }
    }
    let interval = read::duration(fields.get("interval"), INTERVAL, ASK_BOUNDS, report);
    let retries = read::number(fields.get("retries"), RETRIES, (1, 100), report);
    let start_bounds = (SignedDuration::ZERO, SignedDuration::from_hours(1));
    let start_period =
        read::duration(fields.get("start_period"), START_PERIOD, start_bounds, report);
    let theirs =
        read::choice(fields.get("owner"), &[("ours", false), ("theirs", true)], false, report);
    fields.finish(&[], report);
    Some(Probe {
        name: name.to_owned(),
        ask: ask?,
        interval,
        timeout,
        retries,
        start_period,
        theirs,
    })
}

fn ask(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Ask> {
    let (get, tcp, exec, tls) =
        (fields.get("get"), fields.get("tcp"), fields.get("exec"), fields.get("tls"));
    let given = [&get, &tcp, &exec, &tls].into_iter().flatten().count();
    if given != 1 {
        let message = format!(
            "`{}` asks {given} questions: it needs exactly one of `get`, `tcp`, `exec` and `tls`",
            fields.path("").trim_end_matches('.')
        );
        let finding = report.error(codes::CONFLICT, fields.at(), message);
        finding.help("write for example `{get: /health}`, `{tcp: true}` or `{exec: [./check]}`");
        // Named here so that they are not also reported as unknown.
        for key in ["expect", "header", "body", "within", "days_left"] {
            fields.get(key);
        }
        return None;
    }
    if let Some(get) = get {
        return http(&get, fields, report);
    }
    if let Some(tcp) = tcp {
        read::choice(Some(tcp), &[("true", ())], (), report);
        return Some(Ask::Tcp);
    }
    if let Some(exec) = exec {
        return command::command(&exec, report).map(|argv| Ask::Exec { argv });
    }
    tls_days(&tls?, fields, report)
}

fn http(get: &Field<'_>, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Ask> {
    let path = request_path(get, report);
    let status = fields.get("expect").map(|field| statuses(&field, report)).unwrap_or_default();
    let headers = fields.get("header").map(|field| headers(&field, report)).unwrap_or_default();
    let body = fields.get("body").and_then(|field| read::text(&field, report).map(str::to_owned));
    let within =
        fields.get("within").map(|field| read::duration(Some(field), TIMEOUT, ASK_BOUNDS, report));
    Some(Ask::Http { path: path?, status, headers, body, within })
}

/// A path with its query, as it goes into a request line.
pub(crate) fn request_path(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, not a path", field.path, shorten(text));
    report
        .error(codes::BAD_ROUTE, field.at(), message)
        .help("write it from the slash on, as in `/health`; the address is the instance's own");
    None
}

fn statuses(field: &Field<'_>, report: &mut Report<'_>) -> Vec<u16> {
    let nodes = match &field.node.kind {
        Kind::List(items) => items.as_slice(),
        Kind::Scalar { .. } | Kind::Map(_) => std::slice::from_ref(field.node),
    };
    nodes
        .iter()
        .filter_map(|node| {
            let item = Field { path: field.path.clone(), node };
            u16::try_from(read::number(Some(item), 200, (100, 599), report)).ok()
        })
        .collect()
}

fn headers(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map of headers", report);
        return headers;
    };
    if entries.len() > HEADERS_MAX {
        let message = format!("`{}` has more than {HEADERS_MAX} headers", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return headers;
    }
    for (key, node) in entries {
        let entry = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        if !is_header(&key.text) {
            let message = format!("`{}` is no name of a header", entry.path);
            report.error(codes::BAD_ROUTE, key.at, message);
            continue;
        }
        if let Some(value) = read::text(&entry, report) {
            if value.chars().any(|c| c.is_control() || is_hidden(c)) {
                let message = format!("`{}` has a character that no header can have", entry.path);
                report.error(codes::BAD_ROUTE, node.at, message);
                continue;
            }
            headers.insert(key.text.to_ascii_lowercase(), value.to_owned());
        }
    }
    headers
}

/// Whether a text can be the name of a header.
pub(crate) fn is_header(name: &str) -> bool {
    /// Longest name of a header.
    const BYTES_MAX: usize = 128;
    !name.is_empty()
        && name.len() <= BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn tls_days(tls: &Field<'_>, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Ask> {
    let server_name = crate::route::host_name(tls, report);
    let days_left = match fields.get("days_left") {
        None => DAYS_LEFT,
        Some(field) => days(&field, report).unwrap_or(DAYS_LEFT),
    };
    Some(Ask::Tls { server_name: server_name?, days_left })
}

/// `> 14` or `> 14 days`.
fn days(field: &Field<'_>, report: &mut Report<'_>) -> Option<u32> {
    let text = read::text(field, report)?;
    let number = text
        .trim()
        .strip_prefix('>')
        .map(str::trim)
        .map(|rest| rest.strip_suffix("days").unwrap_or(rest).trim());
    let days = number
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u32>().ok())
        .filter(|days| *days <= 3650);
    if days.is_none() {
        let message = format!("`{}` is `{}`, not a number of days", field.path, shorten(text));
        report
            .error(codes::BAD_NUMBER, field.at(), message)
            .help("write for example `\"> 14\"`, with the quotes: a bare `>` begins a YAML text");
    }
    days
}
