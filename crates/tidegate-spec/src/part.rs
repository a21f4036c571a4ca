//! Reads `deploy` and `parts`: what runs, how often, and how it is asked whether it is well.
//! Must never leave a part that serves requests without a probe.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::ids::{PartName, SlotName};
use tidegate_core::plan::{
    INSTANCES_MAX, PARTS_MAX, Part, PartKind, Protocol, Route, Run, Smoke, SmokeRun,
};

use crate::codes;
use crate::command;
use crate::declared;
use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::{Key, Kind, Node};
use crate::probe;
use crate::read;
use crate::report::{Report, Span};
use crate::route;

/// Slots when nothing is said: words that carry no order and no role.
const SLOTS: [&str; 2] = ["north", "south"];
/// The variable that carries the port when nothing is said.
const PORT_ENV: &str = "PORT";
/// Instances when nothing is said: one may fail and somebody still answers.
const INSTANCES: u32 = 2;
/// Between SIGTERM and SIGKILL when nothing is said, as most container engines have it.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// Log kept of one instance when nothing is said.
const LOG_BYTES: u64 = 10 << 20;
/// A slot must be ready within this when nothing is said.
const START_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// All of a smoke suite must end within this when nothing is said.
const SMOKE_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
/// Words that name a slot by a colour.
const COLOURS: [&str; 4] = ["blue", "green", "red", "black"];

/// One part with what the plan keeps elsewhere.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) part: Part,
    /// Its slots must be ready within this.
    pub(crate) start_within: SignedDuration,
    /// Where its route stands, to point at when two claim the same requests.
    pub(crate) at: Span,
}

/// `deploy` of a service with one part, whose route stands under `traffic`.
pub(crate) fn deploy(
    field: &Field<'_>,
    route: Option<&Field<'_>>,
    report: &mut Report<'_>,
) -> Vec<Read> {
    let mut fields = Fields::of(field, report);
    let kind = kind(&mut fields, report);
    // With one part there is nothing to tell apart, so it is named after what it is.
    let name = if kind == Kinds::Web { "web" } else { "worker" };
    let Ok(name) = PartName::new(name) else {
        return Vec::new();
    };
    let read = part(name, kind, fields, route, report);
    read.into_iter().collect()
}

/// `parts`: several pieces that deploy together.
pub(crate) fn parts(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Read> {
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map of parts by name", report);
        return Vec::new();
    };
    if entries.is_empty() || entries.len() > PARTS_MAX {
        let message = format!("`parts` has {} parts: it needs 1 to {PARTS_MAX}", entries.len());
        report.error(codes::BAD_NUMBER, field.at(), message);
        return Vec::new();
    }
    let mut parts = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let path = format!("parts.{}", shorten(&key.text));
        let name = read::name(&key.text, &path, key.at, PartName::new, report);
        let field = Field { path, node };
        let mut fields = Fields::of(&field, report);
        let kind = kind(&mut fields, report);
        let route = fields.get("route");
        // A name that is refused does not keep the rest of the part from being checked.
        let name = name.or_else(|| PartName::new("part").ok());
        if let Some(name) = name {
            parts.extend(part(name, kind, fields, route.as_ref(), report));
        }
    }
    refuse_shared_routes(&parts, report);
    parts
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Web,
    Worker,
}

