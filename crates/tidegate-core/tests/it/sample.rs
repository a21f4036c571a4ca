//! The plans that scripts and properties deploy: one small service whose shape a script changes
//! with `plan key=value`. Must never know how a plan is decided about.

mod people;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::approval::{Approve, Change};
use tidegate_core::checklist::Item;
use tidegate_core::digest::Digest;
use tidegate_core::duty::Duty;
use tidegate_core::gate::Gate;
use tidegate_core::ids::{DeploymentId, EnvironmentName, PartName, Scope, ServiceName, SlotName};
use tidegate_core::incident;
use tidegate_core::message;
use tidegate_core::plan::{
    Ask, Backup, Bake, CohortBy, Comparison, CustomStep, Floor, HoldEnd, Judging, KeepPrevious,
    Limits, Metric, Otherwise, Part, PartKind, Plan, Probe, Protocol, Release, Required, Route,
    Rule, Run, Smoke, SmokeRun, Traffic,
};
use tidegate_core::weight::Weight;
use tidegate_core::window::Window;

/// What a script can change about a plan.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Names of the parts; a name that ends in `:worker` takes no requests.
    pub(crate) parts: Vec<String>,
    /// Instances of a full slot.
    pub(crate) instances: u32,
    /// Where requests for its parts come in.
    pub(crate) listen: String,
    /// Steps in percent.
    pub(crate) steps: Vec<u16>,
    pub(crate) dwell: SignedDuration,
    pub(crate) watch: SignedDuration,
    pub(crate) hold: SignedDuration,
    pub(crate) then: HoldEnd,
    pub(crate) keep: KeepPrevious,
    pub(crate) smoke: bool,
    pub(crate) required: Required,
    pub(crate) limits: Limits,
    pub(crate) gates: Vec<Gate>,
    pub(crate) approve: Option<Approve>,
    pub(crate) change: Option<Change>,
    pub(crate) window: Option<Window>,
    pub(crate) custom: Vec<CustomStep>,
    pub(crate) backup: Option<Backup>,
    pub(crate) checklist: Vec<Item>,
    pub(crate) duties: Vec<Duty>,
    pub(crate) tell: Vec<message::Route>,
    pub(crate) incident: Option<incident::Policy>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            parts: vec!["web".to_owned()],
            instances: 2,
            listen: "127.0.0.1:8080".to_owned(),
            steps: vec![5, 25, 50, 100],
            dwell: SignedDuration::from_mins(2),
            watch: SignedDuration::from_mins(10),
            hold: SignedDuration::from_mins(30),
            then: HoldEnd::Rollback,
            keep: KeepPrevious::Warm,
            smoke: true,
            required: Required::default(),
            limits: Limits::default(),
            gates: Vec::new(),
            approve: None,
            change: None,
            window: None,
            custom: Vec::new(),
            backup: None,
            checklist: Vec::new(),
            duties: Vec::new(),
            tell: Vec::new(),
            incident: None,
        }
    }
}

