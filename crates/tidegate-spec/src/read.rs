//! Reads one value as what its key wants: a duration, a number, a choice.
//! Must never stop the reading: a value that is wrong is reported, and the default stands in for it
//! so that everything behind it is still checked. A file with an error never becomes a plan.

use jiff::SignedDuration;

use tidegate_core::ids::{InvalidName, NAME_BYTES_MAX};

use crate::codes;
use crate::diagnostic::is_hidden;
use crate::fields::{Field, shorten, wrong_kind};
use crate::node::{Kind, Node};
use crate::report::{Report, Span};
use crate::units::{self, Refused};
use crate::words;

/// Longest text of one value, in bytes. Linux passes at most 128 KiB in one argument.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A text; reports anything else.
pub(crate) fn text<'n>(field: &Field<'n>, report: &mut Report<'_>) -> Option<&'n str> {
    match &field.node.kind {
        Kind::Scalar { text, .. } if !field.node.is_null() => {
            if text.len() > TEXT_BYTES_MAX {
                let message = format!("`{}` is longer than {TEXT_BYTES_MAX} bytes", field.path);
                report.error(codes::TOO_COMPLEX, field.at(), message);
                return None;
            }
            Some(text)
        }
        Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => {
            wrong_kind(field, "a text", report);
            None
        }
    }
}

/// The items of a list; reports anything else.
pub(crate) fn list<'n>(field: &Field<'n>, report: &mut Report<'_>) -> Option<&'n [Node]> {
    if let Kind::List(items) = &field.node.kind {
        return Some(items);
    }
    wrong_kind(field, "a list", report);
    None
}

/// One item of a list as a field of its own: `traffic.steps[2]`.
pub(crate) fn item<'n>(path: &str, index: usize, node: &'n Node) -> Field<'n> {
    Field { path: format!("{path}[{}]", index + 1), node }
}

/// Reports what a unit said about a text.
pub(crate) fn refuse(code: &str, field: &Field<'_>, refused: Refused, report: &mut Report<'_>) {
    let message = format!("`{}`: {}", field.path, shorten(&refused.message));
    report.error(code, field.at(), message).help(refused.help);
}

/// A duration between two bounds, both included.
pub(crate) fn duration(
    field: Option<Field<'_>>,
    default: SignedDuration,
    bounds: (SignedDuration, SignedDuration),
    report: &mut Report<'_>,
) -> SignedDuration {
    duration_by(units::duration, field, default, bounds, report)
}

/// One that may be longer than any wait.
pub(crate) fn long_duration(
    field: Option<Field<'_>>,
    default: SignedDuration,
    bounds: (SignedDuration, SignedDuration),
    report: &mut Report<'_>,
) -> SignedDuration {
    duration_by(units::long_duration, field, default, bounds, report)
}

fn duration_by(
    reader: fn(&str) -> Result<SignedDuration, units::Refused>,
    field: Option<Field<'_>>,
    default: SignedDuration,
    (least, most): (SignedDuration, SignedDuration),
    report: &mut Report<'_>,
) -> SignedDuration {
    let Some(field) = field else { return default };
    let Some(text) = text(&field, report) else {
        return default;
    };
    match reader(text) {
        Err(refused) => refuse(codes::BAD_DURATION, &field, refused, report),
        Ok(value) if value < least || value > most => {
            let message = format!(
                "`{}` is {}: it must be {} to {}",
                field.path,
                units::show(value),
                units::show(least),
                units::show(most)
            );
            report.error(codes::BAD_DURATION, field.at(), message);
        }
        Ok(value) => return value,
    }
    default
}

