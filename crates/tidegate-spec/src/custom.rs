//! Reads `steps`: work of the user's own, bound to moments of the process.
//! Must never guess whether a step may be done twice: one that does not say so is done once.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::ids::StepName;
use tidegate_core::plan::{
    CUSTOM_MAX, CustomStep, Moment, OutputKind, RETRIES_MAX, When, Work, disorder, steers,
};

use crate::codes;
use crate::command;
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::{Kind, Node};
use crate::read;
use crate::report::{Report, Span};
use crate::secret;

/// How long a step may take when nothing is said.
const TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
/// Bounds of a step's timeout: a long migration takes hours.
const TIMEOUT_BOUNDS: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_hours(24));
/// Most values, files or paths that one step names.
const LIST_MAX: usize = 32;
/// Methods that change nothing, or the same however often they are sent.
const HARMLESS: [&str; 2] = ["GET", "HEAD"];

/// One step with where it stands, and the name that a matrix made several of.
struct Read {
    step: CustomStep,
    group: String,
    at: Span,
}

/// Reads the whole key.
pub(crate) fn steps(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<CustomStep> {
    let Some(field) = field else { return Vec::new() };
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(&field, "a map of steps by name (the shares are `traffic.steps`)", report);
        return Vec::new();
    };
    let mut found: Vec<Read> = Vec::new();
    for (key, node) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
        let path = format!("{}.{}", field.path, shorten(&key.text));
        found.extend(entry(&key.text, &Field { path, node }, key.at, report));
        if found.len() > CUSTOM_MAX {
            let message = format!("`{}` has more than {CUSTOM_MAX} steps", field.path);
            report.error(codes::TOO_COMPLEX, field.at(), message);
            return Vec::new();
        }
    }
    widen_needs(&mut found);
    let steps: Vec<CustomStep> = found.iter().map(|read| read.step.clone()).collect();
    if let Some((name, what)) = disorder(&steps) {
        let at = found
            .iter()
            .find(|read| read.step.name == name)
            .map_or_else(|| field.at(), |read| read.at);
        report.error(codes::CONFLICT, at, format!("the step `{name}` {what}"));
    }
    steps
}

/// Who needs a step that a matrix made several of, needs them all.
fn widen_needs(found: &mut [Read]) {
    let groups: Vec<(String, StepName)> =
        found.iter().map(|read| (read.group.clone(), read.step.name.clone())).collect();
    for read in found {
        let needs = std::mem::take(&mut read.step.needs);
        for need in needs {
            let cells: Vec<&StepName> = groups
                .iter()
                .filter(|(group, name)| group == need.as_str() && *name != need)
                .map(|(_, name)| name)
                .collect();
            if cells.is_empty() {
                read.step.needs.push(need);
            } else {
                read.step.needs.extend(cells.into_iter().cloned());
            }
        }
    }
}

fn entry(name: &str, field: &Field<'_>, at: Span, report: &mut Report<'_>) -> Vec<Read> {
    let mut fields = Fields::of(field, report);
    let cells = fields.get("matrix").map_or_else(|| vec![Vec::new()], |m| matrix(&m, report));
    let step = step(&mut fields, report);
    fields.finish(&[], report);
    let Some(step) = step else { return Vec::new() };
    let mut found = Vec::new();
    for cell in cells {
        let mut own = name.to_owned();
        for (_, value) in &cell {
            own.push('.');
            own.push_str(&value.to_ascii_lowercase());
        }
        let Some(own) = read::name(&own, &field.path, at, StepName::new, report) else { continue };
        let mut step = CustomStep { name: own, ..step.clone() };
        if let Work::Run { env, .. } = &mut step.work {
            env.extend(cell);
        }
        found.push(Read { step, group: name.to_owned(), at });
    }
    found
}

