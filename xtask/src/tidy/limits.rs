//! The page of limits: every queue, file, body and wait that has one, made from the constants and
//! their own words. It must never hold a limit that no source has, nor a value that is not its.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::rust_text::{is_test_file, tests_begin};
use super::tree::Tree;

/// The page.
pub(crate) const PAGE: &str = "docs/reference/limits.md";
const MEND: &str = "`cargo xtask limits` writes it anew";
const MEND_WORDS: &str = "say in a comment with three slashes what the limit is for";

/// What the name of a limit ends with, or is.
const ENDS: [&str; 12] = [
    "_MAX",
    "_BYTES",
    "_KEPT",
    "_WITHIN",
    "_WAIT",
    "_TIMEOUT",
    "_PATIENCE",
    "_MIB",
    "_LINES",
    "_CHARS",
    "_ENTRIES",
    "_DIGITS",
];
const NAMES: [&str; 10] = [
    "PATIENCE",
    "DRAIN",
    "STREAMS",
    "CONNECTIONS",
    "LINGER",
    "BACKLOG",
    "ATTEMPTS",
    "SERVICES",
    "GROUP",
    "TICKS",
];

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limit {
    path: String,
    line: usize,
    name: String,
    value: String,
    words: String,
}

/// The page as it should be.
pub(crate) fn page(tree: &Tree) -> String {
    let mut of_crate: BTreeMap<String, Vec<Limit>> = BTreeMap::new();
    for limit in found(tree) {
        let name = limit.path.split('/').nth(1).unwrap_or_default().to_owned();
        of_crate.entry(name).or_default().push(limit);
    }
    let mut page = String::from(
        "# Limits\n\n\
         Every queue, file, body and wait ends somewhere, and past the end there is an answer with \
         a code, never a crash and never silence.\n\
         This page is made from the constants of the source by `cargo xtask limits`; `cargo xtask \
         tidy` holds it against them.\n\
         What an operator or a configuration can change stands in \
         [the command line](cli.md) and [the configuration](config.md).\n",
    );
    for (name, limits) in of_crate {
        page.push_str(
            &[
                "\n## ",
                &name,
                "\n\n| Limit | Value | What it is for | Where |\n|---|---|---|---|\n",
            ]
            .concat(),
        );
        for Limit { path, name, value, words, .. } in limits {
            let short = path.splitn(4, '/').nth(3).unwrap_or(&path);
            let cells = ["| `", &name, "` | ", &value, " | ", &words, " | `", short, "` |\n"];
            page.push_str(&cells.concat());
        }
    }
    page
}

/// Checks that the page is what the source says, and that each limit has words.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for limit in found(tree).filter(|limit| limit.words.is_empty()) {
        let what = format!("{} is a limit without a word", limit.name);
        findings.push(Finding::new(&limit.path, limit.line, what, MEND_WORDS));
    }
    if tree.text(PAGE) != page(tree) {
        findings.push(Finding::new(PAGE, 1, "the page is not what the source says", MEND));
    }
    findings
}

fn found(tree: &Tree) -> impl Iterator<Item = Limit> {
    let sources = tree.files.iter().filter(|file| {
        let is_product = file.path.starts_with("crates/") && file.path.contains("/src/");
        is_product && file.is_rust() && !is_test_file(&file.path)
    });
    sources.flat_map(|file| in_text(&file.path, file.text.as_deref().unwrap_or("")))
}

fn in_text(path: &str, text: &str) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for (at, line) in text.lines().enumerate().take(tests_begin(text)) {
        let line = line.trim();
        if let Some(said) = line.strip_prefix("///") {
            words.push(said.trim());
            continue;
        }
        if let Some((name, value)) = constant(line)
            && is_limit(name)
            && let Some(value) = readable(value)
        {
            let words = first_sentence(&words.join(" "));
            let (path, name) = (path.to_owned(), name.to_owned());
            limits.push(Limit { path, line: at + 1, name, value, words });
        }
        if !line.starts_with("#[") {
            words.clear();
        }
    }
    limits
}

