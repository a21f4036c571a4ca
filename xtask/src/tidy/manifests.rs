//! What every manifest of the workspace must say.
//!
//! Manifests are read as lines, not as TOML: the house writes them in one plain form, and a form
//! that this file cannot read is a finding. It must never guess what cargo would infer.

use super::finding::Finding;

const MEND_LINTS: &str = "add a `[lints]` section with `workspace = true`";
const MEND_PUBLISH: &str = "write `publish.workspace = true` under [package]";
const MEND_VERSION: &str = "write `version = \"0.0.0\"`; only the binary crate carries the release";
const MEND_SORT: &str = "keep each paragraph of [workspace.dependencies] in alphabetical order";
const MEND_ROOT: &str = "write `publish = false` under [workspace.package]";

/// The one crate whose version is the version of the release.
const RELEASED: &str = "crates/tidegate/Cargo.toml";

/// The trimmed lines of one section with their numbers.
fn section<'a>(text: &'a str, header: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == header;
            return None;
        }
        inside.then_some((at + 1, line))
    })
}

/// Checks the manifest of a member.
pub(crate) fn member(path: &str, text: &str) -> Vec<Finding> {
    let has = |header: &str, wanted: &str| section(text, header).any(|(_, line)| line == wanted);
    let mut findings = Vec::new();
    if !has("[lints]", "workspace = true") {
        findings.push(Finding::new(
            path,
            1,
            "the lints of the workspace are not in force",
            MEND_LINTS,
        ));
    }
    if !has("[package]", "publish.workspace = true") && !has("[package]", "publish = false") {
        findings.push(Finding::new(path, 1, "the crate could be published", MEND_PUBLISH));
    }
    if path != RELEASED && !has("[package]", "version = \"0.0.0\"") {
        findings.push(Finding::new(path, 1, "the crate carries a version", MEND_VERSION));
    }
    findings
}

/// Checks the root manifest.
pub(crate) fn workspace(path: &str, text: &str) -> Vec<Finding> {
    let never = section(text, "[workspace.package]").any(|(_, line)| line == "publish = false");
    if never {
        Vec::new()
    } else {
        vec![Finding::new(path, 1, "members may be published", MEND_ROOT)]
    }
}

/// Checks that the workspace's dependencies are sorted within each paragraph.
pub(crate) fn sorted_dependencies(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before = "";
    for (number, line) in section(text, "[workspace.dependencies]") {
        if line.is_empty() {
            before = "";
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or(line);
        if name < before {
            let what = format!("{name} stands after {before}");
            findings.push(Finding::new(path, number, what, MEND_SORT));
        }
        before = name;
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion = \"0.0.0\"\npublish.workspace = true\n\n[lints]\nworkspace = true\n";

    #[test]
    fn the_plain_form_passes() {
        assert!(member("crates/x/Cargo.toml", GOOD).is_empty());
    }

    #[test]
    fn each_missing_line_is_a_finding() {
        for gone in
            ["version = \"0.0.0\"\n", "publish.workspace = true\n", "[lints]\nworkspace = true\n"]
        {
            let text = GOOD.replace(gone, "");
            assert_eq!(member("crates/x/Cargo.toml", &text).len(), 1, "without {gone:?}");
        }
    }

    #[test]
    fn a_line_of_another_section_does_not_count() {
        let text = GOOD.replace("[lints]", "[lints.rust]");
        assert_eq!(member("crates/x/Cargo.toml", &text).len(), 1);
    }

    #[test]
    fn only_the_binary_carries_a_version() {
        let text = GOOD.replace("0.0.0", "1.2.3");
        assert!(member(RELEASED, &text).is_empty());
        assert_eq!(member("crates/tidegate-core/Cargo.toml", &text).len(), 1);
    }

    #[test]
    fn dependencies_are_sorted_by_paragraph() {
        let good =
            "[workspace.dependencies]\nzeta = \"1\"\n\nalpha = \"1\"\nbeta = \"1\"\n\n[x]\na = 1\n";
        assert!(sorted_dependencies("Cargo.toml", good).is_empty());
        let bad = "[workspace.dependencies]\nbeta = \"1\"\nalpha = \"1\"\n";
        let found = sorted_dependencies("Cargo.toml", bad);
        assert_eq!((found.len(), found[0].line), (1, 3));
    }

    #[test]
    fn a_publishable_workspace_fails() {
        assert!(workspace("Cargo.toml", "[workspace.package]\npublish = false\n").is_empty());
        assert_eq!(workspace("Cargo.toml", "[workspace.package]\n").len(), 1);
    }
}
