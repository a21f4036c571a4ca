//! The git-tracked files of the checkout, read once.
//!
//! It must never look at an untracked file: what is not committed is not yet anybody's rule.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// One tracked file. `text` is absent for files that are not UTF-8.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: Option<String>,
    pub(crate) bytes: u64,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The manifest of a workspace member, as opposed to the root's or a fixture's.
    pub(crate) fn is_member_manifest(&self) -> bool {
        self.path == "xtask/Cargo.toml"
            || (self.path.starts_with("crates/")
                && self.path.ends_with("/Cargo.toml")
                && self.path.split('/').count() == 3)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// The text of one file; empty when it is missing, which every rule treats as a violation.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.files
            .iter()
            .find(|file| file.path == path)
            .and_then(|f| f.text.as_deref())
            .unwrap_or("")
    }

    /// Every tracked path and every folder above one.
    pub(crate) fn paths_and_folders(&self) -> BTreeSet<&str> {
        let mut known = BTreeSet::new();
        for file in &self.files {
            known.insert(file.path.as_str());
            for (end, _) in file.path.match_indices('/') {
                known.extend(file.path.get(..end));
            }
        }
        known
    }

    /// A tree from pairs, for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let files = files
            .iter()
            .map(|(path, text)| File {
                path: (*path).into(),
                text: Some((*text).into()),
                bytes: text.len() as u64,
            })
            .collect();
        Tree { files }
    }
}

/// Reads the tracked files below `root`. A file deleted in the work tree but still in the index is
/// left out: the commit that removes it is on its way.
///
/// # Errors
/// When git does not answer or a file cannot be read.
pub(crate) fn tracked(root: &Path) -> anyhow::Result<Tree> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached"])
        .output()
        .context("git did not start")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a tracked path is not UTF-8")?;
    let mut files = Vec::new();
    for path in names.split('\0').filter(|name| !name.is_empty()) {
        let full = root.join(path);
        let Ok(found) = full.symlink_metadata() else {
            continue;
        };
        if !found.is_file() {
            continue;
        }
        let content = std::fs::read(&full).with_context(|| format!("cannot read {path}"))?;
        files.push(File {
            path: path.into(),
            bytes: found.len(),
            text: String::from_utf8(content).ok(),
        });
    }
    Ok(Tree { files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_manifests_are_told_from_fixtures() {
        let tree = Tree::of(&[
            ("crates/tidegate-core/Cargo.toml", ""),
            ("crates/tidegate/tests/app/Cargo.toml", ""),
            ("Cargo.toml", ""),
            ("xtask/Cargo.toml", ""),
        ]);
        let members: Vec<bool> = tree.files.iter().map(File::is_member_manifest).collect();
        assert_eq!(members, [true, false, false, true]);
    }

    #[test]
    fn folders_above_a_file_are_known() {
        let tree = Tree::of(&[("docs/errors/TG1001.md", "")]);
        assert!(tree.paths_and_folders().contains("docs/errors"));
        assert!(!tree.paths_and_folders().contains("docs/adr"));
    }
}
