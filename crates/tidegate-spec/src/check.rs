//! `check:`: gates, each a name with one source and what that source must show.
//! Must never make a gate that nothing could fail: without a source, or without a limit where none
//! is meant by itself, the file is refused.

mod amount;
mod report_gate;
mod repository;

use tidegate_core::condition;
use tidegate_core::fact::Format;
use tidegate_core::gate::{Demand, GATES_MAX, Gate, NAME_CHARS_MAX};

use crate::codes;
use crate::diagnostic::is_hidden;
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::Kind;
use crate::read;
use crate::report::{Report, Span};
use crate::words;

/// Sources that are asked about the repository, with an example of each.
const REPOSITORY: [(&str, &str); 9] = [
    ("bump", "minor"),
    ("tag", "signed"),
    ("commits", "[signed, conventional]"),
    ("branch", "main"),
    ("changelog", "CHANGELOG.md"),
    ("files", "[docs/release-notes.md]"),
    ("soak", "{env: staging, for: 24h}"),
    ("reviews", "2"),
    ("ci", "[build, test]"),
];

/// Sources that this version can name and nothing here can answer: no-data until something is
/// bound that can.
const UNBOUND: [(&str, &str); 8] = [
    ("ticket", "an approved change ticket"),
    ("backup", "a fresh backup"),
    ("drill", "a rollback drill"),
    ("oncall", "the acknowledgement of whoever is on call"),
    ("migrations", "the class of the migrations"),
    ("logs", "kinds of log lines that the live release does not write"),
    ("bugs", "open critical bugs"),
    ("controls", "the controls of the compliance catalogue"),
];

/// The gates of the file, in its order.
pub(crate) fn gates(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<Gate> {
    let Some(field) = field else { return Vec::new() };
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(&field, "a map of gates by name", report);
        return Vec::new();
    };
    if entries.len() > GATES_MAX {
        let message = format!("`{}` has more than {GATES_MAX} gates", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let named = entries.iter().filter(|(key, _)| !key.text.starts_with("x-"));
    let gates = named.filter_map(|(key, node)| {
        let path = format!("{}.{}", field.path, shorten(&key.text));
        name(&key.text, key.at, report)?;
        gate(&key.text, &Field { path, node }, report)
    });
    gates.collect()
}

fn name(text: &str, at: Span, report: &mut Report<'_>) -> Option<()> {
    let fits = !text.is_empty()
        && text.chars().count() <= NAME_CHARS_MAX
        && text.trim() == text
        && !text.starts_with('-')
        && !text.chars().any(|c| c.is_control() || is_hidden(c));
    if fits {
        return Some(());
    }
    report
        .error(codes::BAD_NAME, at, format!("`{}` cannot name a gate", shorten(text)))
        .help(format!("use 1 to {NAME_CHARS_MAX} visible characters"));
    None
}

fn gate(name: &str, field: &Field<'_>, report: &mut Report<'_>) -> Option<Gate> {
    let mut fields = Fields::of(field, report);
    let when = condition(fields.get("when"), report);
    let unless = condition(fields.get("unless"), report);
    let demand = demand(field, &mut fields, report);
    fields.finish(&[], report);
    Some(Gate { name: name.to_owned(), demand: demand?, when, unless, decided: None })
}

/// A condition of known words; whether it is well formed CEL is found out where it is decided.
pub(crate) fn condition(field: Option<Field<'_>>, report: &mut Report<'_>) -> Option<String> {
    let field = field?;
    let text = read::text(&field, report)?;
    let Err(refused) = condition::check(text) else { return Some(text.to_owned()) };
    let known = condition::VARIABLES.iter().chain(&condition::FUNCTIONS).map(|(name, _)| *name);
    let meant = refused.word.as_deref().and_then(|word| words::nearest(word, known.clone()));
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let known: Vec<&str> = known.collect();
            format!("as in `risk >= high`; it can ask about {}", words::list(&known))
        }
    };
    let message = format!("`{}` is no condition: {}", field.path, refused.what);
    report.error(codes::BAD_CONDITION, field.at(), message).help(help);
    None
}

/// The one source of a gate, and what it must show.
fn demand(field: &Field<'_>, fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Demand> {
    let mut sources: Vec<(&'static str, Field<'_>)> = Vec::new();
    let words = Format::ALL.iter().map(|format| format.word());
    let words = words.chain(REPOSITORY.iter().map(|(word, _)| *word));
    for word in words.chain(UNBOUND.iter().map(|(word, _)| *word)) {
        sources.extend(fields.get(word).map(|found| (word, found)));
    }
    if let [_, (other, second), ..] = sources.as_slice() {
        let message = format!("`{}` has a second source, `{other}`", field.path);
        report
            .error(codes::CONFLICT, second.at(), message)
            .help("make a gate of each source: all gates must pass");
        return None;
    }
    let Some((word, source)) = sources.pop() else {
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.word()).collect();
        let more: Vec<&str> = REPOSITORY.iter().chain(&UNBOUND).map(|(word, _)| *word).collect();
        report
            .error(codes::MISSING_KEY, field.at(), format!("`{}` has no source", field.path))
            .help(format!(
                "name the report or the question it rests on: {}, or {}; as in \
                 `{{junit: reports/*.xml, at_least: 200 tests}}`",
                known.join(", "),
                words::list(&more)
            ));
        return None;
    };
    if let Some(format) = Format::of_word(word) {
        return report_gate::demand(format, &source, fields, report);
    }
    if let Some((_, what)) = UNBOUND.iter().find(|(unbound, _)| *unbound == word) {
        return Some(Demand::Unbound { what: format!("{what} (`{}`)", source.path) });
    }
    repository::demand(word, &source, fields, report)
}
