//! Reads a whole `tidegate.yaml` into a [`Plan`].
//! Must never return a plan for a file with an error in it, nor look at anything but the text: no
//! clock, no file system, no environment variable.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::Date;
use tidegate_core::ids::{EnvironmentName, Scope, ServiceName};
use tidegate_core::plan::{Limits, Part, Plan, Release, Required, Source};

use crate::accept;
use crate::approve;
use crate::backup;
use crate::check;
use crate::checklist;
use crate::codes;
use crate::command;
use crate::compose;
use crate::custom;
use crate::declared;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::duties;
use crate::environments;
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::incident;
use crate::lint;
use crate::metrics;
use crate::node::{Kind, Node};
use crate::part;
use crate::read;
use crate::report::{Purpose, Report, Span, Unserved};
use crate::resolve::{self, Resolved};
use crate::source;
use crate::targets;
use crate::tell;
use crate::traffic;
use crate::variables::{self, Values};
use crate::window;

/// The version of the format that is read here.
const SCHEMA: &str = "1";
/// Keys that the format knows and this version does not serve.
const LATER: [&str; 9] =
    ["alerts", "before", "flags", "gates", "monitors", "plan", "roles", "secrets", "systems"];
/// Most open questions of one file.
const ASKS_MAX: usize = 256;

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The plan.
    pub plan: Plan,
    /// Warnings and notes: the file is accepted all the same.
    pub notes: Vec<Diagnostic>,
    /// What it declares and this version does not carry out; empty for a deployment.
    pub unserved: Vec<Unserved>,
    /// Requests a second that users make, as declared under `load`.
    pub load: Option<f64>,
}

/// What a file is read with.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// What would be deployed.
    pub release: Release,
    /// The environment; wins over the file's own.
    pub environment: Option<&'a str>,
    /// Files that it uses, by the path under which it names them; see [`crate::wanted`].
    pub files: &'a BTreeMap<String, Vec<u8>>,
    /// Values of declared variables, which win over those in the file.
    pub variables: &'a BTreeMap<String, String>,
    /// The day on which reviews are due or not; `None` leaves that question out.
    pub today: Option<Date>,
    /// What it is read for.
    pub purpose: Purpose,
}

/// Reads a file.
///
/// `name` is what findings call the file. `release` is what the caller deploys; `environment`, when
/// given, wins over the file's own.
///
/// # Errors
/// All findings at once, as soon as one of them is an error.
pub fn parse(
    source: &str,
    name: &str,
    release: Release,
    environment: Option<&str>,
) -> Result<Parsed, Diagnostics> {
    let context = Context {
        release,
        environment,
        files: &BTreeMap::new(),
        variables: &BTreeMap::new(),
        today: None,
        purpose: Purpose::Deploy,
    };
    read_with(source, name, &context)
}

/// Reads a file with everything that belongs to it.
///
/// # Errors
/// All findings at once, as soon as one of them is an error.
pub fn read_with(source: &str, name: &str, context: &Context<'_>) -> Result<Parsed, Diagnostics> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    // A file over the limit is not even cut into lines.
    let shown = if source.len() > source::SOURCE_BYTES_MAX { "" } else { source };
    let mut report = Report::for_purpose(name, shown, context.purpose);
    let resolved = tree(source, context, &mut report);
    let plan = resolved.as_ref().and_then(|resolved| plan(resolved, context, &mut report));
    if plan.is_none() && !report.has_errors() {
        report
            .error(codes::MISSING_KEY, Span::START, "the file says nothing")
            .help("`tidegate init` writes one to begin with");
    }
    if let Some(resolved) = &resolved {
        accept::accept(&resolved.root, &mut report);
    }
    let load = resolved.as_ref().and_then(|resolved| resolved.root.get("load"));
    let load = load.and_then(lint::load);
    let refused = report.has_errors();
    let unserved = report.take_unserved();
    let findings = report.finish();
    match plan {
        Some(plan) if !refused => Ok(Parsed { plan, notes: findings.0, unserved, load }),
        _ => Err(findings),
    }
}

