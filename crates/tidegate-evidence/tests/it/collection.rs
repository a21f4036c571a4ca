//! The reports, with the format of each. Must never change a byte of one.

use tidegate_core::fact::{Fact, Format};
use tidegate_evidence::{Error, Licences, read};

/// A report of the collection.
pub(crate) fn report(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn fact(format: Format, name: &str) -> Result<Fact, Error> {
    read(format, &report(name)[..], &Licences::default())
}

/// Every report of the collection with its format.
pub(crate) const ALL: [(Format, &str); 34] = [
    (Format::Junit, "pytest.junit.xml"),
    (Format::Junit, "jest.junit.xml"),
    (Format::Junit, "node.junit.xml"),
    (Format::Junit, "pytest-empty.junit.xml"),
    (Format::Tap, "node.tap"),
    (Format::Jest, "jest.json"),
    (Format::Jest, "jest-empty.json"),
    (Format::Mocha, "mocha.json"),
    (Format::Mocha, "cypress.modelled.json"),
    (Format::Pytest, "pytest.json"),
    (Format::Pytest, "pytest-empty.json"),
    (Format::Sarif, "semgrep.sarif"),
    (Format::Sarif, "gitleaks.sarif"),
    (Format::Sarif, "trivy.sarif"),
    (Format::Trivy, "trivy-secret.json"),
    (Format::Trivy, "trivy-nothing.json"),
    (Format::Trivy, "trivy-vulnerabilities.modelled.json"),
    (Format::NpmAudit, "npm-audit.modelled.json"),
    (Format::CargoAudit, "cargo-audit.modelled.json"),
    (Format::Cyclonedx, "cyclonedx-npm.json"),
    (Format::Cyclonedx, "trivy.cdx.json"),
    (Format::Spdx, "trivy.spdx.json"),
    (Format::Lcov, "jest.lcov"),
    (Format::Lcov, "pytest.lcov"),
    (Format::Cobertura, "jest.cobertura.xml"),
    (Format::Cobertura, "pytest.cobertura.xml"),
    (Format::Jacoco, "jacoco.modelled.xml"),
    (Format::K6, "k6.json"),
    (Format::K6, "k6-handle-summary.json"),
    (Format::Jmeter, "jmeter.modelled.csv"),
    (Format::Jmeter, "jmeter.modelled.xml"),
    (Format::Axe, "axe.json"),
    (Format::Axe, "axe-clean.json"),
    (Format::Terraform, "terraform-plan.json"),
];
