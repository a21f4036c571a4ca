//! The risk of a release: each reason by itself, and what several of them make.

use std::sync::Arc;

use tidegate_core::event::{DeploymentKind, Ending};
use tidegate_core::gate::{Versions, Waiver};
use tidegate_core::ids::{Actor, DeploymentId};
use tidegate_core::plan::Plan;
use tidegate_core::risk::{Known, Level, Risk, assess};
use tidegate_core::state::{Ended, State};

use crate::sample::Shape;

fn ended(plan: Plan, ending: Ending) -> Ended {
    let at = "2026-01-05T09:00:00Z".parse().unwrap();
    Ended {
        deployment: DeploymentId::new("d-1").unwrap(),
        plan: Arc::new(plan),
        kind: DeploymentKind::Release { despite_quarantine: false },
        artifact: None,
        started_at: at,
        started_by: Actor::Person("mira".to_owned()),
        ended_at: at,
        ending,
        why: "errors 3 %".to_owned(),
        went_back_at: None,
        passed: Vec::new(),
        approved_by: Vec::new(),
        parts: std::collections::BTreeMap::new(),
        steps: std::collections::BTreeMap::new(),
    }
}

fn plan(version: &str) -> Plan {
    Shape::default().plan(version, version)
}

fn live(version: &str) -> State {
    State { history: vec![ended(plan(version), Ending::Succeeded)], ..State::default() }
}

fn of(plan: &Plan, state: &State, from: &str, paths: &[String]) -> Risk {
    let versions = Versions {
        live: (!from.is_empty()).then(|| from.to_owned()),
        version: plan.release.version.clone(),
        ..Versions::default()
    };
    let now = "2026-01-05T09:00:00Z".parse().unwrap();
    assess(&Known { plan, state, versions: &versions, now, paths: Some(paths), upgrades: &[] })
}

fn says(risk: &Risk, words: &str) -> bool {
    risk.reasons.iter().any(|reason| reason.what.contains(words))
}

#[test]
fn a_patch_that_touches_little_is_a_low_risk() {
    let next = plan("v1.0.1");
    let risk = of(&next, &live("v1.0.0"), "v1.0.0", &["src/cart.rs".to_owned()]);
    assert_eq!((risk.level, risk.reasons.len()), (Level::Low, 0), "{risk:?}");
}

#[test]
fn versions_files_and_the_past_are_reasons() {
    let state = live("v1.0.0");
    let paths = |path: &str| vec![path.to_owned()];
    let vectors = [
        ("v2.0.0", "a", Level::High, "a major version: from v1.0.0 to v2.0.0"),
        ("v1.1.0", "a", Level::Medium, "a minor version"),
        ("tuesday", "a", Level::Medium, "no semantic versions"),
        ("v1.0.1", "db/migrations/7.py", Level::Medium, "1 files change the database"),
        ("v1.0.1", "infra/main.tf", Level::Medium, "1 files change the infrastructure"),
    ];
    for (version, path, level, words) in vectors {
        let risk = of(&plan(version), &state, "v1.0.0", &paths(path));
        assert_eq!(risk.level, level, "{version} {path}: {risk:?}");
        assert!(says(&risk, words), "{words}: {risk:?}");
    }
    let first = of(&plan("v1.0.0"), &State::default(), "", &paths("a"));
    assert!(first.level == Level::High && says(&first, "no way back"), "{first:?}");
    let mut burnt = state;
    burnt.history.push(ended(plan("v1.0.1"), Ending::RolledBack));
    let after = of(&plan("v1.0.2"), &burnt, "v1.0.0", &paths("a"));
    assert!(says(&after, "v1.0.1, was rolled back: errors 3 %"), "{after:?}");
}

#[test]
fn whoever_takes_a_guard_away_is_told_so() {
    let mut before = plan("v1.0.0");
    before.gates.push(crate::gates::tests("unit"));
    before.required.approvals = true;
    let state = State { history: vec![ended(before, Ending::Succeeded)], ..State::default() };
    let mut next = plan("v1.0.1");
    next.traffic.rollback_if.clear();
    let risk = of(&next, &state, "v1.0.0", &["a".to_owned()]);
    assert_eq!(risk.level, Level::High);
    for words in ["the gate unit is gone", "nobody has to agree", "rollback rule `errors"] {
        assert!(says(&risk, words), "{words}: {risk:?}");
    }
}

#[test]
fn waivers_count_and_many_reasons_weigh_more_than_one() {
    let next = plan("v1.1.0");
    let mut state = live("v1.0.0");
    state.waivers.push(Waiver {
        gate: "unit".to_owned(),
        version: "v1.1.0".to_owned(),
        commit: next.release.commit.clone(),
        reason: "flaky".to_owned(),
        until: "2026-01-06T09:00:00Z".parse().unwrap(),
        by: "ana".to_owned(),
    });
    let paths = ["db/migrations/7.py".to_owned(), "infra/main.tf".to_owned()];
    let risk = of(&next, &state, "v1.0.0", &paths);
    assert!(says(&risk, "ana set unit aside: flaky"), "{risk:?}");
    assert!(risk.reasons.iter().all(|reason| reason.level == Level::Medium), "{risk:?}");
    assert_eq!(risk.level, Level::High, "four of them: {risk:?}");
}
