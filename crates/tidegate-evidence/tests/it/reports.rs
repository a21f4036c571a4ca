//! What each report says.

use std::collections::BTreeMap;

use tidegate_core::fact::{Components, Coverage, Fact, Findings, Format, Severity, Tests, Timings};
use tidegate_core::verdict::Outcome;
use tidegate_evidence::{Error, Licences, detect, fill_critical, read};

use crate::collection::{ALL, fact, report};

fn tests(format: Format, name: &str) -> Tests {
    match fact(format, name) {
        Ok(Fact::Tests(tests)) => tests,
        other => panic!("{name}: {other:?}"),
    }
}

fn findings(format: Format, name: &str) -> Findings {
    match fact(format, name) {
        Ok(Fact::Findings(findings)) => findings,
        other => panic!("{name}: {other:?}"),
    }
}

fn coverage(format: Format, name: &str) -> Coverage {
    match fact(format, name) {
        Ok(Fact::Coverage(coverage)) => coverage,
        other => panic!("{name}: {other:?}"),
    }
}

fn timings(format: Format, name: &str) -> Timings {
    match fact(format, name) {
        Ok(Fact::Timings(timings)) => timings,
        other => panic!("{name}: {other:?}"),
    }
}

fn by_severity(findings: &Findings) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for finding in &findings.found {
        *counts.entry(finding.severity.word()).or_default() += 1;
    }
    counts
}

#[test]
fn runners_say_how_many_passed_failed_and_were_left_out() {
    let rows = [
        (Format::Junit, "pytest.junit.xml", (5, 1, 2), "pytest > test_discount"),
        // jest-junit writes a test that is to be written as one that passed.
        (Format::Junit, "jest.junit.xml", (4, 1, 1), "cart > cart takes a discount"),
        (Format::Tap, "node.tap", (2, 1, 2), "fails"),
        (Format::Mocha, "mocha.json", (1, 1, 1), "checkout pays"),
        (Format::Mocha, "cypress.modelled.json", (2, 1, 0), "cart ships"),
        (Format::Pytest, "pytest.json", (5, 1, 2), "test_cart.py::test_discount"),
    ];
    for (format, name, counts, failing) in rows {
        let tests = tests(format, name);
        assert_eq!((tests.passed, tests.failed, tests.skipped), counts, "{name}");
        assert_eq!(tests.failing, [failing], "{name}");
        assert_eq!(tests.outcome(), Outcome::Fail, "{name}");
    }
    // Of two files one could not be loaded: that is a failure without a test of its own.
    let jest = tests(Format::Jest, "jest.json");
    assert_eq!((jest.passed, jest.failed, jest.skipped), (3, 2, 2));
    assert!(jest.failing.contains(&"cart takes a discount".to_owned()), "{jest:?}");
    assert!(jest.failing.iter().any(|name| name.ends_with("(the file did not run)")), "{jest:?}");
    // node marks a test that is to be done as skipped and as failed: the worse word stands.
    let node = tests(Format::Junit, "node.junit.xml");
    assert_eq!((node.passed, node.failed, node.skipped), (2, 2, 1));
    assert_eq!(node.failing, [" > fails", " > todo"]);
    assert_eq!(tests(Format::Mocha, "cypress.modelled.json").flaky, 1);
}

#[test]
fn a_run_without_tests_is_no_data() {
    for (format, name) in [
        (Format::Junit, "pytest-empty.junit.xml"),
        (Format::Jest, "jest-empty.json"),
        (Format::Pytest, "pytest-empty.json"),
    ] {
        assert_eq!(tests(format, name).outcome(), Outcome::NoData, "{name}");
    }
}

