//! What must not be committed at all: paths of one machine, and blobs.
//!
//! It reads every tracked text file, prose included. It must never need an exception list: a
//! fixture that names somebody's folder is a fixture to mend.

use super::finding::Finding;

/// Bytes of one tracked file. A clone stays quick, and a diff stays readable.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Folders of the machines this is written on. Split, so that this file does not name them.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("../sha", "red")];

const MEND_PATH: &str = "take the path from an argument, the environment or a temporary folder";
const MEND_LARGE: &str = "generate it in the test, or fetch it by package name";

/// Checks one text for paths that exist on one machine only.
pub(crate) fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for machine in MACHINE_PATHS {
            if starts_path(line, machine) {
                let what = format!("the path {machine} of one machine");
                findings.push(Finding::new(path, at + 1, what, MEND_PATH));
            }
        }
    }
    findings
}

/// Whether `start` stands in the line as the start of a path, not inside a longer one.
fn starts_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.}/~".contains(c))
    })
}

/// Checks the size of one file.
pub(crate) fn large_file(path: &str, bytes: u64) -> Option<Finding> {
    (bytes > FILE_BYTES_MAX).then(|| {
        Finding::new(path, 1, format!("{bytes} bytes, allowed are {FILE_BYTES_MAX}"), MEND_LARGE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_one_machine_fails() {
        for path in MACHINE_PATHS {
            assert_eq!(machine_paths("a.md", &format!("ok\nsee `{path}x`")).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_folder_inside_a_longer_path_passes() {
        let inside = format!("target{}x and https://a.b{}x", MACHINE_PATHS[0], MACHINE_PATHS[1]);
        assert!(machine_paths("a.md", &inside).is_empty());
    }

    #[test]
    fn a_blob_fails() {
        assert!(large_file("a.bin", FILE_BYTES_MAX).is_none());
        assert!(large_file("a.bin", FILE_BYTES_MAX + 1).is_some());
    }
}
