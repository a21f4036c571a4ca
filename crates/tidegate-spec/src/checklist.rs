//! Reads `checklist`: the boxes of a runbook, each with the proof that closes it.
//! Must never bind a box to something that this version does not carry out: such a box is open
//! until somebody vouches for it.

use tidegate_core::checklist::{BOXES_MAX, Item, Proof, WORDS_CHARS_MAX};
use tidegate_core::plan::Moment;

use crate::codes;
use crate::fields::{Field, Fields};
use crate::format::PHASES;
use crate::node::Kind;
use crate::read;
use crate::report::Report;

/// Keys of the file and the phase in which what they say is carried out, longest first.
const PHASE_OF: [(&str, &str); 13] = [
    ("traffic.rollback_if", "rollback"),
    ("deploy.probes", "health"),
    ("deploy.smoke", "smoke"),
    ("before.backup", "backup"),
    ("after.watch", "bake"),
    ("approve", "approvals"),
    ("people", "approvals"),
    ("backup", "backup"),
    ("window", "deploy"),
    ("build", "plan"),
    ("traffic", "traffic"),
    ("deploy", "deploy"),
    ("metrics", "bake"),
];

/// The phase in which steps of a moment are carried out.
pub(crate) fn phase_of_moment(moment: Moment) -> &'static str {
    match moment {
        Moment::Plan => "plan",
        Moment::BeforeDeploy | Moment::AfterDeploy => "deploy",
        Moment::BeforeTraffic => "smoke",
        Moment::Bake => "bake",
        Moment::Finish => "finish",
        Moment::Rollback => "rollback",
    }
}

/// Reads `checklist`.
pub(crate) fn checklist(field: Option<Field<'_>>, report: &mut Report<'_>) -> Vec<Item> {
    let Some(field) = field else { return Vec::new() };
    let Kind::Map(lists) = &field.node.kind else {
        crate::fields::wrong_kind(&field, "a map of lists by name", report);
        return Vec::new();
    };
    let mut items: Vec<Item> = Vec::new();
    for (key, node) in lists.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
        let path = format!("{}.{}", field.path, crate::fields::shorten(&key.text));
        let valid = tidegate_core::ids::valid_name(&key.text) && !key.text.contains('.');
        if !valid {
            let message = format!("`{path}` is no name of a list");
            report.error(codes::BAD_NAME, key.at, message).help("use a-z, 0-9, `-` and `_`");
            continue;
        }
        let list = Field { path, node };
        for (index, node) in read::list(&list, report).unwrap_or_default().iter().enumerate() {
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let one = read::item(&list.path, index, node);
            items.extend(item(&key.text, number, &one, report));
        }
    }
    if items.len() > BOXES_MAX {
        let message = format!("`{}` has more than {BOXES_MAX} boxes", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message).help("split the process in two");
    }
    items
}

fn item(list: &str, number: u32, field: &Field<'_>, report: &mut Report<'_>) -> Option<Item> {
    let mut fields = Fields::of(field, report);
    let words = fields.need("box", "All tests pass", report);
    let words = words.and_then(|field| read::text(&field, report))?.trim();
    if words.is_empty() || words.chars().count() > WORDS_CHARS_MAX {
        let message = format!("`{}` has no words, or more than {WORDS_CHARS_MAX}", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message).help("write what is to be shown");
    }
    let line = fields.get("line").and_then(|field| read::text(&field, report)?.parse().ok());
    let proof = fields.get("proof").and_then(|field| read::text(&field, report));
    let by = fields.get("attest").and_then(|field| read::text(&field, report));
    let mandatory = read::flag(fields.get("mandatory"), false, report);
    fields.finish(&[], report);
    Some(Item {
        list: list.to_owned(),
        number,
        words: words.to_owned(),
        line,
        proof: bound(proof, by),
        mandatory,
    })
}

/// What closes a box: a gate, a phase, a step, or somebody's word.
fn bound(proof: Option<&str>, by: Option<&str>) -> Proof {
    let under = |proof: &str, key: &str| {
        proof.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let Some(proof) = proof else {
        return Proof::Vouched { by: by.unwrap_or("somebody").to_owned() };
    };
    if let Some(word) = proof.strip_prefix("phase:").filter(|word| PHASES.contains(word)) {
        return Proof::Phase { word: word.to_owned() };
    }
    if let Some(name) = proof.strip_prefix("check.") {
        let name = name.split(['.', '[']).next().unwrap_or(name);
        return Proof::Gate { name: name.to_owned() };
    }
    if let Some(name) = proof.strip_prefix("steps.") {
        let name = name.split(['.', '[']).next().unwrap_or(name);
        return Proof::Step { name: name.to_owned() };
    }
    match PHASE_OF.iter().find(|(key, _)| under(proof, key)) {
        Some((_, word)) => Proof::Phase { word: (*word).to_owned() },
        None => Proof::Declared { key: proof.to_owned() },
    }
}