impl Shape {
    /// Takes one `key=value` of the `plan` verb.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let yes = || match value {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(format!("{key} is yes or no, not {value}")),
        };
        let list = || value.split(',').map(str::to_owned);
        match key {
            "parts" => self.parts = list().collect(),
            "instances" => self.instances = number(value)?,
            "listen" => self.listen = value.to_owned(),
            "steps" => {
                self.steps = list().map(|step| number(&step)).collect::<Result<_, _>>()?;
            }
            "dwell" => self.dwell = duration(value)?,
            "watch" => self.watch = duration(value)?,
            "hold" => self.hold = duration(value)?,
            "then" if value == "page" => self.then = HoldEnd::Page,
            "then" if value == "rollback" => self.then = HoldEnd::Rollback,
            "keep" if value == "warm" => self.keep = KeepPrevious::Warm,
            "keep" if value == "cold" => self.keep = KeepPrevious::Cold,
            "smoke" => self.smoke = yes()?,
            "gates" => self.required.gates = yes()?,
            "tests" => {
                for name in list() {
                    self.gates.push(crate::gates::tests(&name));
                    self.required.gates = true;
                }
            }
            "approvals" => self.required.approvals = yes()?,
            "backup" => self.required.backup = yes()?,
            "rules" | "members" | "owners" | "shared" | "early" | "attest" | "within"
            | "expires" => {
                self.required.approvals = true;
                people::policy(self.approve.get_or_insert_with(Approve::anyone), key, value)?;
            }
            "hands" | "owned" | "base" => {
                people::change(self.change.get_or_insert_default(), key, value);
            }
            "open" | "closed" | "overrun" => crate::windows::set(&mut self.window, key, value)?,
            "box" => crate::checklists::set(&mut self.checklist, value)?,
            "duty" => self.duties.push(crate::duties::declared(value)?),
            "nobody" => self.asks_nobody(),
            "tell" => self.tell.push(crate::telling::route(value)?),
            "incident" => self.incident = Some(crate::telling::policy(value)),
            "copy" => {
                self.backup = Some(crate::backups::declared(value)?);
                self.required.backup = true;
            }
            "custom" => self.custom = crate::custom::steps(value)?,
            "attempts" => self.limits.attempts = number(value)?,
            _ => return Err(format!("a plan has no {key}={value}")),
        }
        Ok(())
    }

    /// No policy, and no question about what changed.
    pub(crate) fn asks_nobody(&mut self) {
        self.required = Required::default();
        self.approve = None;
        self.change = None;
        self.tell.clear();
        self.incident = None;
    }

    /// The plan of a version.
    pub(crate) fn plan(&self, version: &str, commit: &str) -> Plan {
        let bp = |percent: &u16| Weight::from_bp(percent * 100).unwrap_or(Weight::WHOLE);
        Plan {
            scope: scope(),
            release: Release {
                version: version.to_owned(),
                repository: "/srv/shop.git".to_owned(),
                commit: Digest::of(commit.as_bytes()).as_str().chars().take(40).collect(),
            },
            build: None,
            parts: self.parts.iter().map(|name| self.part(name)).collect(),
            traffic: Traffic {
                steps: self.steps.iter().map(bp).collect(),
                dwell: self.dwell,
                confidence: None,
                at_least: 300,
                advance_if: vec![rule(Metric::Errors, Comparison::Below, 0.5)],
                rollback_if: vec![rule(Metric::Errors, Comparison::Above, 1.0)],
                otherwise: Otherwise { hold: self.hold, then: self.then },
                floor: Floor::Attributed,
                judging: Judging::default(),
            },
            bake: Bake { watch: self.watch, keep_previous: self.keep },
            required: self.required,
            limits: self.limits,
            gates: self.gates.clone(),
            approve: self.approve.clone(),
            change: self.change.clone(),
            backup: self.backup.clone(),
            custom: self.custom.clone(),
            window: self.window.clone(),
            checklist: self.checklist.clone(),
            duties: self.duties.clone(),
            layers: Vec::new(),
            tell: self.tell.clone(),
            incident: self.incident.clone(),
        }
    }

    fn part(&self, declared: &str) -> Part {
        let (text, worker) = match declared.strip_suffix(":worker") {
            Some(text) => (text, true),
            None => (declared, false),
        };
        Part {
            name: part(text),
            kind: if worker { PartKind::Worker } else { PartKind::Web(self.route(text)) },
            slots: [slot("north"), slot("south")],
            run: Run {
                argv: vec!["./run".to_owned()],
                env: BTreeMap::new(),
                port_env: "PORT".to_owned(),
                protocol: Protocol::Http1,
                grace: SignedDuration::from_secs(10),
                memory_max: None,
                log_bytes_max: 1 << 20,
            },
            instances: self.instances,
            probes: vec![Probe {
                name: "answers".to_owned(),
                ask: Ask::Tcp,
                interval: SignedDuration::from_secs(2),
                timeout: SignedDuration::from_secs(1),
                retries: 3,
                start_period: SignedDuration::from_secs(5),
                theirs: false,
            }],
            smoke: (self.smoke && !worker).then(|| Smoke {
                run: SmokeRun::Suite { file: "smoke.yaml".to_owned() },
                timeout: SignedDuration::from_mins(1),
            }),
        }
    }

    fn route(&self, part: &str) -> Route {
        Route {
            listen: self.listen.clone(),
            host: None,
            path: if part == "web" { "/".to_owned() } else { format!("/{part}") },
            preview_header: None,
            sticky: true,
            cohort: CohortBy::Cookie,
            mirror: None,
            access_log: None,
            tls: None,
            behind: None,
        }
    }
}

/// Whose deployments all of them are.
pub(crate) fn scope() -> Scope {
    Scope {
        service: ServiceName::new("shop").unwrap(),
        environment: EnvironmentName::new("production").unwrap(),
    }
}

pub(crate) fn deployment(text: &str) -> DeploymentId {
    DeploymentId::new(text).unwrap()
}

pub(crate) fn part(text: &str) -> PartName {
    PartName::new(text).unwrap()
}

pub(crate) fn slot(text: &str) -> SlotName {
    SlotName::new(text).unwrap()
}

/// A duration as people write it: `30s`, `2m`, `1h 5m`.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|error| format!("`{text}` is not a duration: {error}"))
}

/// A whole number.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().ok().ok_or_else(|| format!("`{text}` is not a number"))
}

fn rule(metric: Metric, comparison: Comparison, limit: f64) -> Rule {
    Rule { metric, comparison, limit, sustained: SignedDuration::from_mins(1) }
}
