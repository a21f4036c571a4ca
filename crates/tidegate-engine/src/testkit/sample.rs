//! One sample service with two web parts and a worker, as the simulation deploys it.
//! Must never grow into a builder: a test that needs another plan says so itself.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::digest::Digest;
use tidegate_core::ids::{DeploymentId, EnvironmentName, PartName, Scope, ServiceName, SlotName};
use tidegate_core::plan::{
    Ask, Bake, CohortBy, Comparison, Floor, HoldEnd, Judging, KeepPrevious, Limits, Metric,
    Otherwise, Part, PartKind, Plan, Probe, Protocol, Release, Required, Route, Rule, Run, Smoke,
    SmokeRun, Traffic,
};
use tidegate_core::weight::Weight;

use super::world::World;
use crate::ports::Clock as _;

/// The service.
#[must_use]
pub fn scope() -> Scope {
    Scope {
        service: name(ServiceName::new("shop")),
        environment: name(EnvironmentName::new("production")),
    }
}

/// A deployment id by number.
#[must_use]
pub fn deployment(number: u32) -> DeploymentId {
    name(DeploymentId::new(format!("d-{number}")))
}

/// The world's time.
#[must_use]
pub fn now(world: &World) -> Timestamp {
    world.now()
}

/// The plan of a version.
#[must_use]
pub fn plan(version: &str) -> Plan {
    let commit = Digest::of(version.as_bytes()).as_str().chars().take(40).collect();
    let bp = |bp| Weight::from_bp(bp).unwrap_or(Weight::WHOLE);
    Plan {
        scope: scope(),
        release: Release {
            version: version.to_owned(),
            repository: "/srv/shop.git".to_owned(),
            commit,
        },
        build: None,
        parts: vec![
            part("web", PartKind::Web(route("/"))),
            part("api", PartKind::Web(route("/api"))),
            part("worker", PartKind::Worker),
        ],
        traffic: Traffic {
            steps: vec![bp(500), bp(2_500), bp(5_000), Weight::WHOLE],
            dwell: SignedDuration::from_secs(30),
            confidence: None,
            at_least: 20,
            advance_if: vec![rule(Metric::Errors, Comparison::Below, 2.0, 0)],
            rollback_if: vec![
                rule(Metric::Errors, Comparison::Above, 5.0, 10),
                rule(Metric::Sick, Comparison::Above, 50.0, 20),
            ],
            otherwise: Otherwise { hold: SignedDuration::from_mins(5), then: HoldEnd::Rollback },
            floor: Floor::Literal,
            judging: Judging::default(),
        },
        bake: Bake { watch: SignedDuration::from_mins(1), keep_previous: KeepPrevious::Warm },
        required: Required::default(),
        limits: Limits::default(),
        gates: Vec::new(),
        approve: None,
        change: None,
        backup: None,
        custom: Vec::new(),
        window: None,
        checklist: Vec::new(),
        duties: Vec::new(),
        layers: Vec::new(),
        tell: Vec::new(),
        incident: None,
    }
}

fn rule(metric: Metric, comparison: Comparison, limit: f64, seconds: i64) -> Rule {
    Rule { metric, comparison, limit, sustained: SignedDuration::from_secs(seconds) }
}

fn route(path: &str) -> Route {
    Route {
        listen: "127.0.0.1:8080".to_owned(),
        host: None,
        path: path.to_owned(),
        preview_header: None,
        sticky: true,
        cohort: CohortBy::Cookie,
        mirror: None,
        access_log: None,
        tls: None,
        behind: None,
    }
}

fn part(name_text: &str, kind: PartKind) -> Part {
    let web = matches!(kind, PartKind::Web(_));
    Part {
        name: name(PartName::new(name_text)),
        kind,
        slots: [name(SlotName::new("north")), name(SlotName::new("south"))],
        run: Run {
            argv: vec!["./run".to_owned()],
            env: BTreeMap::new(),
            port_env: "PORT".to_owned(),
            protocol: Protocol::Http1,
            grace: SignedDuration::from_secs(5),
            memory_max: None,
            log_bytes_max: 1 << 20,
        },
        instances: 4,
        probes: vec![Probe {
            name: "basic".to_owned(),
            ask: Ask::Tcp,
            interval: SignedDuration::from_secs(1),
            timeout: SignedDuration::from_secs(1),
            retries: 3,
            start_period: SignedDuration::from_secs(5),
            theirs: false,
        }],
        smoke: web.then(|| Smoke {
            run: SmokeRun::Suite { file: "smoke.yaml".to_owned() },
            timeout: SignedDuration::from_secs(30),
        }),
    }
}

/// Names in this file are literals that the one rule of names accepts.
fn name<T, E: std::fmt::Display>(made: Result<T, E>) -> T {
    match made {
        Ok(name) => name,
        Err(error) => unreachable!("{error}"),
    }
}
