//! Findings as SARIF 2.1.0, for code scanning and editors.
//! Must never drop a finding, accepted ones included: those carry a suppression with the reason.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};

/// The schema of the format (OASIS, SARIF 2.1.0, errata 01).
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The findings of one file as one run.
#[must_use]
pub fn sarif(findings: &[Diagnostic], version: &str) -> Value {
    let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| json!({"id": code, "help": {"text": format!("tidegate explain {code}")}}))
        .collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "tidegate", "version": version, "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Diagnostic) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let text = match &finding.help {
        Some(help) => format!("{}\n{help}", finding.message),
        None => finding.message.clone(),
    };
    let mut result = json!({
        "ruleId": finding.code,
        "level": level,
        "message": {"text": text},
    });
    if let Some(place) = &finding.place {
        result["locations"] = json!([{
            "physicalLocation": {
                "artifactLocation": {"uri": place.file},
                "region": {
                    "startLine": place.line,
                    "startColumn": place.column,
                    "endColumn": place.column.saturating_add(place.length),
                },
            },
        }]);
    }
    if let Some(reason) = &finding.accepted {
        result["suppressions"] = json!([{"kind": "inSource", "justification": reason}]);
    }
    result
}
