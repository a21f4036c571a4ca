//! The five process documents, imported: every line comes back, with what became of it.
//! Must never be lenient with the counts: they are what the importer is for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::date;
use tidegate_spec::{Context, How, Imported, Purpose, read_with, runbook};

use crate::release;

const DOCUMENTS: [&str; 5] = ["000", "001", "002", "003", "004"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runbooks")
}

fn source(name: &str) -> String {
    fs::read_to_string(folder().join(name).with_extension("md")).expect("the document")
}

fn imported(name: &str) -> Imported {
    runbook(&source(name), &format!("{name}.md"))
}

/// The report as a page: one line for each line of the document.
fn page(imported: &Imported) -> String {
    let mut page = String::new();
    writeln!(
        page,
        "boxes {} of {}, numbers {} of {}, repaired {}, lost {}",
        imported.boxes.bound,
        imported.boxes.all,
        imported.numbers.bound,
        imported.numbers.all,
        imported.repaired,
        imported.lost
    )
    .expect("a page");
    for entry in &imported.entries {
        let to = entry.to.join(", ");
        let said = [to.as_str(), entry.value.as_str(), entry.why.as_str()];
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        writeln!(
            page,
            "{:>4} {:12} {:8} {}\n       {}",
            entry.line,
            entry.how.word(),
            entry.kind,
            entry.text,
            said.join(" | ")
        )
        .expect("a page");
        for finding in &entry.findings {
            writeln!(page, "       ! {finding}").expect("a page");
        }
    }
    for finding in &imported.findings {
        let line = finding.place.as_ref().map_or(0, |place| place.line);
        writeln!(page, "check {} draft:{line} {}", finding.code, finding.message).expect("a page");
    }
    page
}

#[test]
fn every_document_has_the_report_and_the_draft_that_are_recorded() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    for name in DOCUMENTS {
        let imported = imported(name);
        for (ending, text) in
            [("report.txt", page(&imported)), ("draft.yaml", imported.draft.clone())]
        {
            let path = folder().join(format!("{name}.{ending}"));
            if bless {
                fs::write(&path, &text).expect("the recorded text");
            }
            let recorded = fs::read_to_string(&path).unwrap_or_default();
            assert!(recorded == text, "{name}.{ending} differs: TIDEGATE_BLESS=1 writes it anew");
        }
    }
}

#[test]
fn no_line_is_lost_and_none_is_unexplained() {
    for name in DOCUMENTS {
        let imported = imported(name);
        let known: Vec<u32> = imported.entries.iter().map(|entry| entry.line).collect();
        let mut fenced = false;
        for (number, line) in (1_u32..).zip(source(name).lines()) {
            let text = line.trim();
            let fence = text.starts_with("```");
            let rule = text.chars().all(|c| matches!(c, '-' | '|' | ':' | ' '));
            if !text.is_empty() && !fence && (fenced || !rule) {
                assert!(known.contains(&number), "{name}:{number} is lost: {line}");
            }
            fenced ^= fence;
        }
        for entry in &imported.entries {
            let explained = match entry.how {
                How::Exact => !entry.to.is_empty(),
                How::Approximated => !entry.to.is_empty() && !entry.why.is_empty(),
                How::NeedsAnswer | How::Dropped => !entry.why.is_empty(),
            };
            assert!(explained, "{name}:{} is not explained: {entry:?}", entry.line);
        }
    }
}

#[test]
fn most_boxes_and_nearly_all_numbers_are_bound() {
    let mut boxes = (0, 0);
    let mut numbers = (0, 0);
    for name in DOCUMENTS {
        let imported = imported(name);
        boxes = (boxes.0 + imported.boxes.bound, boxes.1 + imported.boxes.all);
        numbers = (numbers.0 + imported.numbers.bound, numbers.1 + imported.numbers.all);
        let open: Vec<String> = imported
            .entries
            .iter()
            .filter(|entry| entry.bound.len() < entry.numbers.len())
            .map(|entry| {
                format!(
                    "{}: {} {:?} not all of {:?}",
                    entry.line, entry.text, entry.bound, entry.numbers
                )
            })
            .collect();
        assert!(
            imported.numbers.bound * 100 >= imported.numbers.all * 95,
            "{name}: {} of {}\n{}",
            imported.numbers.bound,
            imported.numbers.all,
            open.join("\n")
        );
        assert!(
            imported.boxes.bound * 100 >= imported.boxes.all * 75,
            "{name}: {:?}",
            imported.boxes
        );
    }
    // 29 + 40 + 8 boxes, and the 8 criteria with a tick.
    assert_eq!(boxes.1, 85);
    assert!(numbers.1 > 120, "{numbers:?}");
}

