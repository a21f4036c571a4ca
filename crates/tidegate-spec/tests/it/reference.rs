//! The reference page says what the reader does: its examples are accepted, its keys are complete.

use std::fs;
use std::path::Path;

use tidegate_core::plan::Plan;
use tidegate_spec::{Diagnostics, Severity, decode, lint};

use crate::{plan, read};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}"))
}

/// The example as part of a whole file.
fn whole(example: &str) -> String {
    let indented: String = example.lines().map(|line| format!("  {line}\n")).collect();
    let deploy = "deploy:\n  run: [./server]\n";
    let body = if example.starts_with("probes:") {
        format!("{deploy}{indented}")
    } else if example.starts_with("parts:") {
        example.to_owned()
    } else {
        format!("{deploy}{example}")
    };
    format!("tidegate: 1\nservice: shop\n{body}")
}

#[test]
fn every_example_is_accepted() {
    let page = page();
    let examples: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|behind| behind.split("```").next())
        .flat_map(|example| {
            // Two ways to write one key are two examples.
            let second = example.rmatch_indices("\nbuild:").map(|(at, _)| at + 1).next();
            let (first, second) = example.split_at(second.unwrap_or(0));
            [first, second]
        })
        .filter(|example| !example.is_empty())
        .collect();
    assert!(examples.len() >= 6, "{}", examples.len());
    for example in examples {
        plan(&whole(example));
    }
}

#[test]
fn every_key_is_in_the_tables() {
    let page = page();
    let head = "tidegate: 1\nservice: s\n";
    let mut keys = 0;
    for source in [
        format!("{head}qqqqqq: 1\n"),
        format!("{head}release: {{qqqqqq: 1}}\n"),
        format!("{head}build: {{run: [a], qqqqqq: 1}}\n"),
        format!("{head}deploy: {{qqqqqq: 1}}\n"),
        format!("{head}deploy: {{probes: {{p: {{get: /, qqqqqq: 1}}}}}}\n"),
        format!("{head}deploy: {{probes: {{p: {{tls: a, qqqqqq: 1}}}}}}\n"),
        format!("{head}deploy: {{smoke: {{run: [a], qqqqqq: 1}}}}\n"),
        format!("{head}parts: {{p: {{qqqqqq: 1}}}}\n"),
        format!("{head}deploy: {{}}\ntraffic: {{qqqqqq: 1}}\n"),
        format!("{head}deploy: {{}}\ntraffic: {{route: {{qqqqqq: 1}}}}\n"),
        format!("{head}deploy: {{}}\ntraffic: {{route: {{tls: {{qqqqqq: 1}}}}}}\n"),
        format!("{head}deploy: {{}}\ntraffic: {{route: {{tls: {{acme: {{qqqqqq: 1}}}}}}}}\n"),
        format!("{head}deploy: {{}}\ntraffic: {{route: {{behind: {{qqqqqq: 1}}}}}}\n"),
        format!("{head}traffic: {{each: {{qqqqqq: 1}}}}\n"),
        format!("{head}traffic: {{otherwise: {{qqqqqq: 1}}}}\n"),
        format!("{head}traffic: {{judge: {{qqqqqq: 1}}}}\n"),
        format!("{head}metrics: {{orders: {{qqqqqq: 1}}}}\n"),
        format!("{head}sources: {{prometheus: {{qqqqqq: 1}}}}\n"),
        format!("{head}after: {{watch: {{qqqqqq: 1}}}}\n"),
        format!("{head}targets: {{qqqqqq: 1}}\n"),
        format!("{head}approve: {{qqqqqq: 1}}\n"),
        format!("{head}approve: {{rules: [{{need: 1, qqqqqq: 1}}]}}\n"),
        format!("{head}steps: {{s: {{at: bake, run: [a], qqqqqq: 1}}}}\n"),
        format!("{head}steps: {{s: {{at: bake, http: {{qqqqqq: 1}}}}}}\n"),
        format!("{head}backup: {{by: sqlite, of: /x, qqqqqq: 1}}\n"),
        format!("{head}backup: {{by: exec, run: [a], restore: [b], qqqqqq: 1}}\n"),
        format!("{head}people: {{g: {{members: [a], qqqqqq: 1}}}}\n"),
    ] {
        let findings = read(&source).err().unwrap_or_default();
        let help = findings.iter().find(|f| f.code == "TG1007").and_then(|f| f.help.clone());
        let help = help.unwrap_or_else(|| panic!("no list of keys for {source}:\n{findings}"));
        for key in help.split('`').skip(1).step_by(2) {
            keys += 1;
            let row =
                page.contains(&format!("| `{key}` |")) || page.contains(&format!(".{key}` |"));
            assert!(row, "`{key}` has no row");
        }
    }
    assert!(keys > 60, "{keys}");
}

#[test]
fn a_plan_alone_can_be_linted() {
    let strict = "tidegate: 1\nservice: s\ndeploy: {run: [a]}\ntraffic: {each: {confidence: 95%}, \
                  advance_if: [errors < 0.1%], rollback_if: []}\n";
    let plan: Plan = plan(strict);
    let found = lint(&plan);
    let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["TG2033", "TG2010"]);
    assert!(found.iter().all(|finding| finding.place.is_none()));
    assert!(found.iter().all(|finding| finding.severity != Severity::Error));
}

#[test]
fn a_finding_without_a_place_survives_json() {
    let found = decode(b"\xff", "tidegate.yaml").err().unwrap_or_default();
    let json = serde_json::to_string(&found).unwrap_or_default();
    let back: Diagnostics = serde_json::from_str(&json).unwrap_or_default();
    assert!(back.has_errors());
    assert_eq!(back, found);
}