/// A whole number between two bounds, both included, written without quotes.
pub(crate) fn number(
    field: Option<Field<'_>>,
    default: u32,
    (least, most): (u32, u32),
    report: &mut Report<'_>,
) -> u32 {
    let Some(field) = field else { return default };
    let Some(text) = text(&field, report) else {
        return default;
    };
    let plain = matches!(field.node.kind, Kind::Scalar { plain: true, .. });
    let digits =
        text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    let value = if plain && digits { text.parse::<u32>().ok() } else { None };
    match value {
        Some(value) if (least..=most).contains(&value) => value,
        _ => {
            let message = format!(
                "`{}` is `{}`, not a whole number from {least} to {most}",
                field.path,
                shorten(text)
            );
            report
                .error(codes::BAD_NUMBER, field.at(), message)
                .help(format!("write for example `{default}`, in plain digits without quotes"));
            default
        }
    }
}

/// Bytes between two bounds, both included.
pub(crate) fn bytes(
    field: &Field<'_>,
    (least, most): (u64, u64),
    report: &mut Report<'_>,
) -> Option<u64> {
    let text = text(field, report)?;
    match units::bytes(text) {
        Err(refused) => refuse(codes::BAD_SIZE, field, refused, report),
        Ok(value) if value < least || value > most => {
            let message = format!(
                "`{}` is `{}`: it must be {} MiB to {} MiB",
                field.path,
                shorten(text),
                least >> 20,
                most >> 20
            );
            report.error(codes::BAD_SIZE, field.at(), message);
        }
        Ok(value) => return Some(value),
    }
    None
}

/// One word of a few. The first is the default.
pub(crate) fn choice<T: Copy>(
    field: Option<Field<'_>>,
    choices: &[(&'static str, T)],
    default: T,
    report: &mut Report<'_>,
) -> T {
    let Some(field) = field else { return default };
    let Some(text) = text(&field, report) else {
        return default;
    };
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return *value;
    }
    let known: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let message =
        format!("`{}` is `{}`: it must be {}", field.path, shorten(text), words::list(&known));
    let finding = report.error(codes::BAD_CHOICE, field.at(), message);
    if let Some(meant) = words::nearest(text, known) {
        finding.help(format!("did you mean `{meant}`?"));
    }
    default
}

/// `true` or `false`; YAML's other spellings are refused because readers disagree about them.
pub(crate) fn flag(field: Option<Field<'_>>, default: bool, report: &mut Report<'_>) -> bool {
    choice(field, &[("true", true), ("false", false)], default, report)
}

/// A name, checked by the rule of core.
pub(crate) fn name<T>(
    text: &str,
    path: &str,
    at: Span,
    make: impl FnOnce(String) -> Result<T, InvalidName>,
    report: &mut Report<'_>,
) -> Option<T> {
    match make(text.to_owned()) {
        Ok(name) => Some(name),
        Err(InvalidName { .. }) => {
            let message = format!("`{}` cannot name `{path}`", shorten(text));
            let message = match text.chars().find(|c| !c.is_ascii()) {
                Some(c) if is_hidden(c) => {
                    format!("{message}: it has the invisible character U+{:04X}", u32::from(c))
                }
                Some(c) => {
                    format!("{message}: `{c}` is U+{:04X}, not a plain letter", u32::from(c))
                }
                None => message,
            };
            report.error(codes::BAD_NAME, at, message).help(format!(
                "use 1 to {NAME_BYTES_MAX} of a-z, 0-9, `-`, `_` and `.`, beginning with a letter \
                 or digit"
            ));
            None
        }
    }
}

/// A path inside the artifact.
pub(crate) fn artifact_path(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = text(field, report)?;
    let leaves = text.is_empty()
        || text.starts_with('/')
        || text.contains('\\')
        || text.chars().any(|c| c.is_control() || is_hidden(c))
        || text.split('/').any(|piece| piece == "..");
    if leaves {
        let message =
            format!("`{}` is `{}`, not a path inside the release", field.path, shorten(text));
        report
            .error(codes::BAD_PATH, field.at(), message)
            .help("write it relative to the top of the repository, without `..`");
        return None;
    }
    Some(text.to_owned())
}