/// The tree of a file and all that it is made of; variables stand in it as they were written.
pub(crate) fn merged<'a: 's, 's>(
    source: &'s str,
    context: &Context<'a>,
    report: &mut Report<'s>,
) -> Option<Resolved> {
    if !source::check(source, 0, report) {
        return None;
    }
    let root = compose::compose(source, 0, report)?;
    Some(resolve::resolve(root, context.environment, context.files, report))
}

/// The same with every value put in.
pub(crate) fn tree<'a: 's, 's>(
    source: &'s str,
    context: &Context<'a>,
    report: &mut Report<'s>,
) -> Option<Resolved> {
    let mut resolved = merged(source, context, report)?;
    let values = Values { release: &context.release, given: context.variables };
    variables::substitute(&mut resolved.root, &values, report);
    Some(resolved)
}

fn plan(resolved: &Resolved, context: &Context<'_>, report: &mut Report<'_>) -> Option<Plan> {
    let root = &resolved.root;
    let release = context.release.clone();
    let field = Field { path: String::new(), node: root };
    if root.is_null() {
        return None;
    }
    if !matches!(root.kind, Kind::Map(_)) {
        wrong_kind(&field, "a map of keys", report);
        return None;
    }
    variables::secrets(root, report);
    let mut fields = Fields::of(&field, report);
    // A file of another version has other keys: nothing else in it can be judged.
    schema(&mut fields, report).then_some(())?;
    let scope = scope(&mut fields, context.environment, &resolved.environment, report);
    around(&mut fields, &resolved.environment, report);
    release_tags(fields.get("release"), &release, report);
    let build = fields.get("build").and_then(|field| command::build(&field, report));
    let sources = metrics::metrics(&mut fields, report);
    let (parts, traffic) = pieces(&mut fields, sources, report);
    let (bake, bake_at) = traffic::after(fields.get("after"), report);
    let gates = check::gates(fields.get("check"), report);
    let window = window::window(fields.get("window"), context.files, report);
    let targets = targets::targets(fields.get("targets"), report);
    let (copy, recovery) = (fields.get("backup"), fields.get("recovery"));
    let copy = backup::backup(copy, recovery, report);
    let steps = custom::steps(fields.get("steps"), report);
    let people = fields.get("people");
    let approve = window.asks(approve::approve(fields.get("approve"), people, report));
    let tell = tell::tell(fields.get("tell"), report);
    let incident = incident::incident(fields.get("incident"), report);
    let checklist = checklist::checklist(fields.get("checklist"), report);
    let duties = duties::duties(fields.get("duties"), report);
    fields.finish(&LATER, report);

    let limits = Limits {
        start: parts.iter().map(|read| read.start_within).max().unwrap_or(SignedDuration::ZERO),
        traffic_lease: traffic.lease,
        ..Limits::default()
    };
    let plan = Plan {
        scope: scope?,
        release,
        build,
        parts: parts.into_iter().map(|read| read.part).collect(),
        traffic: traffic.traffic,
        bake,
        required: Required {
            gates: !gates.is_empty(),
            approvals: approve.is_some(),
            backup: copy.is_some(),
        },
        limits,
        gates,
        approve,
        change: None,
        backup: copy,
        custom: steps,
        checklist,
        duties,
        layers: Vec::new(),
        tell,
        incident,
        window: window.window,
    };
    if plan.parts.is_empty() || report.has_errors() {
        return None;
    }
    let facts = lint::Facts { root, targets: &targets, today: context.today };
    lint::in_file(&plan, &facts, traffic.places, bake_at, report);
    Some(plan)
}

/// The keys around the deployment itself: where the file comes from, who answers, what is open.
fn around(fields: &mut Fields<'_>, environment: &str, report: &mut Report<'_>) {
    for key in ["owner", "extends", "use", "variables", "review", "load", "accept"] {
        if let Some(field) = fields.get(key) {
            declared::check(&field, report);
        }
    }
    if let Some(field) = fields.get("environments") {
        declared::check(&field, report);
        environments::order(&field, environment, report);
    }
    if let Some(field) = fields.get("ask") {
        declared::check(&field, report);
        asks(&field, report);
    }
}

