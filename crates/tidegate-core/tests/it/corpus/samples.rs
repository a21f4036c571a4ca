//! One event of every kind, built from real types, with every optional field set.
//! The clock times and digests are made up; nothing here is ever folded.

mod custom;
mod people;
mod telling;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::digest::{Component, Digest};
use tidegate_core::duty::{Duty, Every};
use tidegate_core::event::{DeploymentKind, Ending, Event, OverrideKind, Recorded, Target};
use tidegate_core::fact::Format;
use tidegate_core::gate::{Demand, Evidence, Gate, GateResult, Report};
use tidegate_core::ids::{
    Actor, DeploymentId, EnvironmentName, MetricName, PartName, Revision, Scope, ServiceName,
    SlotName,
};
use tidegate_core::plan::{
    self, Ask, Bake, CohortBy, Comparison, Floor, HoldEnd, Judging, KeepPrevious, Limits, Metric,
    Otherwise, Part, PartKind, Plan, Probe, Protocol, Release, Required, Route, Rule, Run, Smoke,
    SmokeRun, Source, Step, Traffic,
};
use tidegate_core::state::{
    Backend, Hold, HoldCause, Phase, PhaseResult, Reason, SlotObserved, Stage, TaskId, Tenant,
};
use tidegate_core::verdict::{
    Call, HoldReason, Inputs, Outcome, Outlook, Proof, Reading, Verdict, Zone,
};
use tidegate_core::weight::{Split, Weight};

/// All of them. What surrounds an event depends on its kind alone, so that a sample between two
/// others changes neither.
pub(super) fn all() -> Vec<Recorded> {
    let events = deployment_events()
        .into_iter()
        .chain(custom::events())
        .chain(gate_events())
        .chain(world_events())
        .chain(judgement_events())
        .chain(people::events())
        .chain(telling::events())
        .chain(ending_events());
    events.map(recorded).collect()
}

fn recorded(event: Event) -> Recorded {
    let (actor, key) = match event {
        Event::SplitOverridden { .. } => (Actor::Proxy("main".to_owned()), None),
        Event::DeploymentStarted { .. }
        | Event::DeploymentQueued { .. }
        | Event::EvidenceAdded { .. }
        | Event::GateWaived { .. }
        | Event::FreezeBegan { .. }
        | Event::FreezeEnded { .. }
        | Event::ApprovalGiven { .. }
        | Event::ApprovalWithdrawn { .. }
        | Event::Attested { .. }
        | Event::ConditionConfirmed { .. }
        | Event::ReviewOpened { .. }
        | Event::TaskSettled { .. }
        | Event::BackupHeld { .. }
        | Event::DutyDone { .. }
        | Event::StepPassed { .. } => (Actor::Person("ada".to_owned()), Some("key-1".to_owned())),
        _ => (Actor::Tidegate, None),
    };
    Recorded { seq: 42, at: time(0), actor, key, event }
}

fn deployment_events() -> Vec<Event> {
    vec![
        Event::DeploymentStarted {
            deployment: deployment(),
            kind: DeploymentKind::Release { despite_quarantine: true },
            plan: Arc::new(Plan {
                approve: Some(people::approve()),
                change: Some(people::change()),
                backup: Some(custom::backup()),
                custom: custom::steps(),
                tell: telling::routes(),
                incident: Some(telling::policy()),
                ..plan()
            }),
            candidates: BTreeMap::from([(web(), green()), (worker(), green())]),
            targets: BTreeMap::from([(
                web(),
                Target { slot: blue(), revision: "v1.9.0-0a1b2c3d".to_owned() },
            )]),
        },
        Event::DeploymentQueued {
            deployment: DeploymentId::new("d-8").unwrap(),
            plan: Arc::new(Plan { build: None, ..plan() }),
            despite_quarantine: false,
        },
        Event::PhaseEntered {
            deployment: deployment(),
            phase: Phase::Traffic { step: 2 },
            before: PhaseResult::NotRequired,
        },
        Event::TaskFinished {
            deployment: deployment(),
            task: TaskId::Smoke(web()),
            attempt: 2,
            outcome: Outcome::NoData,
            summary: "sign-in: expected 200, got no answer within 5 s".to_owned(),
            retry_at: Some(time(90)),
        },
        Event::TaskRetried { deployment: deployment(), task: TaskId::Prepare, attempt: 3 },
        Event::ArtifactPinned {
            deployment: deployment(),
            artifact: Digest::of(b"artifact"),
            binding: Digest::of(b"binding"),
            parts: BTreeMap::from([(Component::Owners, Digest::of(b"owners"))]),
        },
    ]
}

