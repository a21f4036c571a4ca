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