/// What is bound is in the draft, and the draft is a file that `check` accepts.
#[test]
fn every_draft_is_accepted_by_check_and_refused_by_deploy() {
    let (files, variables) = (BTreeMap::new(), BTreeMap::new());
    for name in DOCUMENTS {
        let imported = imported(name);
        let context = |purpose| Context {
            release: release(),
            environment: None,
            files: &files,
            variables: &variables,
            today: Some(date(2026, 1, 1)),
            purpose,
        };
        let checked = read_with(&imported.draft, "draft.yaml", &context(Purpose::Check));
        let checked =
            checked.unwrap_or_else(|found| panic!("{name}:\n{found}\n{}", imported.draft));
        assert!(!checked.unserved.is_empty());
        assert!(read_with(&imported.draft, "draft.yaml", &context(Purpose::Deploy)).is_err());
        let shown = tidegate_spec::show(&imported.draft, "draft.yaml", &context(Purpose::Check));
        let shown = shown.expect("a tree");
        for entry in imported.entries.iter().filter(|entry| entry.how != How::Dropped) {
            for path in entry.to.iter().filter(|path| !path.starts_with("phase:")) {
                assert!(tidegate_spec::get(&shown, path).is_some(), "{name}:{} {path}", entry.line);
            }
        }
    }
}

/// The catalogue of mistakes, at the lines where they stand.
#[test]
fn the_mistakes_of_the_documents_are_found_where_they_stand() {
    for (name, line, code) in [
        ("001", 207, "TG2001"),
        ("003", 286, "TG2002"),
        ("003", 374, "TG2003"),
        ("003", 130, "TG2004"),
        ("003", 172, "TG2005"),
        ("003", 181, "TG2005"),
        ("003", 184, "TG2005"),
        ("003", 136, "TG2006"),
        ("002", 358, "TG2016"),
        ("002", 177, "TG2017"),
        ("002", 288, "TG2018"),
        ("002", 316, "TG2019"),
        ("001", 62, "TG2020"),
        ("001", 63, "TG2020"),
        ("001", 64, "TG2020"),
        ("000", 118, "TG2023"),
        ("003", 352, "TG2024"),
        ("003", 452, "TG2025"),
        ("003", 455, "TG2025"),
        ("001", 3, "TG2026"),
        ("001", 124, "TG2026"),
        ("003", 11, "TG2026"),
        ("003", 15, "TG2026"),
    ] {
        let imported = imported(name);
        let entry = imported.entries.iter().find(|entry| entry.line == line);
        let found = entry.map(|entry| entry.findings.join("; ")).unwrap_or_default();
        assert!(found.contains(code), "{name}:{line} lacks {code}: {found}");
    }
    // What only the whole shows is found in the draft.
    for (name, code) in [
        ("003", "TG2007"),
        ("003", "TG2008"),
        ("003", "TG2011"),
        ("002", "TG2012"),
        ("002", "TG2013"),
        ("002", "TG2014"),
        ("002", "TG2015"),
        ("003", "TG2021"),
        ("003", "TG2022"),
    ] {
        let imported = imported(name);
        let codes: Vec<&str> = imported.findings.iter().map(|found| found.code.as_str()).collect();
        assert!(codes.contains(&code), "{name} lacks {code}: {codes:?}");
    }
}

#[test]
fn hostile_documents_end() {
    for text in [
        "",
        "\u{0}",
        &"[".repeat(100_000),
        &"> ".repeat(50_000),
        &"- [ ] a\n".repeat(5_000),
        &format!("```yaml\n{}\n```", "[".repeat(10_000)),
        &format!("```mermaid\n{}\n```", "A-->".repeat(5_000)),
        "| a |\n|--|\n| b | c | d |",
        "`/`: x\n\n+1: +1\n\n% < > 1%%",
    ] {
        let imported = runbook(text, "x.md");
        assert!(!imported.draft.is_empty());
    }
}
