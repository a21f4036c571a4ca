//! One bad file for each code, with the findings as a person sees them.
//! `TIDEGATE_BLESS=1 cargo test -p tidegate-spec` writes the expected texts; read the diff.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tidegate_spec::{Diagnostics, Severity};

use crate::read;

fn bad() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

/// Errors and remarks alike.
fn findings(source: &str) -> Diagnostics {
    match read(source) {
        Ok(parsed) => Diagnostics(parsed.notes),
        Err(findings) => findings,
    }
}

#[test]
fn every_bad_file_is_answered_as_recorded() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut seen = 0;
    let mut differences = Vec::new();
    for entry in fs::read_dir(bad()).expect("the directory of bad files") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let source = fs::read_to_string(&path).expect("a bad file");
        let found = findings(&source);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let code = stem.split('-').next().expect("a code");
        assert!(found.iter().any(|finding| finding.code == code), "{stem} lacks {code}:\n{found}");
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, found.to_string()).expect("the expected text");
        } else if fs::read_to_string(&expected).unwrap_or_default() != found.to_string() {
            differences.push(format!("{stem} is answered with\n{found}"));
        }
    }
    assert!(seen > 30, "only {seen} bad files");
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn lints_do_not_refuse_and_errors_do() {
    for (file, refused) in
        [("TG1015", true), ("TG2024", true), ("TG2008", false), ("TG2035", false)]
    {
        let source = fs::read_to_string(bad().join(file).with_extension("yaml")).expect("a file");
        assert_eq!(read(&source).is_err(), refused, "{file}");
    }
}

/// Every code has a bad file, or a test by name where no file can be checked in.
#[test]
fn every_code_is_provoked() {
    let elsewhere = ["TG1001", "TG1002", "TG1031", "TG2031"];
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/codes.rs"))
        .expect("the codes");
    let codes: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("pub"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    let unique: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(unique.len(), codes.len(), "a code is given twice");
    for code in unique {
        let lint = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint").join(code);
        let there = bad().join(code).with_extension("yaml").exists()
            || lint.with_extension("yaml").exists();
        assert!(there || elsewhere.contains(&code), "no bad file provokes {code}");
    }
}

#[test]
fn all_findings_come_at_once_and_in_the_order_of_the_file() {
    let source = fs::read_to_string(bad().join("TG1015.yaml")).expect("a file");
    let found = findings(&source);
    assert_eq!(found.iter().filter(|f| f.severity == Severity::Error).count(), 5, "{found}");
    let columns: Vec<u32> =
        found.iter().filter_map(|f| f.place.as_ref()).map(|p| p.column).collect();
    assert!(columns.is_sorted(), "{columns:?}");
}

#[test]
fn findings_survive_the_way_through_json() {
    let source = fs::read_to_string(bad().join("TG1007.yaml")).expect("a file");
    let found = findings(&source);
    let json = serde_json::to_string(&found).expect("JSON");
    let first: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(first[0]["code"], "TG1007");
    assert_eq!(first[0]["severity"], "error");
    assert_eq!((&first[0]["line"], &first[0]["column"]), (&3.into(), &1.into()));
    assert_eq!(first[0]["help"], "did you mean `environment`?");
    let back: Diagnostics = serde_json::from_str(&json).expect("findings");
    assert_eq!(back.to_string(), found.to_string());
}

/// The figure of the runbook: 0.1 % at 95 % needs 2,995 requests, 67 a second at 5 % for 15 min.
#[test]
fn the_sample_of_the_runbook_is_counted() {
    let source = fs::read_to_string(bad().join("TG2010.yaml")).expect("a file");
    let found = findings(&source);
    assert!(found.to_string().contains("2,995 requests"), "{found}");
    assert!(found.to_string().contains("67 requests/s"), "{found}");
}
