//! Gates that rest on the repository itself and on other environments.
//! Must never read either: it says what will be asked.

use jiff::SignedDuration;
use tidegate_core::gate::{Bump, Demand};
use tidegate_core::ids::EnvironmentName;

use super::amount;
use crate::codes;
use crate::fields::{Field, Fields, shorten};
use crate::read;
use crate::report::Report;
use crate::words;

/// Most names in one list.
const NAMES_MAX: usize = 100;
/// Most approvals that can be asked for.
const NEED_MAX: u32 = 20;
/// A soak lasts at most so long.
const SOAK: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(1), SignedDuration::from_hours(30 * 24));

pub(super) fn demand(
    word: &str,
    source: &Field<'_>,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Demand> {
    match word {
        "bump" => {
            let bumps = [("patch", Bump::Patch), ("minor", Bump::Minor), ("major", Bump::Major)];
            let bump = read::choice(Some(source.clone()), &bumps, Bump::Patch, report);
            Some(Demand::Version { bump })
        }
        "tag" => {
            let kinds = [("annotated", false), ("signed", true)];
            Some(Demand::Tag { signed: read::choice(Some(source.clone()), &kinds, true, report) })
        }
        "commits" => commits(source, report),
        "branch" => {
            let into = read::text(source, report)?.to_owned();
            let from = fields.get("from");
            let from = from.map(|from| amount::texts(&from, NAMES_MAX, report));
            Some(Demand::Branch { into, from: from.unwrap_or_default() })
        }
        "changelog" => Some(Demand::Changelog { file: read::artifact_path(source, report)? }),
        "files" => files(source, report),
        "reviews" => reviews(source, fields, report),
        "ci" => ci(source, fields, report),
        _ => soak(source, report),
    }
}

fn commits(source: &Field<'_>, report: &mut Report<'_>) -> Option<Demand> {
    const KNOWN: [&str; 2] = ["signed", "conventional"];
    let asked = amount::texts(source, NAMES_MAX, report);
    if let Some(odd) = asked.iter().find(|word| !KNOWN.contains(&word.as_str())) {
        let message =
            format!("`{}` is `{}`: it must be {}", source.path, shorten(odd), words::list(&KNOWN));
        report.error(codes::BAD_CHOICE, source.at(), message);
        return None;
    }
    if asked.is_empty() {
        return None;
    }
    let has = |word: &str| asked.iter().any(|asked| asked == word);
    Some(Demand::Commits { signed: has("signed"), conventional: has("conventional") })
}

fn files(source: &Field<'_>, report: &mut Report<'_>) -> Option<Demand> {
    let crate::node::Kind::List(items) = &source.node.kind else {
        return Some(Demand::Files { paths: vec![read::artifact_path(source, report)?] });
    };
    let items = items.iter().take(NAMES_MAX).enumerate();
    let paths: Vec<String> = items
        .filter_map(|(index, node)| {
            read::artifact_path(&read::item(&source.path, index, node), report)
        })
        .collect();
    if paths.is_empty() {
        report
            .error(codes::MISSING_KEY, source.at(), format!("`{}` names no file", source.path))
            .help("write for example `files: [docs/release-notes.md]`");
        return None;
    }
    Some(Demand::Files { paths })
}

/// `reviews: 2`, with `owners: true`. Other words than a number or `approved` say what is wanted,
/// and nobody can look it up.
fn reviews(source: &Field<'_>, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Demand> {
    let text = read::text(source, report)?;
    let owners = read::flag(fields.get("owners"), false, report);
    let repository = hosted(fields.get("repository"), report);
    let need = match text {
        "approved" => Some(1),
        number => number.parse().ok().filter(|need| (1..=NEED_MAX).contains(need)),
    };
    Some(match need {
        Some(need) => Demand::Reviews { need, owners, repository },
        None => Demand::Unbound { what: format!("{} (`{}`)", shorten(text), source.path) },
    })
}

/// `ci: required`, or the names of checks.
fn ci(source: &Field<'_>, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Demand> {
    let mut checks = amount::texts(source, NAMES_MAX, report);
    if checks.is_empty() {
        return None;
    }
    checks.retain(|check| check != "required");
    let branch = fields.get("branch_of").and_then(|field| read::text(&field, report));
    let branch = branch.unwrap_or("main").to_owned();
    let repository = hosted(fields.get("repository"), report);
    Some(Demand::Ci { checks, branch, repository })
}

/// `owner/name` of a repository on its host.
fn hosted(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<String> {
    let field = field?;
    let text = read::text(&field, report)?;
    let plain = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty()
            && !part.starts_with('.')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if text.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name)) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, no repository of a host", field.path, shorten(text));
    report
        .error(codes::BAD_NAME, field.at(), message)
        .help("write `owner/name`, as in `acme/shop`");
    None
}

/// `soak: {env: staging, for: 24h}`.
fn soak(source: &Field<'_>, report: &mut Report<'_>) -> Option<Demand> {
    let mut fields = Fields::of(source, report);
    let environment = fields.need("env", "staging", report).and_then(|field| {
        let text = read::text(&field, report)?;
        read::name(text, &field.path, field.at(), EnvironmentName::new, report)
    });
    let lasts = fields.need("for", "24h", report);
    let lasts = lasts.map(|lasts| read::duration(Some(lasts), SOAK.0, SOAK, report));
    fields.finish(&[], report);
    Some(Demand::Soak { environment: environment?.to_string(), lasts: lasts? })
}
