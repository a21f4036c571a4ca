//! Lints that look at the whole tree of a file, whatever a reader makes of it.
//! Must never refuse: what they find is legal, and cannot work or not for long.

use jiff::civil::Date;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::{Facts, commands, texts};
use crate::mojibake;
use crate::node::{Kind, Node};
use crate::report::{Report, Span};

/// Keys whose values are commands.
const COMMANDS: [&str; 8] = ["run", "shell", "exec", "migrate", "list", "verify", "build", "smoke"];
/// Keys whose values are notes for people and nothing else.
const NOTES: [&str; 6] = ["accept", "ask", "checklist", "review", "means", "reason"];

/// All of them.
pub(crate) fn lint(facts: &Facts<'_>, report: &mut Report<'_>) {
    values(facts.root, report);
    scripts(facts.root, "", report);
    migration(facts.root, report);
    contacts(facts.root, report);
    alerts(facts.root, report);
    schedules(facts.root, report);
    proofs(facts.root, report);
    if let Some(today) = facts.today {
        review(facts.root, today, report);
    }
}

fn warn(finding: commands::Finding, at: Span, report: &mut Report<'_>) {
    let mut warning = Diagnostic::new(finding.code, Severity::Warning, finding.message);
    warning.help(finding.help);
    report.add(warning, Some(at));
}

fn values(root: &Node, report: &mut Report<'_>) {
    root.scalars("", &mut |path, node| {
        let mut segments = path.split(['.', '[']);
        let top = segments.next().unwrap_or_default();
        let name = path.rsplit(['.', '[']).next().unwrap_or_default();
        let Some(text) = node.text() else { return };
        if NOTES.contains(&top) || NOTES.contains(&name) || top.starts_with("x-") {
            return;
        }
        for finding in texts::value(name, text) {
            warn(finding, node.at, report);
        }
        if name == "image" && text.ends_with(":latest") {
            for finding in commands::line(text) {
                warn(finding, node.at, report);
            }
        }
        if mojibake::is_broken(text) {
            let message = "the encoding of this text was broken on its way here";
            let mut finding = Diagnostic::new(codes::BROKEN_TEXT, Severity::Warning, message);
            finding.help(format!("it probably was `{}`", mojibake::repair(text).text));
            report.add(finding, Some(node.at));
        }
    });
}

/// Every command of the file: lists of arguments and lines for a shell.
fn scripts(node: &Node, key: &str, report: &mut Report<'_>) {
    let command = COMMANDS.contains(&key);
    match &node.kind {
        Kind::Scalar { text, .. } if command => {
            let lines: Vec<&str> =
                text.split([';', '\n']).flat_map(|line| line.split("&&")).collect();
            for (_, finding) in commands::script(&lines) {
                warn(finding, node.at, report);
            }
        }
        Kind::Scalar { .. } => {}
        Kind::List(items) => {
            let words: Vec<&str> = items.iter().filter_map(Node::text).collect();
            if command && words.len() == items.len() {
                for finding in commands::line(&words.join(" ")) {
                    warn(finding, node.at, report);
                }
            }
            for item in items {
                scripts(item, "", report);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
                scripts(value, &key.text, report);
            }
        }
    }
}

/// A migration runs while the live version serves everybody, and traffic that goes back does not
/// take it back.
fn migration(root: &Node, report: &mut Report<'_>) {
    let Some(migrate) = root.at_path("deploy.migrate") else { return };
    let class =
        migrate.get("class").or_else(|| root.at_path("plan.migrations.class")).and_then(Node::text);
    let message = match class {
        Some("expand") => return,
        Some(_) => "a migration that takes something away cannot be undone by moving traffic back",
        None => "nobody says whether the live version runs on the new schema",
    };
    let mut finding = Diagnostic::new(codes::MIGRATION, Severity::Warning, message);
    finding.help(
        "write `class: expand` when it does, and take things away in a later release; the \
         migration is the point of no return",
    );
    report.add(finding, Some(migrate.at));
}