#[test]
fn scanners_say_what_they_found_and_how_much_they_looked_at() {
    type Row = (Format, &'static str, &'static [(&'static str, usize)], Option<u64>, &'static str);
    let rows: [Row; 9] = [
        (Format::Sarif, "semgrep.sarif", &[("high", 1)], Some(2), "Semgrep OSS 1.185.0"),
        (Format::Sarif, "gitleaks.sarif", &[("medium", 2)], Some(222), "gitleaks v8.0.0"),
        (
            Format::Sarif,
            "trivy.sarif",
            &[("critical", 1), ("high", 2), ("low", 1), ("medium", 1)],
            Some(5),
            "Trivy 0.59.1",
        ),
        (
            Format::Trivy,
            "trivy-secret.json",
            &[("critical", 1), ("high", 2), ("low", 1), ("medium", 1)],
            Some(32),
            "Trivy",
        ),
        (Format::Trivy, "trivy-nothing.json", &[], Some(0), "Trivy"),
        (
            Format::Trivy,
            "trivy-vulnerabilities.modelled.json",
            &[("critical", 1), ("high", 1), ("low", 1)],
            Some(3),
            "Trivy",
        ),
        (Format::NpmAudit, "npm-audit.modelled.json", &[("critical", 1)], Some(2), "npm audit"),
        (
            Format::CargoAudit,
            "cargo-audit.modelled.json",
            &[("critical", 1), ("high", 1)],
            Some(241),
            "cargo audit",
        ),
        (
            Format::Axe,
            "axe.json",
            &[("critical", 2), ("high", 2), ("medium", 1)],
            Some(11),
            "axe-core 4.14.1",
        ),
    ];
    for (format, name, counts, scanned, tool) in rows {
        let findings = findings(format, name);
        assert_eq!(by_severity(&findings), counts.iter().copied().collect(), "{name}");
        assert_eq!(findings.scanned, scanned, "{name}");
        assert_eq!(findings.tool, tool, "{name}");
    }
    let vulnerable = findings(Format::Trivy, "trivy-vulnerabilities.modelled.json");
    assert_eq!(vulnerable.found[0].fix.as_deref(), Some("3.0.15"));
    let clean = findings(Format::Axe, "axe-clean.json");
    assert_eq!((clean.found.len(), clean.scanned), (0, Some(15)));
}

#[test]
fn a_withdrawn_advisory_does_not_count_and_one_without_a_score_is_critical() {
    let audit = findings(Format::CargoAudit, "cargo-audit.modelled.json");
    assert_eq!(audit.suppressed, 1);
    assert_eq!(audit.knowledge_of, Some("2026-11-20T08:12:11Z".parse().unwrap()));
    let bare = audit.found.iter().find(|finding| finding.id == "RUSTSEC-2026-0003").unwrap();
    assert_eq!(bare.severity, Severity::Critical);
}

#[test]
fn npms_own_error_is_no_report() {
    let error = fact(Format::NpmAudit, "npm-audit-refused.json").unwrap_err();
    assert!(matches!(&error, Error::Unfinished(what) if what.contains("405")), "{error:?}");
}

#[test]
fn an_empty_list_of_pa11y_says_nothing() {
    let plain = findings(Format::Pa11y, "pa11y.modelled.json");
    assert_eq!(by_severity(&plain), BTreeMap::from([("high", 1), ("medium", 1)]));
    let ci = findings(Format::Pa11y, "pa11y-ci.modelled.json");
    assert_eq!((ci.found.len(), ci.scanned), (1, Some(2)));
    let empty = read(Format::Pa11y, &b"[]"[..], &Licences::default()).unwrap();
    assert!(matches!(empty, Fact::Findings(Findings { scanned: None, .. })), "{empty:?}");
}

#[test]
fn coverage_counts_lines_branches_and_critical_files() {
    let rows = [
        (Format::Lcov, "jest.lcov", (3, 3), Some((1, 2)), "cart.js"),
        (Format::Lcov, "pytest.lcov", (6, 9), Some((2, 4)), "cart.py"),
        (Format::Cobertura, "jest.cobertura.xml", (3, 3), Some((1, 2)), "cart.js"),
        (Format::Cobertura, "pytest.cobertura.xml", (6, 9), Some((2, 4)), "cart.py"),
        (Format::Jacoco, "jacoco.modelled.xml", (3, 4), Some((1, 2)), "shop/cart/Cart.java"),
    ];
    for (format, name, lines, branches, file) in rows {
        let mut coverage = coverage(format, name);
        assert_eq!((coverage.lines.part, coverage.lines.whole), lines, "{name}");
        assert_eq!(coverage.branches.map(|ratio| (ratio.part, ratio.whole)), branches, "{name}");
        assert_eq!(coverage.files.keys().collect::<Vec<_>>(), [file], "{name}");
        let patterns = ["**/?art.*".to_owned(), "payment/**".to_owned()];
        fill_critical(&mut coverage, &patterns).unwrap();
        assert_eq!(coverage.critical.keys().collect::<Vec<_>>(), ["**/?art.*"], "{name}");
    }
}

#[test]
fn bills_of_materials_are_held_against_lists_of_licences() {
    let lists = Licences { allow: Vec::new(), deny: vec!["MPL-2.0".to_owned()] };
    let components = |format, name: &str| -> Components {
        match read(format, &report(name)[..], &lists) {
            Ok(Fact::Components(components)) => components,
            other => panic!("{name}: {other:?}"),
        }
    };
    let npm = components(Format::Cyclonedx, "cyclonedx-npm.json");
    assert_eq!(npm.count, 2);
    assert!(npm.refused[0].starts_with("axe-core"), "{npm:?}");
    let trivy = components(Format::Cyclonedx, "trivy.cdx.json");
    assert_eq!((trivy.count, trivy.unknown.len()), (2, 2), "{trivy:?}");
    let spdx = components(Format::Spdx, "trivy.spdx.json");
    assert_eq!((spdx.count, spdx.unknown.len()), (2, 2), "{spdx:?}");
}

#[test]
fn load_tests_give_percentiles_and_failures() {
    for name in ["k6.json", "k6-handle-summary.json"] {
        let k6 = timings(Format::K6, name);
        assert_eq!((k6.requests, k6.failed), (60, Some(0)), "{name}");
        assert!(k6.ms["p95"] > k6.ms["p50"] && k6.ms["p99"] >= k6.ms["p95"], "{k6:?}");
    }
    let csv = timings(Format::Jmeter, "jmeter.modelled.csv");
    assert_eq!((csv.requests, csv.failed), (4, Some(1)));
    assert_eq!((csv.ms["p50"], csv.ms["p95"], csv.ms["avg"]), (100.0, 300.0, 150.0));
    let xml = timings(Format::Jmeter, "jmeter.modelled.xml");
    assert_eq!((xml.requests, xml.failed, xml.ms["max"]), (2, Some(1), 300.0));
}

#[test]
fn a_plan_names_what_it_would_destroy() {
    let Ok(Fact::Infrastructure(plan)) = fact(Format::Terraform, "terraform-plan.json") else {
        panic!("no plan");
    };
    assert_eq!((plan.create, plan.update, plan.unchanged), (1, 1, 0));
    assert_eq!(plan.delete, ["terraform_data.old"]);
    assert_eq!(plan.replace, ["terraform_data.db"]);
}

#[test]
fn every_report_is_known_by_its_beginning() {
    for (format, name) in ALL {
        assert_eq!(detect(name, &report(name)), Some(format), "{name}");
    }
    assert_eq!(detect("x.json", b"{}"), None);
    assert_eq!(detect("x.xml", b"<html/>"), None);
}
