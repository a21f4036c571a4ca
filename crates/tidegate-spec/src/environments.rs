//! `environments`: where a service runs, one after the other, with the same artifact.
//! Must never let an environment stand behind itself.

use crate::codes;
use crate::fields::{Field, shorten};
use crate::node::{Kind, Node};
use crate::report::Report;
use crate::words;

/// Checks that the order is one, and says what of it is not carried out here.
pub(crate) fn order(field: &Field<'_>, chosen: &str, report: &mut Report<'_>) {
    let Kind::Map(entries) = &field.node.kind else { return };
    let names: Vec<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
    for (key, entry) in entries {
        let Some(after) = entry.get("after") else { continue };
        let Some(before) = after.text() else { continue };
        if !names.contains(&before) {
            let message = format!(
                "`{}.{}.after` is `{}`, which is not an environment of this service",
                field.path,
                shorten(&key.text),
                shorten(before)
            );
            let finding = report.error(codes::UNDECLARED, after.at, message);
            match words::nearest(before, names.iter().copied()) {
                Some(meant) => finding.help(format!("did you mean `{meant}`?")),
                None => finding.help(format!("environments are {}", words::list(&names))),
            }
        } else if circles(field.node, &key.text) {
            let message = format!("`{}` comes after itself", shorten(&key.text));
            report
                .error(codes::INCLUDE_CYCLE, after.at, message)
                .help("one environment is the first: remove its `after`");
        }
    }
    let Some((_, entry)) = entries.iter().find(|(key, _)| key.text == chosen) else { return };
    for key in ["after", "soak", "branch"] {
        let Some(node) = entry.get(key) else { continue };
        let path = format!("{}.{chosen}.{key}", field.path);
        report.unserved(
            &path,
            node.at,
            format!("`{path}` is not served by this version"),
            "the release would go here without having been there: remove the key, and look \
             yourself",
        );
    }
}

/// Whether following `after` from an environment comes back to it.
fn circles(all: &Node, from: &str) -> bool {
    let mut here = from;
    let Kind::Map(entries) = &all.kind else { return false };
    for _ in 0..entries.len() {
        let Some(next) = all.get(here).and_then(|entry| entry.get("after")).and_then(Node::text)
        else {
            return false;
        };
        if next == from {
            return true;
        }
        here = next;
    }
    false
}