fn kind(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Kinds {
    let choices = [("web", Kinds::Web), ("worker", Kinds::Worker)];
    read::choice(fields.get("kind"), &choices, Kinds::Web, report)
}

fn part(
    name: PartName,
    kind: Kinds,
    mut fields: Fields<'_>,
    route: Option<&Field<'_>>,
    report: &mut Report<'_>,
) -> Option<Read> {
    let at = route.map_or_else(|| fields.at(), Field::at);
    let kind = part_kind(kind, route, report);
    let slots =
        fields.get("slots").and_then(|field| slots(&field, report)).or_else(default_slots)?;
    let run = match placed(&fields) {
        Some(driver) if !fields.has("run") => {
            for key in ["run", "env", "port", "grace", "memory", "log"] {
                fields.get(key);
            }
            Some(unbound(&driver))
        }
        _ => run(&mut fields, report),
    };
    let instances = read::number(fields.get("instances"), INSTANCES, (1, INSTANCES_MAX), report);
    let mut probes =
        fields.get("probes").map(|field| probe::probes(&field, report)).unwrap_or_default();
    if probes.is_empty() && matches!(kind, PartKind::Web(_)) {
        probes.push(probe::listens());
    }
    let smoke = fields.get("smoke").and_then(|field| smoke(&field, &kind, report));
    let start_bounds = (SignedDuration::from_secs(1), SignedDuration::from_hours(2));
    let start_within =
        read::duration(fields.get("start_within"), START_WITHIN, start_bounds, report);
    let later = ["migrate", "image", "containers", "needs", "hosts", "secrets", "user", "cpus"];
    fields.finish(&later, report);
    let part = Part { name, kind, slots, run: run?, instances, probes, smoke };
    Some(Read { part, start_within, at })
}

fn part_kind(kind: Kinds, field: Option<&Field<'_>>, report: &mut Report<'_>) -> PartKind {
    match (kind, field) {
        (Kinds::Web, field) => PartKind::Web(route::route(field, report)),
        (Kinds::Worker, None) => PartKind::Worker,
        (Kinds::Worker, Some(field)) => {
            let message = format!("`{}`: a worker takes no requests", field.path);
            report
                .error(codes::CONFLICT, field.at(), message)
                .help("remove the route, or write `kind: web`");
            PartKind::Worker
        }
    }
}

fn default_slots() -> Option<[SlotName; 2]> {
    let [first, second] = SLOTS;
    Some([SlotName::new(first).ok()?, SlotName::new(second).ok()?])
}

/// Two names: a list, or a map whose values are empty.
fn slots(field: &Field<'_>, report: &mut Report<'_>) -> Option<[SlotName; 2]> {
    let named: Vec<(&str, Span)> = match &field.node.kind {
        Kind::List(items) => items
            .iter()
            .enumerate()
            .filter_map(|(index, node)| {
                Some((read::text(&read::item(&field.path, index, node), report)?, node.at))
            })
            .collect(),
        Kind::Map(entries) => slot_keys(field, entries, report),
        Kind::Scalar { .. } => {
            wrong_kind(field, "a list of two names", report);
            return None;
        }
    };
    let [(first, first_at), (second, second_at)] = named.as_slice() else {
        let message = format!("`{}` has {} names: it needs two", field.path, named.len());
        report
            .error(codes::BAD_NUMBER, field.at(), message)
            .help("write for example `slots: [north, south]`");
        return None;
    };
    if first == second {
        let message = format!("both slots are named `{}`", shorten(first));
        report.error(codes::BAD_NAME, *second_at, message);
        return None;
    }
    if [first, second].iter().any(|name| COLOURS.contains(name)) {
        note_colours(first, *first_at, report);
    }
    let first = read::name(first, &field.path, *first_at, SlotName::new, report);
    let second = read::name(second, &field.path, *second_at, SlotName::new, report);
    Some([first?, second?])
}

fn slot_keys<'n>(
    field: &Field<'_>,
    entries: &'n [(Key, Node)],
    report: &mut Report<'_>,
) -> Vec<(&'n str, Span)> {
    for (key, node) in entries {
        let is_empty = node.is_null() || matches!(&node.kind, Kind::Map(keys) if keys.is_empty());
        if !is_empty {
            let message = format!(
                "`{}.{}` places a slot elsewhere, which is not served by this version",
                field.path,
                shorten(&key.text)
            );
            let path = format!("{}.{}", field.path, shorten(&key.text));
            report.unserved(
                &path,
                node.at,
                message,
                "a slot runs processes on this machine: write `slots: [north, south]`",
            );
            declared::check(&Field { path, node }, report);
        }
    }
    entries.iter().map(|(key, _)| (key.text.as_str(), key.at)).collect()
}

/// The driver that places the slots elsewhere, when one is named.
fn placed(fields: &Fields<'_>) -> Option<String> {
    let Kind::Map(slots) = &fields.peek("slots")?.kind else { return None };
    slots.iter().find_map(|(_, node)| match &node.kind {
        Kind::Map(keys) => keys.first().map(|(driver, _)| driver.text.clone()),
        Kind::Scalar { .. } => node.text().map(str::to_owned),
        Kind::List(_) => None,
    })
}

/// Stands for what a driver would run. It never runs: a deployment of such a file is refused, and
/// a rehearsal brings its own instances.
fn unbound(driver: &str) -> Run {
    Run {
        argv: vec![format!("unbound:{driver}")],
        env: BTreeMap::new(),
        port_env: PORT_ENV.to_owned(),
        protocol: Protocol::default(),
        grace: GRACE,
        memory_max: None,
        log_bytes_max: LOG_BYTES,
    }
}