/// Open questions: an error for a deployment, because somebody decided not to decide.
fn asks(field: &Field<'_>, report: &mut Report<'_>) {
    let Kind::List(items) = &field.node.kind else { return };
    if items.len() > ASKS_MAX {
        let message = format!("more than {ASKS_MAX} open questions");
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return;
    }
    for node in items {
        let question = node.text().or_else(|| node.get("question").and_then(Node::text));
        let about = node.get("for").and_then(Node::text);
        let question = question.unwrap_or("a question without words");
        let proposed = node.get("propose").and_then(Node::text);
        let limit = about.is_some_and(|key| {
            key.starts_with("traffic.") || key.starts_with("alerts") || key.starts_with("targets")
        });
        let (code, severity) = match (report.purpose(), limit) {
            (Purpose::Deploy, _) => (codes::OPEN_QUESTION, Severity::Error),
            (Purpose::Check, true) => (codes::NO_NUMBER, Severity::Warning),
            (Purpose::Check, false) => (codes::OPEN_QUESTION, Severity::Warning),
        };
        let mut finding = Diagnostic::new(code, severity, format!("open: {}", shorten(question)));
        finding.help(match (about, proposed) {
            (Some(about), Some(value)) => format!("answer it in `{about}`, for example `{value}`"),
            (Some(about), None) => format!("answer it in `{about}` and remove the question"),
            (None, _) => "answer it and remove the question".to_owned(),
        });
        if severity == Severity::Error {
            report.error(code, node.at, finding.message).help(finding.help.unwrap_or_default());
        } else {
            report.add(finding, Some(node.at));
        }
    }
}

/// `tidegate: 1`.
pub(crate) fn schema(fields: &mut Fields<'_>, report: &mut Report<'_>) -> bool {
    let Some(field) = fields.need("tidegate", SCHEMA, report) else {
        // Everything else is still worth checking: the header is easily forgotten.
        return true;
    };
    match read::text(&field, report) {
        Some(SCHEMA) => true,
        Some(other) => {
            let message = format!(
                "the file is of format `{}`, and this version reads format {SCHEMA}",
                shorten(other)
            );
            report
                .error(codes::SCHEMA_VERSION, field.at(), message)
                .help("write `tidegate: 1`, or use a Tidegate that reads the newer format");
            false
        }
        None => true,
    }
}

fn scope(
    fields: &mut Fields<'_>,
    environment: Option<&str>,
    default: &str,
    report: &mut Report<'_>,
) -> Option<Scope> {
    let service = fields.need("service", "shop", report).and_then(|field| {
        let text = read::text(&field, report)?;
        read::name(text, &field.path, field.at(), ServiceName::new, report)
    });
    let written = fields.get("environment");
    let at = written.as_ref().map(Field::at);
    let written = written.and_then(|field| {
        let text = read::text(&field, report)?;
        read::name(text, &field.path, field.at(), EnvironmentName::new, report)
    });
    let environment = match (environment, written) {
        (Some(asked), written) => {
            let place = at.unwrap_or(Span::START);
            let asked = read::name(asked, "environment", place, EnvironmentName::new, report)?;
            let declares = fields.has("environments");
            if let Some(written) = written.filter(|written| !declares && *written != asked) {
                other_environment(&asked, &written, at, report);
            }
            asked
        }
        (None, Some(written)) => written,
        (None, None) => EnvironmentName::new(default).ok()?,
    };
    Some(Scope { service: service?, environment })
}

fn other_environment(
    asked: &EnvironmentName,
    written: &EnvironmentName,
    at: Option<Span>,
    report: &mut Report<'_>,
) {
    let message = format!("deploying to `{asked}` with a file written for `{written}`");
    let mut finding = Diagnostic::new(codes::OTHER_ENVIRONMENT, Severity::Warning, message);
    finding.help("everything else in the file applies as it stands, addresses included");
    report.add(finding, at);
}