/// `matrix: {REGION: [eu, us], TIER: [a, b]}`: a step for each combination.
fn matrix(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Vec<(String, String)>> {
    let mut cells = vec![Vec::new()];
    let Kind::Map(axes) = &field.node.kind else {
        wrong_kind(field, "a map of variables with a list of values each", report);
        return cells;
    };
    for (key, node) in axes {
        let axis = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        if !command::is_variable(&key.text) || steers(&key.text) {
            let message = format!("`{}` cannot be the name of a variable of a matrix", axis.path);
            report.error(codes::BAD_VARIABLE, key.at, message);
            continue;
        }
        let values = texts(Some(axis.clone()), report);
        if values.is_empty() || cells.len() * values.len() > CUSTOM_MAX {
            let message = format!("`{}` makes no steps, or more than {CUSTOM_MAX}", axis.path);
            report.error(codes::TOO_COMPLEX, axis.at(), message);
            continue;
        }
        cells = cells
            .iter()
            .flat_map(|cell| {
                values.iter().map(|value| {
                    let mut cell = cell.clone();
                    cell.push((key.text.clone(), value.clone()));
                    cell
                })
            })
            .collect();
    }
    cells
}

fn step(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<CustomStep> {
    let moments: Vec<(&'static str, Moment)> =
        Moment::ALL.iter().map(|moment| (moment.word(), *moment)).collect();
    let example = "before-deploy";
    let at = fields.need("at", example, report);
    let known = at.is_some();
    let moment = read::choice(at, &moments, Moment::BeforeDeploy, report);
    let needs = fields.get("needs").map(|field| needs(&field, report)).unwrap_or_default();
    let when = [("always", When::Always), ("first", When::First), ("update", When::Update)];
    let when = read::choice(fields.get("when"), &when, When::Always, report);
    let alone = !read::flag(fields.get("parallel"), true, report);
    let timeout = read::duration(fields.get("timeout"), TIMEOUT, TIMEOUT_BOUNDS, report);
    let retries_field = fields.get("retries");
    let retries_at = retries_field.as_ref().map(Field::at);
    let retries = read::number(retries_field, 0, (0, RETRIES_MAX), report);
    let verify = fields.get("verify").and_then(|field| command::command(&field, report));
    let work = work(fields, report);
    let harmless =
        matches!(&work, Some(Work::Http { method, .. }) if HARMLESS.contains(&method.as_str()));
    let idempotent = read::flag(fields.get("idempotent"), harmless, report);
    if let Some(at) = retries_at.filter(|_| retries > 0 && !idempotent && verify.is_none()) {
        report
            .error(
                codes::CONFLICT,
                at,
                format!("`{}` without a way to know", fields.path("retries")),
            )
            .help(
                "a step that is not `idempotent: true` is repeated only when a command under \
                 `verify` says that it was not done",
            );
    }
    let outputs = fields.get("outputs").map(|field| outputs(&field, report)).unwrap_or_default();
    let artifacts = paths(fields.get("artifacts"), report);
    let writes = absolute(fields.get("writes"), report);
    let secrets = fields.get("secrets").map(|field| secrets(&field, report)).unwrap_or_default();
    Some(CustomStep {
        // The writer of the file named it outside of what is read here.
        name: StepName::new("unnamed").ok()?,
        at: moment,
        needs,
        when,
        alone,
        work: work.filter(|_| known)?,
        timeout,
        retries,
        idempotent,
        verify,
        outputs,
        artifacts,
        writes,
        secrets,
    })
}

fn work(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<Work> {
    if let Some(http) = fields.get("http") {
        return request(&http, report);
    }
    let argv = command::run_or_shell(fields, report);
    let env_field = fields.get("env");
    let env = env_field.map(|field| environment(&field, report)).unwrap_or_default();
    Some(Work::Run { argv: argv?, env })
}

/// Variables, without those that decide what runs.
fn environment(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let env = command::env(field, report);
    if let Kind::Map(entries) = &field.node.kind {
        for (key, _) in entries.iter().filter(|(key, _)| steers(&key.text)) {
            let message = format!("`{}.{}` decides what runs", field.path, shorten(&key.text));
            report
                .error(codes::STEERING, key.at, message)
                .help("say it in the arguments of the command, where it is read and approved");
        }
    }
    env
}

fn request(field: &Field<'_>, report: &mut Report<'_>) -> Option<Work> {
    const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    let mut fields = Fields::of(field, report);
    let methods = METHODS.map(|method| (method, method));
    let method = read::choice(fields.get("method"), &methods, "GET", report);
    let url = fields.need("url", "https://edge.example.org/purge", report);
    let url = url.and_then(|field| address(&field, report));
    let headers = fields.get("headers").map(|field| headers(&field, report));
    let body = fields.get("body").and_then(|field| read::text(&field, report)).map(str::to_owned);
    let status = fields.get("status").map(|field| statuses(&field, report)).unwrap_or_default();
    let contains = fields.get("contains").and_then(|field| read::text(&field, report));
    fields.finish(&[], report);
    Some(Work::Http {
        method: method.to_owned(),
        url: url?,
        headers: headers.unwrap_or_default(),
        body,
        status,
        contains: contains.map(str::to_owned),
    })
}

/// Headers: names to texts.
fn headers(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map of headers", report);
        return found;
    };
    for (key, node) in entries.iter().take(LIST_MAX) {
        let entry = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let Some(value) = read::text(&entry, report) else { continue };
        if key.text.is_empty() || !key.text.bytes().all(plain) || value.contains(['\r', '\n', '\0'])
        {
            let message = format!("`{}` is no header", entry.path);
            report.error(codes::BAD_ROUTE, key.at, message);
            continue;
        }
        found.insert(key.text.to_ascii_lowercase(), value.to_owned());
    }
    found
}

fn address(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |text: &str| !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let named = host.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !authority.is_empty() && !authority.contains('@')
    });
    if named && plain(text) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, not an address", field.path, shorten(text));
    report
        .error(codes::BAD_ROUTE, field.at(), message)
        .help("write `https://host/path`, without a user or a password in it");
    None
}

fn statuses(field: &Field<'_>, report: &mut Report<'_>) -> Vec<u16> {
    let items: Vec<&Node> = match &field.node.kind {
        Kind::List(items) => items.iter().collect(),
        Kind::Scalar { .. } | Kind::Map(_) => vec![field.node],
    };
    let mut found = Vec::new();
    for (index, node) in items.into_iter().enumerate() {
        let item = read::item(&field.path, index, node);
        let number = read::number(Some(item), 200, (100, 599), report);
        found.extend(u16::try_from(number));
    }
    found
}

fn needs(field: &Field<'_>, report: &mut Report<'_>) -> Vec<StepName> {
    let named = |text: &String| StepName::new(text.clone()).ok();
    let found = texts(Some(field.clone()), report);
    found.iter().filter_map(named).collect()
}

fn outputs(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, OutputKind> {
    let kinds =
        [("text", OutputKind::Text), ("number", OutputKind::Number), ("flag", OutputKind::Flag)];
    let mut found = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map of names to `text`, `number` or `flag`", report);
        return found;
    };
    for (key, node) in entries.iter().take(LIST_MAX) {
        let entry = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        if !command::is_variable(&key.text) {
            let message = format!("`{}` is no plain name", entry.path);
            report.error(codes::BAD_NAME, key.at, message);
            continue;
        }
        let kind = read::choice(Some(entry), &kinds, OutputKind::Text, report);
        found.insert(key.text.clone(), kind);
    }
    found
}

fn secrets(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(field, "a map of variables to `secret://file/NAME`", report);
        return found;
    };
    for (key, node) in entries.iter().take(LIST_MAX) {
        let entry = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        if !command::is_variable(&key.text) || steers(&key.text) {
            let message = format!("`{}` cannot be a variable that names a file", entry.path);
            report.error(codes::BAD_VARIABLE, key.at, message);
            continue;
        }
        if let Some(text) = secret::of_file(&entry, report) {
            found.insert(key.text.clone(), text);
        }
    }
    found
}

