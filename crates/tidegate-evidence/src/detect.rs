//! Which format a report is of, by its beginning and its name.
//! Must never guess between two: what is not clear is asked.

use tidegate_core::fact::Format;

/// Bytes of the beginning that are looked at.
const HEAD_BYTES: usize = 64 * 1024;

/// The format, when the beginning leaves no doubt.
#[must_use]
pub fn detect(name: &str, bytes: &[u8]) -> Option<Format> {
    let head = bytes.get(..bytes.len().min(HEAD_BYTES)).unwrap_or(bytes);
    let head = String::from_utf8_lossy(head);
    let text = head.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        return of_xml(text);
    }
    if text.starts_with(['{', '[']) {
        return of_json(text, name);
    }
    if text.starts_with("TN:") || text.starts_with("SF:") {
        return Some(Format::Lcov);
    }
    if text.starts_with("TAP version") || text.starts_with("1..") {
        return Some(Format::Tap);
    }
    let header = text.lines().next().unwrap_or_default();
    let columns: Vec<&str> = header.split(',').collect();
    (columns.contains(&"elapsed") && columns.contains(&"success")).then_some(Format::Jmeter)
}

fn of_xml(text: &str) -> Option<Format> {
    let roots = [
        ("<testsuite", Format::Junit),
        ("<coverage ", Format::Cobertura),
        ("<report ", Format::Jacoco),
        ("<testResults", Format::Jmeter),
    ];
    let mut found = roots.into_iter().filter(|(root, _)| text.contains(root));
    match (found.next(), found.next()) {
        (Some((_, format)), None) => Some(format),
        _ => None,
    }
}

fn of_json(text: &str, name: &str) -> Option<Format> {
    let has = |key: &str| text.contains(&format!("\"{key}\""));
    let signs: [(bool, Format); 13] = [
        (has("numTotalTests"), Format::Jest),
        (has("stats") && has("passes") && has("failures"), Format::Mocha),
        (has("exitcode") && has("collectors"), Format::Pytest),
        (has("runs") && (text.contains("sarif") || name.ends_with(".sarif")), Format::Sarif),
        (has("SchemaVersion") && has("ArtifactName"), Format::Trivy),
        (has("auditReportVersion"), Format::NpmAudit),
        (has("lockfile") && has("dependency-count"), Format::CargoAudit),
        (has("bomFormat"), Format::Cyclonedx),
        (has("spdxVersion"), Format::Spdx),
        (has("metrics") && has("http_req_duration"), Format::K6),
        (has("testEngine") && text.contains("axe"), Format::Axe),
        (has("format_version") && has("terraform_version"), Format::Terraform),
        (has("dsseEnvelope") && has("verificationMaterial"), Format::Provenance),
    ];
    let mut found = signs.into_iter().filter(|(sign, _)| *sign);
    match (found.next(), found.next()) {
        (Some((_, format)), None) => Some(format),
        _ => None,
    }
}
