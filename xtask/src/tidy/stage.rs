//! No part of the product knows that it is being shown off.
//!
//! The verb that shows the product may exist; a branch elsewhere that recognises it may not. This
//! file must never excuse a line outside the verb's own files but its registration.

use super::finding::Finding;
use super::rust_text::{identifiers, is_test_file, tests_begin, views, words_of};

/// The word, built so that this checker does not match itself elsewhere.
const WORD: &str = "demo";

/// The verb's own files.
const VERB_FILES: &str = "crates/tidegate/src/cli/demo";

/// Where the verb is registered: a module line, a variant, a match arm. Help text is free there.
const REGISTRY: &str = "crates/tidegate/src/cli.rs";

/// Lines of code that registering one verb takes.
const REGISTRY_LINES_MAX: usize = 3;

const MEND_BRANCH: &str =
    "let the product behave alike for everybody; keep the word in the verb's own files";
const MEND_REGISTRY: &str = "register the verb once: its module, its variant, its arm";

/// Checks one Rust file.
pub(crate) fn knows_the_stage(path: &str, text: &str) -> Vec<Finding> {
    if !path.starts_with("crates/") || path.starts_with(VERB_FILES) || is_test_file(path) {
        return Vec::new();
    }
    if path == REGISTRY {
        return registry(path, &views(text).code, tests_begin(text));
    }
    let hits = text.lines().enumerate().filter(|(_, line)| has_word(line));
    hits.map(|(at, _)| Finding::new(path, at + 1, format!("the word {WORD:?}"), MEND_BRANCH))
        .collect()
}

/// In the registry only code counts, and only a few plain lines of it.
fn registry(path: &str, code: &str, tests: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = 0;
    for (at, line) in code.lines().enumerate().take(tests) {
        if !has_word(line) {
            continue;
        }
        seen += 1;
        let branches = line.contains("==") || line.contains("!=") || line.contains("matches!");
        let decides = identifiers(line).any(|(_, word)| word == "if" || word == "while");
        if seen > REGISTRY_LINES_MAX || branches || decides {
            findings.push(Finding::new(path, at + 1, format!("the word {WORD:?}"), MEND_REGISTRY));
        }
    }
    findings
}

fn has_word(line: &str) -> bool {
    identifiers(line).any(|(_, name)| words_of(name).iter().any(|word| word == WORD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_fails_in_code_comments_and_literals() {
        for line in ["if is_demo {}", "// for the demo", "let a = \"demo\";", "struct DemoPlan;"] {
            assert_eq!(knows_the_stage("crates/tidegate-core/src/a.rs", line).len(), 1, "{line}");
        }
    }

    #[test]
    fn other_words_and_other_places_pass() {
        assert!(knows_the_stage("crates/x/src/a.rs", "// demonstrably demoted").is_empty());
        assert!(knows_the_stage("crates/tidegate/src/cli/demo/load.rs", "demo()").is_empty());
        assert!(knows_the_stage("crates/tidegate/tests/it/demo.rs", "demo()").is_empty());
        assert!(knows_the_stage("xtask/src/a.rs", "demo()").is_empty());
    }

    #[test]
    fn the_verb_is_registered_once_and_never_tested_for() {
        let plain =
            "mod demo;\n/// Run the demo.\nDemo(demo::Args),\nVerb::Demo(a) => demo::run(a),\n";
        assert!(knows_the_stage(REGISTRY, plain).is_empty());
        let twice = format!("{plain}demo::again();\n");
        assert_eq!(knows_the_stage(REGISTRY, &twice)[0].line, 5);
        assert_eq!(knows_the_stage(REGISTRY, "if verb.is_demo() {}").len(), 1);
    }
}
