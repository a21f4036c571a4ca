//! The scripts in `tests/scripts/`: a header in prose, then commands, each followed by what came
//! of it. `TIDEGATE_BLESS=1 cargo test -p tidegate-core` writes the transcripts anew; a broken
//! invariant fails all the same. Must never be the only place where a rule is written down.
//!
//! A line that begins with `#` is prose, one that begins with `> ` is a command (`verbs.rs` knows
//! them all), everything else is transcript.

use std::path::{Path, PathBuf};

use crate::verbs::Script;

/// Lines around a difference that are shown.
const CONTEXT: usize = 3;

#[test]
#[expect(clippy::disallowed_methods, reason = "scripts are files, and blessing is asked by name")]
fn every_script_tells_the_same_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut failures = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy();
        let wanted = std::fs::read_to_string(path).unwrap();
        let (told, complaints) = tell(&wanted);
        failures.extend(complaints.iter().map(|what| format!("{name}: {what}")));
        if !wanted.starts_with('#') {
            failures.push(format!("{name}: it does not begin with a header in prose"));
        }
        if bless {
            std::fs::write(path, told).unwrap();
        } else if told != wanted {
            failures.push(format!("{name}:\n{}", difference(&wanted, &told)));
        }
    }
    assert!(!paths.is_empty(), "no script in {}", folder.display());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs a script and gives it back with the transcript of this run, and what must never be.
fn tell(text: &str) -> (String, Vec<String>) {
    let mut script = Script::new();
    let mut told = Vec::new();
    let mut complaints = Vec::new();
    let mut after_command = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            if after_command {
                told.push(String::new());
            }
            told.push(line.to_owned());
            told.extend(script.run(command).into_iter().map(|line| format!("  {line}")));
            let found = script.complaints();
            complaints.extend(found.into_iter().map(|what| format!("`{command}`: {what}")));
            after_command = true;
        } else if line.starts_with('#') {
            if after_command {
                told.push(String::new());
                after_command = false;
            }
            told.push(line.to_owned());
        } else if line.is_empty() && !after_command {
            told.push(String::new());
        }
    }
    (told.join("\n") + "\n", complaints)
}

/// The lines that differ, with some around them.
fn difference(wanted: &str, told: &str) -> String {
    let (wanted, told): (Vec<_>, Vec<_>) = (wanted.lines().collect(), told.lines().collect());
    let same = wanted.iter().zip(&told).take_while(|(a, b)| a == b).count();
    let rest = wanted.len().min(told.len()) - same;
    let backwards = wanted.iter().rev().zip(told.iter().rev());
    let tail = backwards.take(rest).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(CONTEXT);
    let mut lines: Vec<String> = wanted[from..same].iter().map(|l| format!("   {l}")).collect();
    lines.extend(wanted[same..wanted.len() - tail].iter().map(|l| format!(" - {l}")));
    lines.extend(told[same..told.len() - tail].iter().map(|l| format!(" + {l}")));
    lines.extend(told[told.len() - tail..].iter().take(CONTEXT).map(|l| format!("   {l}")));
    lines.join("\n")
}

#[test]
fn a_difference_is_shown_with_its_surroundings() {
    assert_eq!(difference("a\nb\nc\nd", "a\nx\nc\nd"), "   a\n - b\n + x\n   c\n   d");
    assert_eq!(difference("a", "a\nb"), "   a\n + b");
}
