//! `accept`: findings that a team knows and lives with, each with its reason.
//! Must never accept an error, nor hide a finding: an accepted one is still shown, as a note.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::shorten;
use crate::node::{Kind, Node};
use crate::report::Report;

/// Marks what the file accepts.
pub(crate) fn accept(root: &Node, report: &mut Report<'_>) {
    let Some(Kind::Map(entries)) = root.get("accept").map(|node| &node.kind) else { return };
    for (key, node) in entries {
        let reason = node.text().map(str::trim).unwrap_or_default();
        if reason.is_empty() {
            report
                .error(
                    codes::MISSING_KEY,
                    key.at,
                    format!("`accept.{}` gives no reason", shorten(&key.text)),
                )
                .help("write why you live with it: somebody will ask");
            continue;
        }
        if !report.accept(&key.text, reason) {
            let message = format!("`accept.{}` accepts what is not found", shorten(&key.text));
            let mut finding = Diagnostic::new(codes::ACCEPTED_ABSENT, Severity::Note, message);
            finding.help("remove it, so that it does not hide the next one");
            report.add(finding, Some(key.at));
        }
    }
}