fn paths(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    let Some(items) = read::list(&field, report) else { return Vec::new() };
    let items = items.iter().take(LIST_MAX).enumerate();
    let mut found = Vec::new();
    for (index, node) in items {
        found.extend(read::artifact_path(&read::item(&field.path, index, node), report));
    }
    found
}

/// Paths on the machine.
fn absolute(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    let found = texts(Some(field.clone()), report);
    for text in &found {
        if !text.starts_with('/') || text.split('/').any(|piece| piece == "..") {
            let message = format!("`{}`: `{}` is no absolute path", field.path, shorten(text));
            report.error(codes::BAD_PATH, field.at(), message);
        }
    }
    found
}

/// One text, or a list of them.
fn texts(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    let items: &[Node] = match &field.node.kind {
        Kind::List(items) => items,
        Kind::Scalar { .. } => std::slice::from_ref(field.node),
        Kind::Map(_) => {
            wrong_kind(&field, "a text or a list of texts", report);
            return Vec::new();
        }
    };
    if items.len() > CUSTOM_MAX {
        let message = format!("`{}` has more than {CUSTOM_MAX} items", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = read::item(&field.path, index, node);
        found.extend(read::text(&item, report).map(str::to_owned));
    }
    found
}

/// The words for moments, for the table of keys.
pub(crate) const MOMENTS: [&str; 7] =
    ["plan", "before-deploy", "after-deploy", "before-traffic", "bake", "finish", "rollback"];

#[cfg(test)]
mod tests {
    use tidegate_core::plan::Moment;

    use super::MOMENTS;

    #[test]
    fn the_table_has_every_moment() {
        assert_eq!(MOMENTS.to_vec(), Moment::ALL.map(Moment::word).to_vec());
    }
}
