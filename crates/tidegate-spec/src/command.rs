//! Commands as argument lists, and the variables they see.
//! Must never split a text into arguments: only a shell knows how, and only `shell:` asks one.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::plan::Step;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::Kind;
use crate::read;
use crate::report::Report;

/// Most arguments of one command.
const ARGUMENTS_MAX: usize = 256;
/// Most variables of one command.
const VARIABLES_MAX: usize = 256;
/// How long a build may take when nothing is said.
const BUILD_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
/// Bounds of a build's timeout: an hour's build is slow, a day's is forgotten.
const BUILD_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_hours(6));

/// `build`: a list of arguments, or a map with `run` or `shell`, `timeout` and `env`.
pub(crate) fn build(field: &Field<'_>, report: &mut Report<'_>) -> Option<Step> {
    if !matches!(field.node.kind, Kind::Map(_)) {
        let argv = argv(field, report)?;
        return Some(Step { argv, env: BTreeMap::new(), timeout: BUILD_TIMEOUT });
    }
    let mut fields = Fields::of(field, report);
    let argv = run_or_shell(&mut fields, report);
    let timeout = read::duration(fields.get("timeout"), BUILD_TIMEOUT, BUILD_BOUNDS, report);
    let env = fields.get("env").map(|field| env(&field, report)).unwrap_or_default();
    fields.finish(&[], report);
    Some(Step { argv: argv?, env, timeout })
}

/// A command: a list of arguments, or `{shell: "..."}`.
pub(crate) fn command(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    if !matches!(field.node.kind, Kind::Map(_)) {
        return argv(field, report);
    }
    let mut fields = Fields::of(field, report);
    let line = fields.need("shell", "exec ./server --port $PORT", report);
    fields.finish(&[], report);
    shell(&line?, report)
}

/// The command of a map that has either `run` or `shell`.
pub(crate) fn run_or_shell(
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    match (fields.get("run"), fields.get("shell")) {
        (Some(run), None) => command(&run, report),
        (None, Some(line)) => shell(&line, report),
        (Some(_), Some(line)) => {
            let message =
                format!("`{}` and `{}` exclude each other", fields.path("run"), line.path);
            report.error(codes::CONFLICT, line.at(), message);
            None
        }
        (None, None) => {
            let message = format!("`{}` is missing", fields.path("run"));
            report
                .error(codes::MISSING_KEY, fields.at(), message)
                .help("write for example `run: [npm, ci]`");
            None
        }
    }
}

/// A list of arguments.
pub(crate) fn argv(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let items = match &field.node.kind {
        Kind::List(items) => items,
        Kind::Scalar { text, .. } if !field.node.is_null() => {
            refuse_text(field, text, report);
            return None;
        }
        Kind::Scalar { .. } | Kind::Map(_) => {
            wrong_kind(field, "a list of arguments", report);
            return None;
        }
    };
    if items.len() > ARGUMENTS_MAX {
        let message = format!("`{}` has more than {ARGUMENTS_MAX} arguments", field.path);
        report.error(codes::BAD_COMMAND, field.at(), message);
        return None;
    }
    let mut argv = Vec::with_capacity(items.len());
    for (index, node) in items.iter().enumerate() {
        let item = read::item(&field.path, index, node);
        let argument = read::text(&item, report)?;
        warn_unexpanded(&item, argument, report);
        argv.push(argument.to_owned());
    }
    if argv.first().is_none_or(String::is_empty) {
        let message = format!("`{}` names no program", field.path);
        report.error(codes::BAD_COMMAND, field.at(), message).help("write for example `[npm, ci]`");
        return None;
    }
    Some(argv)
}

fn refuse_text(field: &Field<'_>, text: &str, report: &mut Report<'_>) {
    let message = format!("`{}` is one text, not a list of arguments", field.path);
    let finding = report.error(codes::BAD_COMMAND, field.at(), message);
    let text = shorten(text);
    let needs_shell = text.contains(['|', '&', ';', '<', '>', '$', '`', '*', '"', '\'', '\\']);
    if needs_shell {
        finding.help(format!("no shell reads it; to ask one, write `{{shell: {text:?}}}`"));
    } else {
        let words: Vec<&str> = text.split_whitespace().collect();
        finding.help(format!("write `[{}]`", words.join(", ")));
    }
}

/// A shell would have replaced `$PORT`; without one the program sees the four letters.
fn warn_unexpanded(item: &Field<'_>, argument: &str, report: &mut Report<'_>) {
    let name = argument.find('$').and_then(|at| argument.get(at + 1..));
    let looks_like_one = name
        .and_then(|name| name.chars().next())
        .is_some_and(|c| c.is_ascii_uppercase() || c == '_');
    if looks_like_one {
        let message = format!(
            "`{}` is passed as it stands: no shell replaces `{}`",
            item.path,
            shorten(argument)
        );
        let mut finding = Diagnostic::new(codes::UNEXPANDED, Severity::Warning, message);
        finding.help("to have it replaced, write `{shell: \"exec ...\"}` instead of the list");
        report.add(finding, Some(item.at()));
    }
}

fn shell(line: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let text = read::text(line, report)?;
    if text.trim().is_empty() {
        report.error(codes::BAD_COMMAND, line.at(), format!("`{}` is empty", line.path));
        return None;
    }
    Some(["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

/// Variables: names to texts.
pub(crate) fn env(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map of variables", report);
        return variables;
    };
    if entries.len() > VARIABLES_MAX {
        let message = format!("`{}` has more than {VARIABLES_MAX} variables", field.path);
        report.error(codes::BAD_VARIABLE, field.at(), message);
        return variables;
    }
    for (key, node) in entries {
        let entry = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        if let Some(why) = refused_variable(&key.text) {
            let message = format!("`{}` {why}", entry.path);
            report.error(codes::BAD_VARIABLE, key.at, message);
            continue;
        }
        let Some(value) = read::text(&entry, report) else {
            continue;
        };
        if value.contains('\0') {
            let message = format!("`{}` has a NUL character", entry.path);
            report.error(codes::BAD_VARIABLE, node.at, message);
            continue;
        }
        if looks_secret(&key.text) && !value.is_empty() {
            let message = format!("`{}` looks like a secret", entry.path);
            let mut finding = Diagnostic::new(codes::SECRET_IN_FILE, Severity::Warning, message);
            finding.help(
                "the value is kept in the repository, in the journal and in the plan that is \
                 shown; let the application read it from a file on the machine",
            );
            if let Some(place) = &mut report.add(finding, Some(key.at)).place {
                // The line goes to terminals and logs: it ends before the value.
                let shown = key.at.column.saturating_add(key.at.length).saturating_sub(1);
                let shown = usize::try_from(shown).unwrap_or(usize::MAX);
                place.text = place.text.chars().take(shown).chain(": ...".chars()).collect();
            }
        }
        variables.insert(key.text.clone(), value.to_owned());
    }
    variables
}

/// Whether a text can be the name of a variable.
pub(crate) fn is_variable(name: &str) -> bool {
    /// Longest name of a variable.
    const BYTES_MAX: usize = 128;
    let first_is_plain = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first_is_plain
        && name.len() <= BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn refused_variable(name: &str) -> Option<&'static str> {
    if !is_variable(name) {
        return Some("is no name of a variable: use A-Z, 0-9 and `_`");
    }
    name.starts_with("TIDEGATE_").then_some("is reserved: Tidegate sets variables of this prefix")
}

fn looks_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "ACCESS_KEY"]
        .iter()
        .any(|word| upper.ends_with(word))
}