fn gate_events() -> Vec<Event> {
    vec![
        Event::EvidenceAdded {
            evidence: Evidence {
                digest: Digest::of(b"report"),
                format: Format::Junit,
                name: "reports/unit.xml".to_owned(),
                version: "v2.0.0".to_owned(),
                commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
                bytes: 4_210,
                summary: "212 passed, 0 failed, 3 skipped".to_owned(),
            },
        },
        Event::GateWaived {
            gate: "unit".to_owned(),
            version: "v2.0.0".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            reason: "a test that fails on leap days".to_owned(),
            until: time(3_600),
        },
        Event::FreezeBegan {
            name: "year-end".to_owned(),
            reason: "the books are closed".to_owned(),
            from: time(0),
            until: time(86_400),
        },
        Event::FreezeEnded { name: "year-end".to_owned(), reason: "closed a day early".to_owned() },
        Event::GatesWeighed {
            deployment: deployment(),
            results: vec![
                GateResult {
                    gate: "unit".to_owned(),
                    outcome: Outcome::Fail,
                    needed: true,
                    sentence: "211 of 212 tests passed".to_owned(),
                    help: Some("mend the tests".to_owned()),
                    evidence: vec![Digest::of(b"report")],
                },
                GateResult {
                    gate: "licences".to_owned(),
                    outcome: Outcome::NoData,
                    needed: false,
                    sentence: "not needed: hotfix is true".to_owned(),
                    help: None,
                    evidence: Vec::new(),
                },
            ],
        },
    ]
}

fn world_events() -> Vec<Event> {
    let split = Split::between(&green(), &blue(), Weight::from_bp(2_500).unwrap());
    vec![
        Event::SlotWanted {
            part: web(),
            slot: green(),
            tenant: Some(Tenant { revision: revision(), part: web_part(), instances: 2 }),
        },
        Event::SlotChanged {
            part: web(),
            slot: green(),
            observed: SlotObserved {
                revision: Some(revision().label()),
                ready: 1,
                total: 2,
                endpoints: vec!["127.0.0.1:40001".to_owned(), "127.0.0.1:40002".to_owned()],
                problem: Some("instance 2 exited with status 1".to_owned()),
            },
        },
        Event::SplitWanted {
            part: web(),
            split: Some(split.clone()),
            backends: vec![Backend {
                slot: green(),
                revision: revision().label(),
                endpoints: vec!["127.0.0.1:40001".to_owned()],
                protocol: Protocol::Http1,
            }],
            fallback: Some(Split::all_to(blue())),
            leased: true,
        },
        Event::SplitConfirmed { part: web(), generation: 10 },
        Event::SplitRefused {
            part: web(),
            why: "TG5004: cannot listen on 127.0.0.1:80".to_owned(),
        },
        Event::SplitLost { part: web(), found: "generation 9, blue 100 %".to_owned() },
        Event::SplitOverridden {
            part: web(),
            sequence: 3,
            kind: OverrideKind::Lease,
            why: "nothing heard for 60 s".to_owned(),
            split: Some(split),
        },
        Event::RolesMoved { part: web(), live: Some(green()) },
    ]
}

fn judgement_events() -> Vec<Event> {
    let (deployment, why) = (deployment(), "errors 4.2 % > 1 % for 1m".to_owned());
    vec![
        Event::StepConverged { deployment: deployment.clone(), step: 0 },
        Event::StepPassed {
            deployment: deployment.clone(),
            step: 0,
            bypassed: Some("37 of 100 requests".to_owned()),
        },
        Event::StepBraked { deployment: deployment.clone(), to: 1, why: why.clone() },
        Event::VerdictChanged { deployment: deployment.clone(), verdict: verdict() },
        Event::HoldBegan {
            deployment: deployment.clone(),
            hold: Hold {
                cause: HoldCause::Verdict,
                why: why.clone(),
                since: time(100),
                until: Some(time(1_900)),
                then: HoldEnd::Page,
            },
        },
        Event::HoldEnded { deployment: deployment.clone(), why: why.clone() },
        Event::PersonCalled {
            deployment: deployment.clone(),
            why: why.clone(),
            then: HoldEnd::Rollback,
        },
        Event::RollbackBegan { deployment, reason: Reason::Verdict, why },
    ]
}

