//! Layers tighten and never loosen: vectors of what each adds to a plan.

use jiff::SignedDuration;
use tidegate_core::approval::Approve;
use tidegate_core::gate::{Demand, Gate};
use tidegate_core::layer::{Guard, Layer, loosens, of_live, tighten};
use tidegate_core::plan::{Comparison, Metric, Plan, Rule};

use crate::sample::Shape;

fn plan() -> Plan {
    Shape::default().plan("v2", "v2")
}

fn rule(metric: Metric, comparison: Comparison, limit: f64, minutes: i64) -> Rule {
    Rule { metric, comparison, limit, sustained: SignedDuration::from_mins(minutes) }
}

fn organisation() -> Guard {
    Guard {
        layer: Layer::Organisation,
        from: "policy.yaml".to_owned(),
        gates: Vec::new(),
        rollback_if: Vec::new(),
        advance_if: Vec::new(),
        sources: Vec::new(),
        approve: None,
        dwell: None,
        watch: None,
    }
}

#[test]
fn a_gate_that_is_dropped_or_changed_is_asked_all_the_same() {
    let unit = crate::gates::tests("unit");
    let guard = Guard { gates: vec![unit.clone(), crate::gates::tests("e2e")], ..organisation() };
    let mut next = plan();
    let Demand::Tests { report, at_least, quarantine, .. } = unit.demand.clone() else { panic!() };
    let looser = Demand::Tests { report, at_least, quarantine, pass: 50.0 };
    next.gates.push(Gate { demand: looser, ..unit.clone() });
    tighten(&mut next, &guard).unwrap();
    let names: Vec<&str> = next.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(names, ["unit", "unit@organisation", "e2e"]);
    assert_eq!(next.gates[1].demand, unit.demand);
    assert!(next.required.gates);
    assert_eq!(next.layers[0].gates, ["unit@organisation", "e2e"]);

    // The same gate is not asked twice, and a layer that adds nothing leaves no trace.
    let mut same = plan();
    same.gates = guard.gates.clone();
    tighten(&mut same, &guard).unwrap();
    assert!(same.gates.len() == 2 && same.layers.is_empty(), "{:?}", same.layers);
}

#[test]
fn a_rule_is_added_unless_one_at_least_as_strict_is_there() {
    use Comparison::{Above, AtLeast, AtMost, Below};
    let vectors = [
        // own, demanded, is it added?
        (rule(Metric::Errors, Above, 1.0, 5), rule(Metric::Errors, Above, 5.0, 5), false),
        (rule(Metric::Errors, Above, 5.0, 5), rule(Metric::Errors, Above, 5.0, 5), false),
        (rule(Metric::Errors, Above, 5.0, 1), rule(Metric::Errors, Above, 5.0, 5), false),
        (rule(Metric::Errors, Above, 5.0, 9), rule(Metric::Errors, Above, 5.0, 5), true),
        (rule(Metric::Errors, Above, 9.0, 5), rule(Metric::Errors, Above, 5.0, 5), true),
        (rule(Metric::Errors, Above, 5.0, 5), rule(Metric::Errors, AtLeast, 5.0, 5), true),
        (rule(Metric::P95, Above, 1.0, 5), rule(Metric::P99, Above, 5.0, 5), true),
    ];
    for (own, demanded, added) in vectors {
        let mut next = plan();
        next.traffic.rollback_if = vec![own.clone()];
        let guard = Guard { rollback_if: vec![demanded.clone()], ..organisation() };
        tighten(&mut next, &guard).unwrap();
        assert_eq!(next.traffic.rollback_if.len() == 2, added, "{own:?} {demanded:?}");
    }
    for (own, demanded, added) in [
        (rule(Metric::P95, Below, 200.0, 0), rule(Metric::P95, Below, 300.0, 0), false),
        (rule(Metric::P95, Below, 500.0, 0), rule(Metric::P95, Below, 300.0, 0), true),
        (rule(Metric::P95, AtMost, 300.0, 0), rule(Metric::P95, Below, 300.0, 0), true),
    ] {
        let mut next = plan();
        next.traffic.advance_if = vec![own.clone()];
        let guard = Guard { advance_if: vec![demanded.clone()], ..organisation() };
        tighten(&mut next, &guard).unwrap();
        assert_eq!(next.traffic.advance_if.len() == 2, added, "{own:?} {demanded:?}");
    }
    // A worker takes no requests: a rule about them would hold it for ever.
    let mut worker =
        Shape { parts: vec!["jobs:worker".to_owned()], ..Shape::default() }.plan("v2", "v2");
    let guard = Guard {
        rollback_if: vec![rule(Metric::Errors, Comparison::Above, 0.1, 0)],
        ..organisation()
    };
    tighten(&mut worker, &guard).unwrap();
    assert!(worker.layers.is_empty(), "{:?}", worker.layers);
}

