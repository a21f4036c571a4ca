//! What the core drags in, and what nobody may drag in.
//!
//! The core's normal dependencies, with everything below them, stay within a list that a person
//! wrote. This file must never accept an unreadable graph as an empty one.

use std::collections::BTreeSet;

use super::finding::Finding;

/// The list: one crate name a line, `#` starts a comment.
pub(crate) const ALLOW_FILE: &str = "xtask/allow/core-closure.txt";

/// Crates that would bring a second crypto stack, OpenSSL, or a C library built with cmake.
/// `deny.toml` says the same to cargo-deny; this holds where that is not installed. The crate
/// `cmake` itself is not listed: aws-lc-sys links it but builds with the C compiler alone.
const BANNED: &[&str] = &["libz-ng-sys", "native-tls", "openssl-sys", "ring"];

const MEND_CORE: &str = "keep the core pure: move the need to the engine, or add the name to xtask/allow/core-closure.txt with a reason";
const MEND_UNUSED: &str = "delete the line, the list only shrinks by itself if someone does";
const MEND_BANNED: &str = "switch the default features of its importer off (cargo tree -i NAME)";
const MEND_EMPTY: &str = "run cargo tree by hand and see why it prints nothing";

/// The names in the output of `cargo tree --prefix none --format {p}`.
fn names(listing: &str) -> BTreeSet<&str> {
    listing.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// Checks the core's closure against the list, both ways.
pub(crate) fn core(listing: &str, allow: &str) -> Vec<Finding> {
    let found = names(listing);
    if !found.contains("tidegate-core") {
        return vec![Finding::new(ALLOW_FILE, 1, "the core's closure is unreadable", MEND_EMPTY)];
    }
    let stripped = |line: &'_ str| line.split('#').next().map(|name| name.trim().to_owned());
    let allowed: Vec<String> = allow.lines().filter_map(stripped).collect();
    let mut findings = Vec::new();
    for name in found.iter().filter(|name| **name != "tidegate-core") {
        if !allowed.iter().any(|entry| entry == name) {
            let what = format!("tidegate-core depends on {name}");
            findings.push(Finding::new("crates/tidegate-core/Cargo.toml", 1, what, MEND_CORE));
        }
    }
    for (at, entry) in allowed.iter().enumerate() {
        if !entry.is_empty() && !found.contains(entry.as_str()) {
            let what = format!("tidegate-core does not depend on {entry}");
            findings.push(Finding::new(ALLOW_FILE, at + 1, what, MEND_UNUSED));
        }
    }
    findings
}

/// Checks that no banned crate is built for this workspace.
pub(crate) fn banned(listing: &str) -> Vec<Finding> {
    let found = names(listing);
    if found.is_empty() {
        return vec![Finding::new(
            "Cargo.lock",
            1,
            "the dependency graph is unreadable",
            MEND_EMPTY,
        )];
    }
    let hit = |name: &&&str| found.contains(**name);
    let report = |name: &&str| {
        Finding::new("Cargo.lock", 1, format!("{name} is part of the build"), MEND_BANNED)
    };
    BANNED.iter().filter(hit).map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str =
        "tidegate-core v0.0.0 (/x)\nserde v1.0.1\njiff v0.2.0\nserde v1.0.1 (*)\n";

    #[test]
    fn a_closure_within_the_list_passes() {
        assert!(core(LISTING, "# why\nserde\njiff # time\n").is_empty());
    }

    #[test]
    fn a_crate_outside_the_list_fails() {
        let found = core(LISTING, "serde\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("jiff"));
    }

    #[test]
    fn an_entry_that_is_not_needed_fails_with_its_line() {
        let found = core(LISTING, "serde\njiff\ntokio\n");
        assert_eq!((found.len(), found[0].line), (1, 3));
    }

    #[test]
    fn an_empty_graph_is_never_a_pass() {
        assert_eq!(core("", "serde\n").len(), 1);
        assert_eq!(banned("").len(), 1);
    }

    #[test]
    fn a_banned_crate_fails() {
        assert!(banned(LISTING).is_empty());
        assert_eq!(banned("serde v1\nring v0.17.14\n").len(), 1);
    }
}