fn ending_events() -> Vec<Event> {
    vec![
        Event::PhaseEntered {
            deployment: deployment(),
            phase: Phase::Rollback { stage: Stage::ScaleDown },
            before: PhaseResult::Failed,
        },
        Event::DeploymentEnded {
            deployment: deployment(),
            ending: Ending::RolledBackUnverified,
            why: "blue carries all requests, but /health answered 503".to_owned(),
        },
        Event::Faulted {
            code: "TG9001".to_owned(),
            what: "step 3 passed before step 2".to_owned(),
        },
    ]
}

fn verdict() -> Verdict {
    Verdict {
        call: Call::Hold(HoldReason::InsufficientEvidence),
        sentence: "37 of 100 requests".to_owned(),
        readings: vec![
            Reading {
                metric: Metric::P95,
                live: Some(181.25),
                candidate: None,
                zone: Zone::NoData,
                sample: 37,
                needed: 100,
                strength: Some(0.125),
                due_in_ms: Some(17_000),
            },
            Reading {
                metric: orders(),
                live: Some(12.5),
                candidate: Some(11.75),
                zone: Zone::Advance,
                sample: 0,
                needed: 0,
                strength: None,
                due_in_ms: None,
            },
        ],
        proof: Some(Proof {
            alpha: 0.01,
            against: 1.75,
            odds: 1,
            strength: 0.121_5,
            safe: 3.5,
            times_as_often: Some((1.5, 0.75, 4.25)),
        }),
        outlook: Some(Outlook {
            advance_in_ms: Some(17_000),
            rollback_in_ms: Some(41_000),
            rules_in_ms: Some(300_000),
            rule: Some("errors > 1 % for 5m".to_owned()),
            failed: 3,
            charged: 1.25,
        }),
        inputs: vec![Inputs {
            part: PartName::new("web").unwrap(),
            entries: 41,
            digest: Digest::of(b"what was heard"),
        }],
    }
}

fn orders() -> Metric {
    Metric::Named { name: MetricName::new("orders").unwrap(), unit: "/min".to_owned() }
}

fn judging() -> Judging {
    Judging {
        evidence: Some(plan::Evidence::default()),
        budget: Some(200),
        sources: vec![Source {
            name: MetricName::new("orders").unwrap(),
            unit: "/min".to_owned(),
            driver: "prometheus".to_owned(),
            endpoint: "http://127.0.0.1:9090".to_owned(),
            query: "sum(rate(orders_total{slot=\"$slot\"}[1m])) * 60".to_owned(),
            every: SignedDuration::from_secs(15),
            timeout: SignedDuration::from_secs(5),
            stale_after: SignedDuration::from_secs(50),
        }],
    }
}

fn gate() -> Gate {
    Gate {
        name: "unit".to_owned(),
        demand: Demand::Tests {
            report: Report { format: Format::Junit, files: vec!["reports/*.xml".to_owned()] },
            pass: 100.0,
            at_least: 200,
            quarantine: vec!["cart > rounds".to_owned()],
        },
        when: Some("risk >= high".to_owned()),
        unless: Some("hotfix".to_owned()),
        decided: None,
    }
}

fn plan() -> Plan {
    Plan {
        scope: Scope {
            service: ServiceName::new("shop").unwrap(),
            environment: EnvironmentName::new("production").unwrap(),
        },
        release: Release {
            version: "v2.0.0".to_owned(),
            repository: "https://example.org/shop.git".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        },
        build: Some(Step {
            argv: vec!["make".to_owned(), "dist".to_owned()],
            env: BTreeMap::from([("CI".to_owned(), "1".to_owned())]),
            timeout: SignedDuration::from_mins(10),
        }),
        parts: vec![web_part(), worker_part()],
        traffic: Traffic {
            steps: [500, 2_500, 5_000, 10_000].map(|bp| Weight::from_bp(bp).unwrap()).to_vec(),
            dwell: SignedDuration::from_mins(5),
            confidence: Some(0.95),
            at_least: 100,
            advance_if: vec![rule(Metric::Errors, Comparison::Below, 0.5, 0)],
            rollback_if: vec![rule(Metric::P99, Comparison::Above, 812.5, 300)],
            otherwise: Otherwise { hold: SignedDuration::from_mins(30), then: HoldEnd::Rollback },
            floor: Floor::Attributed,
            judging: judging(),
        },
        bake: Bake { watch: SignedDuration::from_mins(15), keep_previous: KeepPrevious::Warm },
        required: Required { gates: true, approvals: true, backup: false },
        limits: Limits::default(),
        gates: vec![gate()],
        approve: None,
        change: None,
        backup: None,
        custom: Vec::new(),
        window: None,
        checklist: Vec::new(),
        duties: vec![Duty {
            name: "restore".to_owned(),
            every: Every::Months(3),
            owner: Some("dba".to_owned()),
            run: Some("tidegate drill restore".to_owned()),
            evidence: Some("the drill".to_owned()),
            expect: Some("it passed".to_owned()),
            blocks: true,
        }],
        layers: Vec::new(),
        tell: Vec::new(),
        incident: None,
    }
}

