//! Descriptions made for other tools: the draft and what became of every value, as recorded.
//! `TIDEGATE_BLESS=1 cargo test -p tidegate-spec` records anew.

use std::fs;
use std::path::Path;

use tidegate_spec::{How, Imported, Severity, Tool, tool};

const TOOLS: [(Tool, &str); 6] = [
    (Tool::ArgoRollout, "argo-rollout"),
    (Tool::Flagger, "flagger"),
    (Tool::Kamal, "kamal"),
    (Tool::Alerts, "alerts"),
    (Tool::Openslo, "openslo"),
    (Tool::GithubWorkflow, "github-workflow"),
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools")
}

fn report(imported: &Imported) -> String {
    let lines = imported.entries.iter().map(|entry| {
        let (to, how) = (entry.to.join(", "), entry.how.word());
        let line = format!("{:>3} {how:15} {}", entry.line, entry.text);
        format!("{line}\n    {to} | {} | {}\n", entry.value, entry.why)
    });
    let text: String = lines.collect();
    format!("{text}\n{}", imported.draft)
}

#[test]
fn every_description_has_the_report_and_the_draft_that_are_recorded() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    for (kind, name) in TOOLS {
        let source = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
        let found = report(&tool(kind, &source, name));
        let path = folder().join(format!("{name}.txt"));
        if bless {
            fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&path).unwrap_or_default(), "{name}");
    }
}

#[test]
fn a_draft_of_a_description_has_no_errors_and_no_value_is_lost() {
    for (kind, name) in TOOLS {
        let source = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
        let imported = tool(kind, &source, name);
        let errors: Vec<_> =
            imported.findings.iter().filter(|found| found.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}\n{}", imported.draft);
        for entry in &imported.entries {
            let said = !entry.why.is_empty() || entry.how == How::Exact;
            assert!(said, "{name}: nothing is said about {}", entry.text);
        }
        assert!(imported.count(How::Exact) + imported.count(How::Approximated) > 0, "{name}");
    }
}

#[test]
fn the_numbers_mean_the_same_on_both_sides() {
    let text = |name: &str| fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    let flagger = tool(Tool::Flagger, &text("flagger"), "flagger").draft;
    for words in ["errors < 1%", "errors > 1% for 1m", "p99 < 500ms", "50%", "100%"] {
        assert!(flagger.contains(words), "{words}: {flagger}");
    }
    let argo = tool(Tool::ArgoRollout, &text("argo-rollout"), "argo").draft;
    for words in ["20%", "80%", "100%", "for: 10m", "instances: 4"] {
        assert!(argo.contains(words), "{words}: {argo}");
    }
    let openslo = tool(Tool::Openslo, &text("openslo"), "openslo").draft;
    assert!(openslo.contains("errors < 0.1%"), "{openslo}");
    let kamal = tool(Tool::Kamal, &text("kamal"), "kamal").draft;
    assert!(kamal.contains("get: /up") && !kamal.contains("KAMAL_REGISTRY"), "{kamal}");
}

#[test]
fn broken_descriptions_are_named_and_do_no_harm() {
    for text in ["", "a: [", "kind: Rollout\n---\n\t", "{{{{", "- 1\n- 2\n", &"[".repeat(5_000)] {
        for (kind, name) in TOOLS {
            let imported = tool(kind, text, name);
            assert!(imported.draft.contains("tidegate: "), "{name}: {text:.20}");
        }
    }
}
