//! Reads `approve` and `people`: who has to agree, and who they are.
//! Must never accept a rule that nobody can meet, nor leave out what was meant to be asked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use tidegate_core::approval::{
    Approve, EXPIRES, Early, Group, ITEMS_MAX, MEMBERS_MAX, NEED_MAX, Quorum, RULES_MAX,
};

use crate::check;
use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::{Field, Fields, shorten};
use crate::node::Kind;
use crate::read;
use crate::report::{Report, Span};

/// Product, security and engineering, each signed by somebody else, an owner of each touched path
/// among them.
const THREE_SIGNATURES: &str = "three-signatures";
/// The groups of that preset.
const SIGNATURES: [&str; 3] = ["product", "security", "engineering"];
/// Most groups of one file.
const GROUPS_MAX: usize = 64;
/// Longest name of a person, a group, or something to vouch for, in characters.
const WORDS_MAX: usize = 128;

/// Reads both keys; `None` when nobody has to agree.
pub(crate) fn approve(
    field: Option<Field<'_>>,
    people: Option<Field<'_>>,
    report: &mut Report<'_>,
) -> Option<Approve> {
    let people = people.map(|field| groups(&field, report)).unwrap_or_default();
    let field = field?;
    let mut approve = match &field.node.kind {
        Kind::Scalar { .. } => preset(&field, report)?,
        Kind::List(_) | Kind::Map(_) => policy(&field, report),
    };
    approve.people = people;
    for rule in &approve.rules {
        check_rule(&approve, rule, field.at(), report);
    }
    Some(approve)
}

fn preset(field: &Field<'_>, report: &mut Report<'_>) -> Option<Approve> {
    let text = read::text(field, report)?;
    if text == THREE_SIGNATURES {
        return Some(three_signatures());
    }
    let message =
        format!("`{}` is `{}`: the one preset is `{THREE_SIGNATURES}`", field.path, shorten(text));
    report
        .error(codes::BAD_CHOICE, field.at(), message)
        .help("or write your own: `approve: {rules: [{need: 2, from: [leads]}]}`");
    None
}

fn three_signatures() -> Approve {
    let rules = SIGNATURES.map(|group| Quorum {
        name: group.to_owned(),
        need: 1,
        from: vec![group.to_owned()],
        round: 1,
        touches: Vec::new(),
        applies: true,
        when: None,
        unless: None,
    });
    Approve { rules: rules.to_vec(), owners: true, ..Approve::anyone() }
}

fn policy(field: &Field<'_>, report: &mut Report<'_>) -> Approve {
    let mut fields = Fields::of(field, report);
    let preset_field = fields.get("preset");
    let base = preset_field.as_ref().and_then(|field| preset(field, report));
    let mut approve = base.unwrap_or_else(Approve::anyone);
    if let Some(rules_field) = fields.get("rules") {
        if preset_field.is_some() {
            report
                .error(codes::CONFLICT, rules_field.at(), "`preset` and `rules` exclude each other")
                .help("write either; a preset names its own rules");
        }
        approve.rules = rules(&rules_field, report);
    }
    approve.owners = read::flag(fields.get("owners"), approve.owners, report);
    let persons = [("one-rule", false), ("several-rules", true)];
    approve.shared = read::choice(fields.get("one_person_counts_for"), &persons, false, report);
    let early = [("refuse", Early::Refuse), ("queue", Early::Queue)];
    approve.early = read::choice(fields.get("early"), &early, Early::Refuse, report);
    let bounds = (SignedDuration::from_mins(1), SignedDuration::from_hours(14 * 24));
    approve.within = read::duration(fields.get("within"), EXPIRES, bounds, report);
    approve.expires = read::duration(fields.get("expires"), EXPIRES, bounds, report);
    if let Some(items) = fields.get("attest") {
        approve.attest = words(&items, ITEMS_MAX, report);
    }
    fields.finish(&["tell", "window"], report);
    approve
}

fn rules(field: &Field<'_>, report: &mut Report<'_>) -> Vec<Quorum> {
    let items = read::list(field, report).unwrap_or_default();
    if items.is_empty() || items.len() > RULES_MAX {
        let message = format!("`{}` has {} rules: 1 to {RULES_MAX}", field.path, items.len());
        report
            .error(codes::BAD_APPROVE, field.at(), message)
            .help("to ask nobody, remove `approve`");
    }
    let rules = items.iter().take(RULES_MAX).enumerate();
    rules.map(|(index, node)| rule(&read::item(&field.path, index, node), report)).collect()
}

