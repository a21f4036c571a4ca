//! Reads a whole `tidegate.yaml` into a [`Plan`].
//! Must never return a plan for a file with an error in it, nor look at anything but the text: no
//! clock, no file system, no environment variable.

use jiff::SignedDuration;
use tidegate_core::ids::{EnvironmentName, Scope, ServiceName};
use tidegate_core::plan::{Limits, Part, Plan, Release, Required};

use crate::approve;
use crate::codes;
use crate::command;
use crate::compose;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::lint;
use crate::node::{Kind, Node};
use crate::part;
use crate::read;
use crate::report::{Report, Span};
use crate::source;
use crate::targets;
use crate::traffic;

/// The version of the format that is read here.
const SCHEMA: &str = "1";
/// The environment when neither the file nor the caller names one.
const ENVIRONMENT: &str = "production";
/// Keys that the format knows and this version does not serve.
const LATER: [&str; 16] = [
    "ask", "backup", "before", "check", "duties", "extends", "flags", "gates", "metrics", "owner",
    "plan", "review", "secrets", "tell", "use", "window",
];

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The plan.
    pub plan: Plan,
    /// Warnings and notes: the file is accepted all the same.
    pub notes: Vec<Diagnostic>,
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
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    // A file over the limit is not even cut into lines.
    let shown = if source.len() > source::SOURCE_BYTES_MAX { "" } else { source };
    let mut report = Report::new(name, shown);
    let plan = if source::check(source, &mut report) {
        compose::compose(source, &mut report)
            .and_then(|root| plan(&root, release, environment, &mut report))
    } else {
        None
    };
    if plan.is_none() && !report.has_errors() {
        report
            .error(codes::MISSING_KEY, Span::START, "the file says nothing")
            .help("`tidegate init` writes one to begin with");
    }
    let refused = report.has_errors();
    let findings = report.finish();
    match plan {
        Some(plan) if !refused => Ok(Parsed { plan, notes: findings.0 }),
        _ => Err(findings),
    }
}

fn plan(
    root: &Node,
    release: Release,
    environment: Option<&str>,
    report: &mut Report<'_>,
) -> Option<Plan> {
    let field = Field { path: String::new(), node: root };
    if root.is_null() {
        return None;
    }
    if !matches!(root.kind, Kind::Map(_)) {
        wrong_kind(&field, "a map of keys", report);
        return None;
    }
    refuse_substitution(root, "", report);
    let mut fields = Fields::of(&field, report);
    // A file of another version has other keys: nothing else in it can be judged.
    if !schema(&mut fields, report) {
        return None;
    }
    let scope = scope(&mut fields, environment, report);
    release_tags(fields.get("release"), &release, report);
    let build = fields.get("build").and_then(|field| command::build(&field, report));
    let (parts, traffic) = pieces(&mut fields, report);
    let (bake, bake_at) = traffic::after(fields.get("after"), report);
    let targets = targets::targets(fields.get("targets"), report);
    let approve = approve::approve(fields.get("approve"), fields.get("people"), report);
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
        required: Required { approvals: approve.is_some(), ..Required::default() },
        limits,
        approve,
        change: None,
    };
    if plan.parts.is_empty() || report.has_errors() {
        return None;
    }
    lint::in_file(&plan, &targets, traffic.places, bake_at, report);
    Some(plan)
}

/// `tidegate: 1`.
fn schema(fields: &mut Fields<'_>, report: &mut Report<'_>) -> bool {
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
            if let Some(written) = written.filter(|written| *written != asked) {
                other_environment(&asked, &written, at, report);
            }
            asked
        }
        (None, Some(written)) => written,
        (None, None) => EnvironmentName::new(ENVIRONMENT).ok()?,
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
    fields.finish(&["start", "image", "require", "repository", "branch"], report);
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
fn pieces(fields: &mut Fields<'_>, report: &mut Report<'_>) -> (Vec<part::Read>, traffic::Read) {
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
        Some(fields) => traffic::traffic(fields, &plain, report),
        None => traffic::unsaid(&plain),
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

/// `${...}` is for a later version: until then it would reach the application as it stands.
fn refuse_substitution(node: &Node, path: &str, report: &mut Report<'_>) {
    match &node.kind {
        Kind::Scalar { text, .. } if text.contains("${") => {
            report
                .error(
                    codes::SUBSTITUTION,
                    node.at,
                    format!("`{path}` has `${{`, and nothing is put in its place"),
                )
                .help(
                    "write the value itself; in a `shell:` line write `$NAME` for variables of the \
                     process",
                );
        }
        Kind::Scalar { .. } => {}
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_substitution(item, &format!("{path}[{}]", index + 1), report);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
                let below = shorten(&key.text);
                let path = if path.is_empty() { below } else { format!("{path}.{below}") };
                refuse_substitution(value, &path, report);
            }
        }
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
