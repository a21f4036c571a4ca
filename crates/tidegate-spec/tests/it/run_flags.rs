//! What a run demands beside its file: flags in, a layer or findings out.

use tidegate_core::layer::Layer;
use tidegate_spec::run_flags;

fn flags(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

#[test]
fn flags_are_the_keys_of_a_policy() {
    assert_eq!(run_flags(&[]).unwrap(), None);
    let guard = run_flags(&flags(&[
        "traffic.rollback_if=errors > 0.5% for 30s",
        "traffic.rollback_if=p95 > 400ms for 1m",
        "traffic.each.for=20m",
        "after.watch.for = 2h",
        "check.scan={sarif: r/*.sarif, allow: {critical: 0}, scanned: \"> 0\"}",
        "approve.rules=[{need: 2}]",
    ]));
    let guard = guard.unwrap().unwrap();
    assert_eq!(guard.layer, Layer::Run);
    assert_eq!(guard.rollback_if.len(), 2);
    assert_eq!(guard.dwell.unwrap().as_mins(), 20);
    assert_eq!(guard.watch.unwrap().as_hours(), 2);
    assert_eq!(guard.gates[0].name, "scan");
    assert_eq!(guard.approve.unwrap().rules[0].need, 2);
}

#[test]
fn a_flag_that_demands_nothing_is_refused() {
    for wrong in [
        "traffic.each.for",
        "traffic.floor=attributed",
        "deploy.instances=1",
        "after.watch.for=soon",
        "traffic.rollback_if=errors",
        "check={",
        "=1",
        "",
    ] {
        assert!(run_flags(&flags(&[wrong])).is_err(), "{wrong}");
    }
    let twice = ["after.watch.for=1h", "after.watch.for=2h"];
    assert!(run_flags(&flags(&twice)).is_err());
    assert!(run_flags(&vec!["after.watch.for=1h".to_owned(); 33]).is_err());
}