fn contacts(root: &Node, report: &mut Report<'_>) {
    let Some(Kind::Map(people)) = root.get("people").map(|node| &node.kind) else { return };
    for phone in people.iter().filter_map(|(_, person)| person.get("phone")) {
        if let Some(finding) = phone.text().and_then(texts::undiallable) {
            warn(finding, phone.at, report);
        }
    }
}

/// A threshold without a unit is a count to one and a ratio to another.
fn alerts(root: &Node, report: &mut Report<'_>) {
    let Some(Kind::Map(alerts)) = root.get("alerts").map(|node| &node.kind) else { return };
    for limit in alerts.iter().filter_map(|(_, alert)| alert.get("threshold")) {
        let Some(text) = limit.text() else { continue };
        if text.trim().parse::<f64>().is_ok() {
            let message = format!("`{text}` may be a count or a share: it has no unit");
            let mut finding = Diagnostic::new(codes::NO_UNIT, Severity::Warning, message);
            finding.help("write for example `5%`, `5 requests` or `1000ms`");
            report.add(finding, Some(limit.at));
        }
    }
}

/// Two monitors that ask for the same health at different times.
fn schedules(root: &Node, report: &mut Report<'_>) {
    let Some(Kind::Map(monitors)) = root.get("monitors").map(|node| &node.kind) else { return };
    let every: Vec<(&str, &Node)> = monitors
        .iter()
        .filter_map(|(_, monitor)| {
            let shows = monitor.get("shows").and_then(Node::text).unwrap_or("health");
            Some((shows, monitor.get("every")?))
        })
        .collect();
    for (index, (shows, node)) in every.iter().enumerate() {
        let other = every
            .iter()
            .take(index)
            .find(|(other, before)| other == shows && before.text() != node.text());
        if let Some((_, before)) = other {
            let message = format!(
                "two schedules ask for {shows}: `{}` and `{}`",
                before.text().unwrap_or_default(),
                node.text().unwrap_or_default()
            );
            let mut finding = Diagnostic::new(codes::TWO_SCHEDULES, Severity::Warning, message);
            finding.help("keep the one that decides, and give the other another `shows:`");
            report.add(finding, Some(node.at));
        }
    }
}

/// A box is closed by something that exists, or by a person.
fn proofs(root: &Node, report: &mut Report<'_>) {
    let Some(Kind::Map(lists)) = root.get("checklist").map(|node| &node.kind) else { return };
    for (_, list) in lists {
        let Kind::List(boxes) = &list.kind else { continue };
        for item in boxes {
            let proof = item.get("proof").and_then(Node::text);
            let attested = item.get("attest").is_some();
            let message = match proof {
                Some(proof) if closes(root, proof) => continue,
                Some(proof) => format!("`{proof}` is no key of this file and no phase"),
                None if attested => continue,
                None => "nothing closes this box".to_owned(),
            };
            let mut finding = Diagnostic::new(codes::NO_PROOF, Severity::Warning, message);
            finding
                .help("write `proof:` with a key of this file or `phase:NAME`, or `attest: WHO`");
            report.add(finding, Some(item.at));
        }
    }
}

fn closes(root: &Node, proof: &str) -> bool {
    match proof.strip_prefix("phase:") {
        Some(phase) => crate::format::PHASES.contains(&phase),
        None => root.at_path(proof).is_some(),
    }
}

fn review(root: &Node, today: Date, report: &mut Report<'_>) {
    let Some(next) = root.at_path("review.next") else { return };
    let Some(date) = next.text().and_then(|text| text.parse::<Date>().ok()) else { return };
    if date < today {
        let message = format!("the review of this process was due on {date}");
        let mut finding = Diagnostic::new(codes::OVERDUE, Severity::Warning, message);
        finding.help("review it, then write the day of the next one");
        report.add(finding, Some(next.at));
    }
}
