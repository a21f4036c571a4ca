//! What the file says of judging: evidence by default, budgets, numbers of other systems.

use tidegate_core::plan::{Comparison, Metric};

use crate::{plan, read};

const HEAD: &str = "tidegate: 1\nservice: shop\ndeploy: {run: [./server]}\n";

#[test]
fn evidence_is_on_and_goes_by_what_may_advance() {
    let unsaid = plan(HEAD).traffic.judging.evidence.unwrap();
    assert!((unsaid.objective - 0.01).abs() < 1e-12, "the default rule is errors < 1%");
    let strict = format!("{HEAD}traffic: {{advance_if: [errors < 0.1%]}}\n");
    let strict = plan(&strict).traffic.judging.evidence.unwrap();
    assert!((strict.objective - 0.001).abs() < 1e-12);
    let rules = plan(&format!("{HEAD}traffic: {{judge: rules}}\n"));
    assert_eq!(rules.traffic.judging.evidence, None);
    let written = "traffic: {judge: {objective: 0.5%, worse: 2x, slower: 10%, warm_up: 5s, \
                   prove_safety: true}, budget: 200 failed requests}\n";
    let judging = plan(&format!("{HEAD}{written}")).traffic.judging;
    assert_eq!(judging.budget, Some(200));
    let evidence = judging.evidence.unwrap();
    assert!((evidence.objective - 0.005).abs() < 1e-12 && (evidence.worse - 2.0).abs() < 1e-12);
    assert!((evidence.slower - 0.1).abs() < 1e-12 && evidence.proves_safety);
}

#[test]
fn numbers_of_other_systems_are_rules_in_both_directions() {
    let file = format!(
        "{HEAD}sources: {{prometheus: {{url: \"http://127.0.0.1:9090/\"}}}}\n\
         metrics:\n  orders: {{prometheus: 'sum(orders{{slot=\"$slot\"}})', unit: /min}}\n\
         traffic: {{advance_if: [errors < 1%, orders > 10/min], rollback_if: [orders < 5 for 2m]}}\n"
    );
    let traffic = plan(&file).traffic;
    let source = &traffic.judging.sources[0];
    assert_eq!(
        (source.driver.as_str(), source.endpoint.as_str()),
        ("prometheus", "http://127.0.0.1:9090")
    );
    assert_eq!(source.every.as_secs(), 15);
    assert_eq!(source.stale_after.as_secs(), 50, "two readings may be lost");
    let rule = &traffic.advance_if[1];
    assert_eq!((rule.metric.name(), rule.metric.unit()), ("orders", "/min"));
    assert_eq!(rule.comparison, Comparison::Above);
    assert!(matches!(traffic.rollback_if[0].metric, Metric::Named { .. }));
}

#[test]
fn what_cannot_be_judged_is_refused_with_its_place() {
    let source = "sources: {prometheus: {url: http://127.0.0.1:9090}}\n";
    for (code, more) in [
        ("TG1014", "traffic: {judge: {objective: 0.1}}\n".to_owned()),
        ("TG1014", "traffic: {judge: {objective: 90%}}\n".to_owned()),
        ("TG1020", "traffic: {judge: {worse: 0.5x}}\n".to_owned()),
        ("TG1020", "traffic: {budget: 200}\n".to_owned()),
        ("TG1023", "traffic: {judge: magic}\n".to_owned()),
        ("TG1007", "traffic: {judge: {alpha: 5%}}\n".to_owned()),
        ("TG1024", format!("{source}metrics: {{errors: {{prometheus: 'x{{s=\"$slot\"}}'}}}}\n")),
        ("TG1016", format!("{source}metrics: {{orders: {{prometheus: 'sum(orders)'}}}}\n")),
        ("TG1008", "metrics: {orders: {prometheus: 'x{s=\"$slot\"}'}}\n".to_owned()),
        ("TG1011", format!("{source}metrics: {{orders: {{datadog: 'x', prometheus: '$slot'}}}}\n")),
        ("TG1022", "sources: {prometheus: {url: \"http://me:secret@host\"}}\n".to_owned()),
        ("TG1022", "sources: {prometheus: {url: \"file:///etc/passwd\"}}\n".to_owned()),
        ("TG1017", "traffic: {advance_if: [orders > 10]}\n".to_owned()),
        (
            "TG1024",
            format!(
                "{source}metrics: {{o: {{prometheus: '$slot', every: 1m, stale_after: 1m}}}}\n"
            ),
        ),
        (
            "TG1030",
            format!(
                "{source}metrics: {{o: {{prometheus: '$slot'}}}}\n\
                 traffic: {{advance_if: [o > 5], rollback_if: [o < 10]}}\n"
            ),
        ),
        (
            "TG1016",
            format!(
                "{source}metrics: {{o: {{prometheus: '$slot', unit: /min}}}}\n\
                 traffic: {{advance_if: [o > 5ms]}}\n"
            ),
        ),
    ] {
        let file = format!("{HEAD}{more}");
        let found = read(&file).err().unwrap_or_default();
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&code), "{more}: {codes:?}");
        let one = found.iter().find(|finding| finding.code == code).unwrap();
        assert!(one.place.is_some(), "{more}");
    }
}