fn rule(field: &Field<'_>, report: &mut Report<'_>) -> Quorum {
    let mut fields = Fields::of(field, report);
    let need = fields.need("need", "2", report);
    let need = read::number(need, 1, (1, NEED_MAX), report);
    let from = fields.get("from").map(|from| words(&from, GROUPS_MAX, report)).unwrap_or_default();
    let round = read::number(fields.get("round"), 1, (1, RULES_MAX as u32), report);
    let touches =
        fields.get("touches").map(|paths| words(&paths, GROUPS_MAX, report)).unwrap_or_default();
    // The author never counts; saying so is allowed, and changes nothing.
    read::choice(fields.get("not"), &[("author", ())], (), report);
    let name = fields.get("name").and_then(|name| word(&name, report));
    let name = name
        .unwrap_or_else(|| if from.is_empty() { "anybody".to_owned() } else { from.join(" or ") });
    let when = check::condition(fields.get("when"), report);
    let unless = check::condition(fields.get("unless"), report);
    fields.finish(&["owners", "final"], report);
    Quorum { name, need, from, round, touches, applies: true, when, unless }
}

/// Ways to reach a group; this version reaches nobody.
const REACHED: [&str; 5] = ["oncall", "email", "phone", "hours", "tell"];

/// `people: {security: {members: [mira, kofi]}}`.
fn groups(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, Group> {
    let mut groups = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        Fields::of(field, report);
        return groups;
    };
    if entries.len() > GROUPS_MAX {
        let message =
            format!("`{}` has {} groups: at most {GROUPS_MAX}", field.path, entries.len());
        report.error(codes::TOO_COMPLEX, field.at(), message);
    }
    for (key, node) in entries.iter().take(GROUPS_MAX) {
        if key.text.starts_with("x-") {
            continue;
        }
        let inner = Field { path: format!("{}.{}", field.path, shorten(&key.text)), node };
        let mut fields = Fields::of(&inner, report);
        let members = fields.get("members").map(|list| words(&list, MEMBERS_MAX, report));
        let directory = fields.get("group").and_then(|group| word(&group, report));
        let handles = fields.get("handles").map(|list| words(&list, GROUPS_MAX, report));
        let reached = REACHED.iter().any(|key| fields.peek(key).is_some());
        fields.finish(&REACHED, report);
        if members.is_none() && directory.is_none() {
            // How to reach a group says nothing of who is in it: the server's own is meant.
            if reached {
                continue;
            }
            report
                .error(codes::MISSING_KEY, inner.at(), format!("`{}` names nobody", inner.path))
                .help("write `members: [mira, kofi]`, or `group:` with a group of the server");
        }
        let set = |list: Option<Vec<String>>| list.unwrap_or_default().into_iter().collect();
        let group = Group { members: set(members), directory, handles: set(handles) };
        groups.insert(key.text.clone(), group);
    }
    groups
}

/// A rule that needs more people than its groups have would wait for ever.
fn check_rule(approve: &Approve, rule: &Quorum, at: Span, report: &mut Report<'_>) {
    let mut people: BTreeSet<&str> = BTreeSet::new();
    let mut open = rule.from.is_empty();
    for name in &rule.from {
        match approve.people.get(name) {
            Some(group) => {
                people.extend(group.members.iter().map(String::as_str));
                open |= group.directory.is_some();
            }
            None => {
                open = true;
                let message =
                    format!("`{name}` is not under `people`: the server's own group is meant");
                let mut note = Diagnostic::new(codes::SERVER_GROUP, Severity::Note, message);
                note.help(format!("or write `people: {{{name}: {{members: [...]}}}}`"));
                report.add(note, Some(at));
            }
        }
    }
    if !open && people.len() < usize::try_from(rule.need).unwrap_or(usize::MAX) {
        let message = format!(
            "the rule for {} needs {} people, and its groups have {}",
            rule.name,
            rule.need,
            people.len()
        );
        report
            .error(codes::BAD_APPROVE, at, message)
            .help("whoever writes the change or starts it counts for nothing: have some to spare");
    }
}

fn words(field: &Field<'_>, most: usize, report: &mut Report<'_>) -> Vec<String> {
    let items = read::list(field, report).unwrap_or_default();
    if items.len() > most {
        let message = format!("`{}` has {} entries: at most {most}", field.path, items.len());
        report.error(codes::TOO_COMPLEX, field.at(), message);
    }
    let items = items.iter().take(most).enumerate();
    items.filter_map(|(index, node)| word(&read::item(&field.path, index, node), report)).collect()
}

fn word(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?.trim();
    let fits = !text.is_empty()
        && text.chars().count() <= WORDS_MAX
        && !text.chars().any(char::is_control);
    if !fits {
        let message = format!(
            "`{}` is `{}`: 1 to {WORDS_MAX} printable characters",
            field.path,
            shorten(text)
        );
        report.error(codes::BAD_NAME, field.at(), message);
        return None;
    }
    Some(text.to_owned())
}