#[test]
fn times_grow_approvals_are_added_and_nothing_shrinks() {
    let hour = SignedDuration::from_hours(1);
    let second = SignedDuration::from_secs(1);
    let mut next = plan();
    let (dwell, watch) = (next.traffic.dwell, next.bake.watch);
    let short = Guard { dwell: Some(second), watch: Some(second), ..organisation() };
    tighten(&mut next, &short).unwrap();
    assert_eq!((next.traffic.dwell, next.bake.watch), (dwell, watch));
    assert!(next.layers.is_empty());
    let long = Guard {
        dwell: Some(hour),
        watch: Some(hour),
        approve: Some(Approve::anyone()),
        ..organisation()
    };
    tighten(&mut next, &long).unwrap();
    assert_eq!((next.traffic.dwell, next.bake.watch), (hour, hour));
    assert!(next.required.approvals);
    let lines = next.layers[0].lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn what_a_layer_added_is_not_the_releases_own_demand() {
    let mut live = plan();
    live.gates.push(crate::gates::tests("own"));
    let guard = Guard {
        gates: vec![crate::gates::tests("theirs")],
        rollback_if: vec![rule(Metric::Cpu, Comparison::Above, 99.0, 0)],
        ..organisation()
    };
    let own_rules = live.traffic.rollback_if.clone();
    tighten(&mut live, &guard).unwrap();
    let next = of_live(&live);
    let names: Vec<&str> = next.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(names, ["own"]);
    assert_eq!(next.rollback_if, own_rules);
    // A release that drops it is judged by it once more, and the one after that is not.
    let mut dropping = plan();
    tighten(&mut dropping, &next).unwrap();
    assert!(dropping.gates.iter().any(|gate| gate.name == "own"));
    assert!(of_live(&dropping).gates.is_empty());
}

#[test]
fn what_is_looser_than_what_is_demanded_is_named() {
    use Comparison::Above;
    let run = Guard { layer: Layer::Run, from: "--tighten".to_owned(), ..organisation() };
    let mut own = plan();
    own.traffic.dwell = SignedDuration::from_mins(10);
    own.bake.watch = SignedDuration::from_mins(30);
    own.traffic.rollback_if = vec![rule(Metric::Errors, Above, 5.0, 5)];
    let says = |guard: Guard| loosens(&own, &guard).unwrap_or_default();
    assert_eq!(says(run.clone()), "");
    let short = Some(SignedDuration::from_mins(5));
    assert!(says(Guard { dwell: short, ..run.clone() }).contains("steps last for 10m"));
    assert!(says(Guard { watch: short, ..run.clone() }).contains("the watch lasts for 30m"));
    assert_eq!(says(Guard { dwell: Some(SignedDuration::from_mins(20)), ..run.clone() }), "");
    for (asked, looser) in [
        (rule(Metric::Errors, Above, 9.0, 5), true),
        (rule(Metric::Errors, Above, 5.0, 9), true),
        (rule(Metric::Errors, Above, 5.0, 5), false),
        (rule(Metric::Errors, Above, 1.0, 5), false),
        (rule(Metric::P95, Above, 900.0, 5), false),
    ] {
        let guard = Guard { rollback_if: vec![asked.clone()], ..run.clone() };
        assert_eq!(!says(guard).is_empty(), looser, "{asked:?}");
    }
}