fn rule(metric: Metric, comparison: Comparison, limit: f64, sustained_s: i64) -> Rule {
    Rule { metric, comparison, limit, sustained: SignedDuration::from_secs(sustained_s) }
}

fn web_part() -> Part {
    Part {
        name: web(),
        kind: PartKind::Web(Route {
            listen: "127.0.0.1:8080".to_owned(),
            host: Some("shop.example.org".to_owned()),
            path: "/".to_owned(),
            preview_header: Some("x-preview".to_owned()),
            sticky: true,
            cohort: CohortBy::Cookie,
            mirror: None,
            access_log: None,
            tls: None,
            behind: None,
        }),
        slots: [blue(), green()],
        run: run(),
        instances: 2,
        probes: vec![
            probe(
                "up",
                Ask::Http {
                    path: "/health?full=1".to_owned(),
                    status: vec![200, 204],
                    headers: BTreeMap::from([("x-ready".to_owned(), "yes".to_owned())]),
                    body: Some("ok".to_owned()),
                    within: Some(SignedDuration::from_millis(250)),
                },
            ),
            probe("port", Ask::Tcp),
            probe("certificate", Ask::Tls { server_name: "shop".to_owned(), days_left: 14 }),
        ],
        smoke: Some(Smoke {
            run: SmokeRun::Suite { file: "smoke.yaml".to_owned() },
            timeout: SignedDuration::from_mins(2),
        }),
    }
}

fn worker_part() -> Part {
    Part {
        name: worker(),
        kind: PartKind::Worker,
        probes: vec![probe("alive", Ask::Exec { argv: vec!["./alive".to_owned()] })],
        smoke: Some(Smoke {
            run: SmokeRun::Command {
                argv: vec!["./smoke".to_owned()],
                junit: Some("report.xml".to_owned()),
            },
            timeout: SignedDuration::from_mins(2),
        }),
        ..web_part()
    }
}

fn run() -> Run {
    Run {
        argv: vec!["./server".to_owned(), "--quiet".to_owned()],
        env: BTreeMap::from([("MODE".to_owned(), "production".to_owned())]),
        port_env: "PORT".to_owned(),
        protocol: Protocol::Http1,
        grace: SignedDuration::from_secs(10),
        memory_max: Some(268_435_456),
        log_bytes_max: 10_485_760,
    }
}

fn probe(name: &str, ask: Ask) -> Probe {
    Probe {
        name: name.to_owned(),
        ask,
        interval: SignedDuration::from_secs(5),
        timeout: SignedDuration::from_secs(2),
        retries: 3,
        start_period: SignedDuration::from_secs(20),
        theirs: name == "certificate",
    }
}

fn revision() -> Revision {
    Revision { version: "v2.0.0".to_owned(), artifact: Digest::of(b"artifact").as_str().to_owned() }
}

fn time(seconds: i64) -> Timestamp {
    // With nanoseconds: what a clock gives must come back whole.
    Timestamp::new(1_795_000_000 + seconds, 123_456_789).unwrap()
}

fn deployment() -> DeploymentId {
    DeploymentId::new("d-7").unwrap()
}

fn web() -> PartName {
    PartName::new("web").unwrap()
}

fn worker() -> PartName {
    PartName::new("worker").unwrap()
}

fn blue() -> SlotName {
    SlotName::new("blue").unwrap()
}

fn green() -> SlotName {
    SlotName::new("green").unwrap()
}
