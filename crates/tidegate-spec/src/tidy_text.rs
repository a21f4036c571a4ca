//! `config fmt` and `config migrate`: changes of a file's text that keep its comments and its meaning.
//! Must never give back a text that reads as another tree than the one it was given.

use crate::compose;
use crate::diagnostic::Diagnostics;
use crate::format::ROOT;
use crate::node::{Kind, Node};
use crate::report::Report;
use crate::source;

/// The text in its usual form: the sections in the order of the sentence, comments with what they
/// stand above, one empty line at most, none at the end of a line.
///
/// # Errors
/// When the text is no file to begin with, or would not read as the same afterwards.
pub fn fmt(text: &str, name: &str) -> Result<String, Diagnostics> {
    let before = tree(text, name)?;
    let formatted = ordered(text);
    let after = tree(&formatted, name)?;
    // Comments may stand where only a person knows what they belong to; then nothing is moved.
    if same(&before, &after) {
        return Ok(formatted);
    }
    let plain = trimmed(text.lines());
    let after = tree(&plain, name)?;
    Ok(if same(&before, &after) { plain } else { text.to_owned() })
}

/// The text in the newest format, and what was changed, a sentence each.
///
/// # Errors
/// When the text is no file, or one of a format that is newer than this version.
pub fn migrate(text: &str, name: &str) -> Result<(String, Vec<String>), Diagnostics> {
    let root = tree(text, name)?;
    let mut report = Report::new(name, text);
    let header = root.get("tidegate");
    match header.and_then(Node::text) {
        Some("1") => Ok((text.to_owned(), Vec::new())),
        Some(other) => {
            let message = format!("the file is of format `{}`", crate::fields::shorten(other));
            report
                .error(
                    crate::codes::SCHEMA_VERSION,
                    header.map_or(crate::report::Span::START, |n| n.at),
                    message,
                )
                .help("this version migrates to format 1; a newer Tidegate reads newer formats");
            Err(report.finish())
        }
        None => {
            let lead = text.lines().take_while(|line| is_lead(line)).count();
            let mut lines: Vec<&str> = text.lines().collect();
            lines.insert(lead, "tidegate: 1");
            Ok((trimmed(lines), vec!["added the header `tidegate: 1`".to_owned()]))
        }
    }
}

/// Comments and blank lines before the first key.
fn is_lead(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn tree(text: &str, name: &str) -> Result<Node, Diagnostics> {
    let mut report = Report::new(name, text);
    let root = source::check(text, 0, &mut report)
        .then(|| compose::compose(text, 0, &mut report))
        .flatten();
    match root {
        Some(root) if !report.has_errors() => Ok(root),
        _ => Err(report.finish()),
    }
}

/// Whether two trees say the same, whatever the order of their top-level keys.
fn same(left: &Node, right: &Node) -> bool {
    let (Kind::Map(left), Kind::Map(right)) = (&left.kind, &right.kind) else { return false };
    left.len() == right.len()
        && left.iter().all(|(key, node)| {
            right.iter().any(|(other, value)| other.text == key.text && equal(node, value))
        })
}

fn equal(left: &Node, right: &Node) -> bool {
    match (&left.kind, &right.kind) {
        (Kind::Scalar { text: left, .. }, Kind::Scalar { text: right, .. }) => left == right,
        (Kind::List(left), Kind::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| equal(l, r))
        }
        (Kind::Map(left), Kind::Map(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|((l, a), (r, b))| l.text == r.text && equal(a, b))
        }
        _ => false,
    }
}

/// The sections of a file in the order of the format. A comment belongs to the key below it; one
/// that is followed by an empty line at the top belongs to the file.
fn ordered(text: &str) -> String {
    let mut lead: Vec<&str> = Vec::new();
    let mut sections: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut above: Vec<&str> = Vec::new();
    for line in text.lines() {
        let top = line.chars().next().is_some_and(|c| !c.is_whitespace() && c != '#');
        if top && !line.starts_with(['-', '}', ']']) {
            let rank = rank(line);
            let mut section = std::mem::take(&mut above);
            if sections.is_empty()
                && let Some(blank) = section.iter().rposition(|line| line.trim().is_empty())
            {
                lead = section.drain(..=blank).collect();
            }
            section.push(line);
            sections.push((rank, section));
        } else if line.trim().is_empty() || line.starts_with('#') {
            above.push(line);
        } else if let Some((_, section)) = sections.last_mut() {
            section.append(&mut above);
            section.push(line);
        } else {
            above.push(line);
        }
    }
    if !sections.is_sorted_by_key(|(rank, _)| *rank) {
        sections.sort_by_key(|(rank, _)| *rank);
    }
    let body = sections.into_iter().flat_map(|(_, lines)| lines);
    trimmed(lead.into_iter().chain(body).chain(above))
}

/// Where a section belongs; notes of the writer and unknown keys come last.
fn rank(line: &str) -> usize {
    let key = line.split(':').next().unwrap_or_default().trim_matches(['"', '\'']);
    ROOT.iter().position(|known| known.name == key).unwrap_or(ROOT.len())
}

/// No spaces at line ends, one empty line at most, one line end at the end.
fn trimmed<'t>(lines: impl IntoIterator<Item = &'t str>) -> String {
    let mut whole = String::new();
    let mut blank = true;
    for line in lines {
        let line = line.trim_end();
        if line.is_empty() && blank {
            continue;
        }
        blank = line.is_empty();
        whole.push_str(line);
        whole.push('\n');
    }
    if blank && whole.len() > 1 {
        whole.pop();
    }
    whole
}