/// Name and value of a constant that stands on one line.
fn constant(line: &str) -> Option<(&str, &str)> {
    let public = line.strip_prefix("pub").map_or(line, |rest| {
        let rest = rest.trim_start();
        rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")).map_or(rest, |(_, rest)| rest)
    });
    let (name, rest) = public.strip_prefix("const ")?.split_once(": ")?;
    let (_, value) = rest.split_once(" = ")?;
    Some((name, value.strip_suffix(';')?))
}

fn is_limit(name: &str) -> bool {
    NAMES.contains(&name) || ENDS.iter().any(|end| name.ends_with(end))
}

fn first_sentence(words: &str) -> String {
    let end = words.find(". ").map_or(words.len(), |at| at + 1);
    words.get(..end).unwrap_or(words).trim_end_matches('.').replace('|', "\\|")
}

/// A value as people read it; nothing for one that is no number and no time.
fn readable(value: &str) -> Option<String> {
    let value = value.trim();
    for (call, unit, times) in [
        ("from_secs(", "s", 1),
        ("from_millis(", "ms", 1),
        ("from_mins(", "min", 1),
        ("from_hours(", "h", 1),
    ] {
        if let Some((head, inner)) = value.split_once(call)
            && head.ends_with("Duration::")
        {
            let number = product(inner.strip_suffix(')')?)? * times;
            return Some(format!("{} {unit}", grouped(number)));
        }
    }
    product(value).map(grouped)
}

/// A product, a sum or a shift of numbers.
fn product(text: &str) -> Option<u64> {
    if let Some((number, shift)) = text.split_once("<<") {
        return product(number)?.checked_shl(u32::try_from(product(shift)?).ok()?);
    }
    text.split('*').map(plain_number).try_fold(1_u64, |all, number| all.checked_mul(number?))
}

fn plain_number(text: &str) -> Option<u64> {
    let digits: String = text.trim().chars().filter(|c| *c != '_').collect();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, kind) = digits.split_at(end);
    let is_kind = kind.is_empty() || matches!(kind, "u8" | "u16" | "u32" | "u64" | "usize" | "i64");
    is_kind.then(|| number.parse().ok()).flatten()
}

fn grouped(number: u64) -> String {
    let mut text = String::new();
    let digits = number.to_string();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// Longest body, bytes. A larger one is refused.
const BODY_BYTES: usize = 8 * 1_024;
/// How long it waits.
pub(crate) const WORD_WAIT: Duration = Duration::from_secs(10);
const TITLE: &str = \"x\";
pub const FILES_MAX: u64 = 64 << 20;
";

    #[test]
    fn constants_become_rows_with_their_first_sentence() {
        let rows = in_text("crates/a/src/b.rs", SOURCE);
        let said: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.value.as_str())).collect();
        assert_eq!(
            said,
            [("BODY_BYTES", "8,192"), ("WORD_WAIT", "10 s"), ("FILES_MAX", "67,108,864")]
        );
        assert_eq!(rows[0].words, "Longest body, bytes");
        assert_eq!(rows[2].words, "");
    }

    #[test]
    fn a_page_that_is_old_and_a_limit_without_words_are_found() {
        let tree = Tree::of(&[("crates/a/src/b.rs", SOURCE)]);
        let whats: Vec<String> = all(&tree).into_iter().map(|found| found.what).collect();
        assert_eq!(whats.len(), 2, "{whats:?}");
        let page = page(&tree);
        assert!(page.contains("| `BODY_BYTES` | 8,192 | Longest body, bytes | `b.rs` |"), "{page}");
        let tree = Tree::of(&[("crates/a/src/b.rs", SOURCE), (PAGE, &page)]);
        assert_eq!(all(&tree).len(), 1, "the page is current");
    }
}