/// `release: {tag: "v*"}`: which tags are releases.
fn release_tags(field: Option<Field<'_>>, release: &Release, report: &mut Report<'_>) {
    let Some(field) = field else { return };
    let mut fields = Fields::of(&field, report);
    let tag = fields.get("tag");
    let later =
        ["start", "image", "require", "repository", "branch", "version", "toolchain", "artifact"];
    fields.finish(&later, report);
    let Some(tag) = tag else { return };
    let Some(pattern) = read::text(&tag, report) else {
        return;
    };
    if !matches_glob(pattern, &release.version) {
        let message = format!(
            "`{}` does not look like a release: `{}` is `{}`",
            shorten(&release.version),
            tag.path,
            shorten(pattern)
        );
        report.add(Diagnostic::new(codes::TAG_PATTERN, Severity::Warning, message), Some(tag.at()));
    }
}

/// A pattern in which `*` stands for any characters. Linear in the text for each star.
fn matches_glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The parts and the traffic: `deploy` with `traffic.route`, or `parts` with a route in each.
fn pieces(
    fields: &mut Fields<'_>,
    sources: Vec<Source>,
    report: &mut Report<'_>,
) -> (Vec<part::Read>, traffic::Read) {
    let deploy = fields.get("deploy");
    let several = fields.get("parts");
    let traffic_field = fields.get("traffic");
    let mut traffic_fields = traffic_field.as_ref().map(|field| Fields::of(field, report));
    let route = traffic_fields.as_mut().and_then(|fields| fields.get("route"));
    let parts = match (&deploy, &several) {
        (Some(deploy), None) => part::deploy(deploy, route.as_ref(), report),
        (None, Some(several)) => {
            if let Some(route) = &route {
                report
                    .error(codes::CONFLICT, route.at(), "`traffic.route` belongs to no part")
                    .help("with `parts`, write `route` inside the part it belongs to");
            }
            part::parts(several, report)
        }
        (Some(_), Some(several)) => {
            report
                .error(codes::CONFLICT, several.at(), "`deploy` and `parts` exclude each other")
                .help("use `deploy` for a service of one part, `parts` for several");
            Vec::new()
        }
        (None, None) => {
            report
                .error(codes::MISSING_KEY, fields.at(), "`deploy` is missing: what runs?")
                .help("write for example `deploy: {run: [node, server.js]}`");
            Vec::new()
        }
    };
    let plain: Vec<&Part> = parts.iter().map(|read| &read.part).collect();
    let traffic = match &mut traffic_fields {
        Some(fields) => traffic::traffic(fields, &plain, sources, report),
        None => traffic::unsaid(&plain, sources),
    };
    if let Some(at) = deploy.as_ref().or(several.as_ref()).map(Field::at) {
        refuse_blindness(&traffic, &plain, at, report);
    }
    if let Some(fields) = traffic_fields {
        fields.finish(&["hold_out", "mirror", "cohorts", "on_control_loss", "tell"], report);
    }
    (parts, traffic)
}

/// Without requests and without probes there is no rule to fall back on, and time alone must not
/// move a release to production because somebody left the rules away.
fn refuse_blindness(traffic: &traffic::Read, parts: &[&Part], at: Span, report: &mut Report<'_>) {
    let unsaid = traffic.places.advance.is_none() && traffic.traffic.advance_if.is_empty();
    if unsaid && !parts.is_empty() {
        report
            .error(codes::NO_READINGS, at, "nothing here tells a good release from a bad one")
            .help(
                "add a probe, as in `probes: {ok: {exec: [./check]}}`, or write \
                 `traffic: {advance_if: [memory < 90%], rollback_if: [cpu > 95% for 5m]}`",
            );
    }
}

#[cfg(test)]
mod tests {
    use super::matches_glob;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, wanted) in [
            ("v*", "v1.2.3", true),
            ("v*", "main", false),
            ("v*.*.*", "v1.2.3", true),
            ("v*.*.*", "v1.2", false),
            ("v1", "v1", true),
            ("v1", "v10", false),
            ("*-rc*", "v1-rc2", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches_glob(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
