//! The example processes: whole documents as files that `check` accepts and `deploy` refuses.
//! Must never accept a finding that is not there, nor hide one that is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::civil::date;
use tidegate_spec::{Context, Parsed, Purpose, Severity, read_with, runbook};

use crate::release;

/// The folder of each example, the document it is made from, and its boxes.
const PROCESSES: [(&str, &str, usize); 5] = [
    ("flow-of-stages", "000", 8),
    ("manual-release", "001", 29),
    ("static-web-app", "002", 0),
    ("canary-guide", "003", 40),
    ("tagged-release", "004", 8),
];

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn checked(name: &str, source: &str) -> Parsed {
    let (files, variables) = (BTreeMap::new(), BTreeMap::new());
    let context = Context {
        release: tidegate_core::plan::Release { version: "v1.2.3".to_owned(), ..release() },
        environment: None,
        files: &files,
        variables: &variables,
        today: Some(date(2026, 1, 1)),
        purpose: Purpose::Check,
    };
    read_with(source, "tidegate.yaml", &context).unwrap_or_else(|found| panic!("{name}:\n{found}"))
}

#[test]
fn every_process_passes_check_with_nothing_left_unaccepted() {
    for (name, ..) in PROCESSES {
        let source = text(&format!("../../examples/{name}/tidegate.yaml"));
        let parsed = checked(name, &source);
        let open: Vec<String> = parsed
            .notes
            .iter()
            .filter(|found| found.severity != Severity::Note || found.code == "TG2036")
            .map(|found| format!("{} {}", found.code, found.message))
            .collect();
        assert!(open.is_empty(), "{name}: {open:#?}");
        assert!(!parsed.unserved.is_empty(), "{name} needs drivers that are not there");
        let refused = tidegate_spec::parse(&source, "tidegate.yaml", release(), None);
        let refused = refused.expect_err("an unbound driver refuses");
        assert!(refused.iter().any(|found| found.code == "TG1011"), "{name}");
    }
}

#[test]
fn every_process_has_the_boxes_and_limits_of_its_document() {
    for (name, document, boxes) in PROCESSES {
        let source = text(&format!("../../examples/{name}/tidegate.yaml"));
        let imported = runbook(&text(&format!("tests/runbooks/{document}.md")), document);
        let ticked: Vec<u32> =
            imported.entries.iter().filter(|e| e.kind == "box").map(|e| e.line).collect();
        assert_eq!(ticked.len(), boxes, "{name}");
        for line in ticked {
            assert!(
                source.contains(&format!("line: {line}\n")),
                "{name} lacks the box of line {line}"
            );
        }
        for entry in &imported.entries {
            let rule = entry.to.iter().any(|to| to.starts_with("traffic.") && to.ends_with("_if"));
            if rule {
                assert!(source.contains(&entry.value), "{name}:{} {}", entry.line, entry.value);
            }
        }
    }
    let plan = checked("canary-guide", &text("../../examples/canary-guide/tidegate.yaml")).plan;
    let steps: Vec<u16> = plan.traffic.steps.iter().map(|step| step.bp()).collect();
    assert_eq!(steps, [500, 2_500, 5_000, 10_000]);
    assert_eq!((plan.traffic.advance_if.len(), plan.traffic.rollback_if.len()), (4, 5));
    assert_eq!(plan.traffic.dwell.as_secs(), 15 * 60);
}
