//! `check:`: every source becomes a gate, and a gate that nothing could fail is refused.

use tidegate_core::fact::{Format, Severity};
use tidegate_core::gate::{Bump, Demand};
use tidegate_core::plan::Comparison;

use crate::{plan, read};

const HEAD: &str = "tidegate: 1\nservice: s\ndeploy: {run: [a], probes: {p: {get: /}}}\n\
                    traffic: {route: {listen: \"127.0.0.1:8080\"}}\n";

fn demand(gate: &str) -> Demand {
    let source = format!("{HEAD}check:\n  g: {gate}\n");
    let mut plan = plan(&source);
    assert!(plan.required.gates, "{gate}");
    plan.gates.remove(0).demand
}

#[test]
fn a_file_without_gates_requires_none() {
    let plan = plan(HEAD);
    assert!(plan.gates.is_empty() && !plan.required.gates);
}

#[test]
fn reports_become_demands_with_their_limits() {
    let Demand::Tests { report, pass, at_least, quarantine } = demand(
        "{junit: reports/unit/*.xml, pass: 99.5%, at_least: 200 tests, quarantine: [a > b]}",
    ) else {
        panic!("no tests");
    };
    assert_eq!(
        (report.format, report.files),
        (Format::Junit, vec!["reports/unit/*.xml".to_owned()])
    );
    assert_eq!((pass, at_least, quarantine), (99.5, 200, vec!["a > b".to_owned()]));
    let Demand::Coverage { line, critical, .. } =
        demand("{cobertura: c.xml, line: \"> 80%\", critical: [src/pay/**]}")
    else {
        panic!("no coverage");
    };
    let line = line.unwrap();
    assert_eq!((line.comparison, line.limit), (Comparison::Above, 80.0));
    assert_eq!(critical, ["src/pay/**"]);
    let Demand::Findings { allow, scanned, fresh, .. } = demand(
        "{sarif: s.sarif, allow: {critical: 0, any: 3}, scanned: \"> 9 files\", fresh: 90 days}",
    ) else {
        panic!("no findings");
    };
    assert_eq!((allow[&Severity::Critical], allow[&Severity::Low], scanned), (0, 3, 9));
    assert_eq!(fresh.unwrap().as_hours(), 90 * 24);
    let Demand::Timings { limits, errors, at_least, .. } =
        demand("{k6: k.json, p95: \"< 200ms\", errors: \"< 1%\", at_least: 1000 requests}")
    else {
        panic!("no times");
    };
    assert_eq!((limits["p95"].limit, errors.unwrap().limit, at_least), (200.0, 1.0, 1_000));
    let by_itself = demand("{trivy: t.json}");
    let Demand::Findings { allow, .. } = by_itself else { panic!("no findings") };
    assert_eq!(
        allow.into_iter().collect::<Vec<_>>(),
        [(Severity::Critical, 0), (Severity::High, 0)]
    );
}

#[test]
fn questions_to_the_repository_become_demands() {
    assert_eq!(demand("{bump: minor}"), Demand::Version { bump: Bump::Minor });
    assert_eq!(demand("{tag: signed}"), Demand::Tag { signed: true });
    assert_eq!(
        demand("{commits: [signed, conventional]}"),
        Demand::Commits { signed: true, conventional: true }
    );
    let from = vec!["release/*".to_owned()];
    let into = "main".to_owned();
    assert_eq!(demand("{branch: main, from: release/*}"), Demand::Branch { into, from });
    assert!(matches!(demand("{changelog: CHANGELOG.md}"), Demand::Changelog { .. }));
    assert!(matches!(demand("{files: [a.md, b.md]}"), Demand::Files { paths } if paths.len() == 2));
    let soak = demand("{soak: {env: staging, for: 48h}}");
    assert!(matches!(soak, Demand::Soak { lasts, .. } if lasts.as_hours() == 48));
    let ticket = demand("{ticket: {jira: OPS}}");
    assert!(matches!(ticket, Demand::Unbound { what } if what.contains("check.g.ticket")));
}

#[test]
fn what_nothing_could_fail_or_nobody_means_is_refused() {
    for (gate, code) in [
        ("{}", "TG1008"),
        ("[junit]", "TG1009"),
        ("{junit: a.xml, sarif: b.sarif}", "TG1024"),
        ("{junit: a.xml, passs: 100%}", "TG1007"),
        ("{junit: a.xml, pass: 100}", "TG1014"),
        ("{junit: a.xml, pass: 101%}", "TG1014"),
        ("{junit: a.xml, at_least: many}", "TG1020"),
        ("{junit: a.xml, at_least: -1}", "TG1020"),
        ("{junit: a.xml, at_least: 012 tests}", "TG1020"),
        ("{junit: /etc/passwd}", "TG1025"),
        ("{junit: ../a.xml}", "TG1025"),
        ("{junit: \"a\\u202eb.xml\"}", "TG1025"),
        ("{lcov: a.info}", "TG1008"),
        ("{lcov: a.info, line: 80%}", "TG1016"),
        ("{lcov: a.info, line: \"< 80%\"}", "TG1016"),
        ("{lcov: a.info, line: \"> 180%\"}", "TG1016"),
        ("{trivy: t.json, allow: {}}", "TG1008"),
        ("{trivy: t.json, allow: {severe: 0}}", "TG1007"),
        ("{trivy: t.json, scanned: 0}", "TG1016"),
        ("{trivy: t.json, fresh: 3 years}", "TG1013"),
        ("{cyclonedx: b.json}", "TG1008"),
        ("{k6: k.json}", "TG1008"),
        ("{k6: k.json, response: \"< 200ms\"}", "TG2024"),
        ("{k6: k.json, p95: \"> 200ms\"}", "TG1016"),
        ("{k6: k.json, p95: \"< 200\"}", "TG1016"),
        ("{bump: tiny}", "TG1023"),
        ("{tag: heavy}", "TG1023"),
        ("{commits: [shiny]}", "TG1023"),
        ("{changelog: /CHANGELOG.md}", "TG1025"),
        ("{soak: {env: staging}}", "TG1008"),
        ("{soak: {env: staging, for: 10}}", "TG1013"),
        ("{soak: {env: Staging!, for: 1h}}", "TG1012"),
    ] {
        let source = format!("{HEAD}check:\n  g: {gate}\n");
        let found = read(&source).expect_err(gate);
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&code), "{gate}: {found}");
    }
    for name in ["\"\"", "\" a\"", "-x", "\"a\\nb\""] {
        let source = format!("{HEAD}check:\n  {name}: {{bump: minor}}\n");
        let found = read(&source).expect_err(name);
        assert!(found.iter().any(|finding| finding.code == "TG1012"), "{name}: {found}");
    }
    let many: String = (0..65).map(|n| format!("  g{n}: {{bump: minor}}\n")).collect();
    assert!(read(&format!("{HEAD}check:\n{many}")).is_err());
}