fn note_colours(first: &str, at: Span, report: &mut Report<'_>) {
    let message = format!("slots are named by colours (`{first}`)");
    let mut finding = Diagnostic::new(codes::COLOURS, Severity::Note, message);
    finding.help(
        "teams disagree whether blue or green is the new one; which slot is live is decided by its \
         role, whatever its name",
    );
    report.add(finding, Some(at));
}

fn run(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Run> {
    let argv = fields
        .need("run", "[node, server.js]", report)
        .and_then(|field| command::command(&field, report));
    let env_at = fields.key_at("env");
    let env = fields.get("env").map(|field| command::env(&field, report)).unwrap_or_default();
    let port_env = fields
        .get("port")
        .and_then(|field| port_variable(&field, report))
        .unwrap_or_else(|| PORT_ENV.to_owned());
    if let (true, Some(at)) = (env.contains_key(&port_env), env_at) {
        let message = format!("`{}.{port_env}` is set by Tidegate", fields.path("env"));
        report
            .error(codes::BAD_VARIABLE, at, message)
            .help("every instance is given a port of its own in it; remove the variable");
    }
    let protocols = [("http1", Protocol::Http1), ("h2c", Protocol::H2c)];
    let protocol = read::choice(fields.get("protocol"), &protocols, Protocol::default(), report);
    let grace_bounds = (SignedDuration::ZERO, SignedDuration::from_mins(10));
    let grace = read::duration(fields.get("grace"), GRACE, grace_bounds, report);
    let memory_max =
        fields.get("memory").and_then(|field| read::bytes(&field, (1 << 20, 1 << 44), report));
    let log_bytes_max = fields
        .get("log")
        .and_then(|field| read::bytes(&field, (1 << 20, 10 << 30), report))
        .unwrap_or(LOG_BYTES);
    Some(Run { argv: argv?, env, port_env, protocol, grace, memory_max, log_bytes_max })
}

fn port_variable(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    if command::is_variable(text) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, not the name of a variable", field.path, shorten(text));
    report.error(codes::BAD_VARIABLE, field.at(), message).help(
        "name the variable from which the application reads its port, as in `port: PORT`; \
         Tidegate chooses the number, since both slots run side by side",
    );
    None
}

fn smoke(field: &Field<'_>, kind: &PartKind, report: &mut Report<'_>) -> Option<Smoke> {
    let mut fields = Fields::of(field, report);
    let bounds = (SignedDuration::from_secs(1), SignedDuration::from_hours(2));
    let suite = fields.get("suite");
    let run = if let Some(suite) = suite {
        for key in ["run", "shell", "junit"] {
            if let Some(other) = fields.get(key) {
                let message = format!("`{}` and `{}` exclude each other", suite.path, other.path);
                report.error(codes::CONFLICT, other.at(), message);
            }
        }
        if matches!(kind, PartKind::Worker) {
            let message =
                format!("`{}` asks over HTTP, and a worker takes no requests", suite.path);
            report
                .error(codes::CONFLICT, suite.at(), message)
                .help("use a command: `smoke: {run: [./smoke]}`");
        }
        read::artifact_path(&suite, report).map(|file| SmokeRun::Suite { file })
    } else {
        let argv = command::run_or_shell(&mut fields, report);
        let junit = fields.get("junit").and_then(|field| read::artifact_path(&field, report));
        argv.map(|argv| SmokeRun::Command { argv, junit })
    };
    let timeout = read::duration(fields.get("timeout"), SMOKE_TIMEOUT, bounds, report);
    fields.finish(&[], report);
    Some(Smoke { run: run?, timeout })
}

/// Two parts may share an address only when host or path tells their requests apart.
fn refuse_shared_routes(parts: &[Read], report: &mut Report<'_>) {
    let mut taken: BTreeMap<(&str, Option<&str>, &str), &PartName> = BTreeMap::new();
    for read in parts {
        let Some(Route { listen, host, path, .. }) = read.part.route() else {
            continue;
        };
        let claim = (listen.as_str(), host.as_deref(), path.as_str());
        if let Some(other) = taken.insert(claim, &read.part.name) {
            let message = format!(
                "parts `{other}` and `{}` claim the same requests ({listen}, {}, {path})",
                read.part.name,
                host.as_deref().unwrap_or("any host")
            );
            report
                .error(codes::ROUTE_TAKEN, read.at, message)
                .help("give one of them another `route: {path: ...}`, `host` or `listen`");
        }
    }
}
