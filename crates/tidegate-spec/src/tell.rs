//! Reads `tell`: who hears of what, and by which channel.
//! Must never take an occasion or a channel that no message is made for: somebody would rely on it.

use tidegate_core::message::{Family, Occasion, RECEIVERS_MAX, ROUTES_MAX, Receiver, Route};

use crate::codes;
use crate::declared;
use crate::fields::{Field, Fields, shorten, wrong_kind};
use crate::node::Kind;
use crate::read;
use crate::report::Report;
use crate::words;

/// Most lines of one route.
const LINES_MAX: usize = 16;
/// Longest of them, characters.
const LINE_CHARS_MAX: usize = 500;
/// What a line can stand for.
const PLACEHOLDERS: [&str; 6] =
    ["{service}", "{environment}", "{version}", "{deployment}", "{incident}", "{why}"];
/// Severities that a pager knows.
const SEVERITIES: [(&str, &str); 4] =
    [("critical", "critical"), ("error", "error"), ("warning", "warning"), ("info", "info")];

/// Reads `tell`.
pub(crate) fn tell(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<Route> {
    let Some(field) = field else { return Vec::new() };
    let Kind::Map(entries) = &field.node.kind else {
        wrong_kind(&field, "a map by occasion", report);
        return Vec::new();
    };
    let mut routes = Vec::new();
    for (key, node) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
        let path = format!("{}.{}", field.path, shorten(&key.text));
        let known = Occasion::ALL.into_iter().find(|occasion| occasion.word() == key.text);
        let one = Field { path, node };
        match known {
            Some(on) => routes.extend(route(on, &one, report)),
            None => {
                let all: Vec<&str> = Occasion::ALL.iter().map(|it| it.word()).collect();
                let message = format!("`{}` is no occasion that this version knows", one.path);
                let help = format!("the occasions are {}", words::list(&all));
                report.unserved(&one.path, key.at, message, &help);
                declared::check(&one, report);
            }
        }
    }
    if routes.len() > ROUTES_MAX {
        let message = format!("`{}` has more than {ROUTES_MAX} routes", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
    }
    routes
}

fn route(on: Occasion, field: &Field<'_>, report: &mut Report<'_>) -> Option<Route> {
    let mut fields = Fields::of(field, report);
    let mut to = Vec::new();
    let mut add = |family, field: Option<Field<'_>>, report: &mut Report<'_>| {
        let Some(field) = field else { return };
        let addresses = texts(&field, report);
        to.extend(addresses.into_iter().map(|address| Receiver { family, address }));
    };
    add(Family::Email, fields.get("email"), report);
    add(Family::Slack, fields.get("slack"), report);
    add(Family::Teams, fields.get("teams"), report);
    add(Family::Webhook, fields.get("webhook"), report);
    if let Some(field) = fields.get("pagerduty") {
        let address = read::choice(Some(field), &SEVERITIES, "critical", report).to_owned();
        to.push(Receiver { family: Family::Pagerduty, address });
    }
    if let Some(field) = fields.get("status_page") {
        let choices = [("draft", "draft"), ("publish", "publish")];
        let address = read::choice(Some(field), &choices, "draft", report).to_owned();
        to.push(Receiver { family: Family::StatusPage, address });
    }
    let says = fields.get("says").map(|field| lines(&field, report)).unwrap_or_default();
    let at = fields.at();
    let path = field.path.clone();
    fields.finish(&["sns", "when", "owner", "due"], report);
    if to.len() > RECEIVERS_MAX {
        let message = format!("`{path}` has more than {RECEIVERS_MAX} receivers");
        report.error(codes::TOO_COMPLEX, at, message);
        return None;
    }
    Some(Route { on, to, says }).filter(|route| !route.to.is_empty())
}

/// One text, or a list of them.
fn texts(field: &Field<'_>, report: &mut Report<'_>) -> Vec<String> {
    let fields: Vec<Field<'_>> = match &field.node.kind {
        Kind::List(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, node)| read::item(&field.path, index, node)).collect()
        }
        _ => vec![Field { path: field.path.clone(), node: field.node }],
    };
    fields.iter().filter_map(|one| Some(read::text(one, report)?.to_owned())).collect()
}

/// Lines that every message of a route has.
fn lines(field: &Field<'_>, report: &mut Report<'_>) -> Vec<String> {
    let Some(items) = read::list(field, report) else { return Vec::new() };
    if items.len() > LINES_MAX {
        let message = format!("`{}` has more than {LINES_MAX} lines", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let mut lines = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let one = read::item(&field.path, index, node);
        let Some(text) = read::text(&one, report) else { continue };
        if text.chars().count() > LINE_CHARS_MAX {
            let message = format!("`{}` is longer than {LINE_CHARS_MAX} characters", one.path);
            report.error(codes::TOO_COMPLEX, one.at(), message);
        }
        let rest = PLACEHOLDERS.iter().fold(text.to_owned(), |rest, word| rest.replace(word, ""));
        if rest.contains('{') {
            let message = format!("`{}` stands for nothing: {}", one.path, shorten(text));
            let help = format!("a line can have {}", words::list(&PLACEHOLDERS));
            report.error(codes::BAD_CHOICE, one.at(), message).help(help);
        }
        lines.push(text.to_owned());
    }
    lines
}
