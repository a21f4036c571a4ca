//! Names that say nothing: banned as words of file, type, module and function names.
//!
//! The list is the house's, this file must never soften it with exceptions by path, but one: the
//! HTTP handlers may be called so. Associated types are named by their trait, not by us.

use super::finding::Finding;
use super::rust_text::{identifiers, views, words_of};

const BANNED: &[&str] = &[
    "common", "data", "helper", "helpers", "impl", "info", "manager", "misc", "util", "utils",
    "wrapper",
];

/// Keywords after which a name is declared that the list applies to.
const DECLARES: &[&str] = &["enum", "mod", "struct", "trait", "type", "union"];

/// The words a function must not begin with: a function is its verb.
const EMPTY_VERBS: &[&str] = &["do", "handle"];

/// Where HTTP handlers live.
const HTTP: &str = "crates/tidegate/src/api/";

const MEND_NAME: &str = "name it after what it is or does, in a word of the glossary";

/// Checks the file name and every declaration in the file.
pub(crate) fn banned(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    if let Some(word) = banned_word(stem) {
        findings.push(Finding::new(path, 1, format!("{word:?} in the file name"), MEND_NAME));
    }
    for (at, line) in views(text).code.lines().enumerate() {
        for (keyword, name) in declarations(line) {
            // Indented, it is an associated type, and a foreign trait gave it its name.
            if keyword == "type" && line.starts_with(char::is_whitespace) {
                continue;
            }
            let wrong = if keyword == "fn" { empty_verb(path, name) } else { banned_word(name) };
            if let Some(word) = wrong {
                let what = format!("{word:?} in the name {name}");
                findings.push(Finding::new(path, at + 1, what, MEND_NAME));
            }
        }
    }
    findings
}

/// Pairs of a declaring keyword and the name after it.
fn declarations(line: &str) -> Vec<(&str, &str)> {
    let words: Vec<(usize, &str)> = identifiers(line).collect();
    let mut found = Vec::new();
    for pair in words.windows(2) {
        let [(at, keyword), (next, name)] = pair else {
            continue;
        };
        let between = line.get(at + keyword.len()..*next).unwrap_or("");
        let declares = DECLARES.contains(keyword) || *keyword == "fn";
        if declares && !between.is_empty() && between.chars().all(char::is_whitespace) {
            found.push((*keyword, *name));
        }
    }
    found
}

fn banned_word(name: &str) -> Option<&'static str> {
    let words = words_of(name);
    BANNED.iter().copied().find(|banned| words.iter().any(|word| word == banned))
}

fn empty_verb(path: &str, name: &str) -> Option<&'static str> {
    let words = words_of(name);
    let verb = EMPTY_VERBS.iter().copied().find(|verb| words.first().is_some_and(|w| w == verb))?;
    let alone = words.len() == 1 || (verb == "handle" && path.starts_with(HTTP));
    (!alone).then_some(verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        banned(path, text).len()
    }

    #[test]
    fn empty_words_fail_in_types_modules_and_files() {
        assert_eq!(count("a.rs", "pub struct StepManager;"), 1);
        assert_eq!(count("a.rs", "pub(crate) enum BuildInfo {}"), 1);
        assert_eq!(count("a.rs", "mod utils;"), 1);
        assert_eq!(count("crates/x/src/string_utils.rs", ""), 1);
    }

    #[test]
    fn associated_types_bear_the_name_their_trait_gives_them() {
        assert_eq!(count("a.rs", "impl Body for B {\n    type Data = Bytes;\n}"), 0);
        assert_eq!(count("a.rs", "type Data = Bytes;"), 1);
    }

    #[test]
    fn functions_begin_with_a_real_verb() {
        assert_eq!(count("a.rs", "fn do_deploy() {}"), 1);
        assert_eq!(count("a.rs", "async fn handle_request() {}"), 1);
        assert_eq!(count("crates/tidegate/src/api/holds.rs", "async fn handle_request() {}"), 0);
        assert_eq!(count("a.rs", "fn handle(&self) {}"), 0);
        assert_eq!(count("a.rs", "fn domain() {}"), 0);
    }

    #[test]
    fn near_words_and_literals_pass() {
        assert_eq!(count("a.rs", "struct Metadata; struct Database; struct Information;"), 0);
        assert_eq!(count("a.rs", "let a = \"struct Manager\"; // struct Manager"), 0);
        assert_eq!(count("a.rs", "impl Common for X {}"), 0);
    }
}
