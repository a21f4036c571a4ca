//! What a report says, typed: the facts that gates weigh. Readers of report formats make them;
//! nothing here knows a format's layout. A fact never says more than was read: what a report
//! leaves out is absent, never zero.

use serde::{Deserialize, Serialize};

mod report;
mod repository;
mod review;
mod scan;

pub use report::{
    Components, Coverage, Document, Infrastructure, Provenance, Ratio, Tests, Timings,
};
pub use repository::{Branches, Changelog, Commits, Course, Files, Signed, Soak, Tag};
pub use review::{CheckRun, Ci, Owners, Reviews};
pub use scan::{Finding, Findings, Severity};

/// Most things of one kind that a fact names (failing tests, findings, components); the counts
/// beside them are of all.
pub const NAMED_MAX: usize = 20;

/// A report format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JUnit's XML, as most test runners write it.
    Junit,
    /// Test Anything Protocol, 12 to 14.
    Tap,
    /// `jest --json`.
    Jest,
    /// The JSON reporter of Mocha, and of Cypress, which brings Mocha.
    Mocha,
    /// pytest-json-report.
    Pytest,
    /// SARIF 2.1.0, as semgrep, gitleaks, Trivy and CodeQL write it.
    Sarif,
    /// `trivy --format json`.
    Trivy,
    /// `npm audit --json`.
    NpmAudit,
    /// `cargo audit --json`.
    CargoAudit,
    /// CycloneDX JSON.
    Cyclonedx,
    /// SPDX 2.2 and 2.3 JSON.
    Spdx,
    /// LCOV's trace file.
    Lcov,
    /// Cobertura's XML.
    Cobertura,
    /// JaCoCo's XML.
    Jacoco,
    /// k6's end-of-test summary, JSON.
    K6,
    /// JMeter's result lines, CSV or XML.
    Jmeter,
    /// axe-core's results.
    Axe,
    /// pa11y's JSON reporter.
    Pa11y,
    /// `terraform show -json PLAN`, `tofu show -json PLAN`.
    Terraform,
    /// A Sigstore bundle around an in-toto statement with SLSA provenance.
    Provenance,
    /// Any document: that it exists, unchanged, from whom and since when, is what is known of it.
    Document,
}

impl Format {
    /// Every format, in the order in which lists show them.
    pub const ALL: [Self; 21] = [
        Self::Junit,
        Self::Tap,
        Self::Jest,
        Self::Mocha,
        Self::Pytest,
        Self::Sarif,
        Self::Trivy,
        Self::NpmAudit,
        Self::CargoAudit,
        Self::Cyclonedx,
        Self::Spdx,
        Self::Lcov,
        Self::Cobertura,
        Self::Jacoco,
        Self::K6,
        Self::Jmeter,
        Self::Axe,
        Self::Pa11y,
        Self::Terraform,
        Self::Provenance,
        Self::Document,
    ];

    /// The word in configuration and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Tap => "tap",
            Self::Jest => "jest",
            Self::Mocha => "mocha",
            Self::Pytest => "pytest",
            Self::Sarif => "sarif",
            Self::Trivy => "trivy",
            Self::NpmAudit => "npm_audit",
            Self::CargoAudit => "cargo_audit",
            Self::Cyclonedx => "cyclonedx",
            Self::Spdx => "spdx",
            Self::Lcov => "lcov",
            Self::Cobertura => "cobertura",
            Self::Jacoco => "jacoco",
            Self::K6 => "k6",
            Self::Jmeter => "jmeter",
            Self::Axe => "axe",
            Self::Pa11y => "pa11y",
            Self::Terraform => "terraform",
            Self::Provenance => "provenance",
            Self::Document => "document",
        }
    }

    /// The format of that word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }

    /// What its reports are about.
    #[must_use]
    pub fn subject(self) -> Subject {
        match self {
            Self::Junit | Self::Tap | Self::Jest | Self::Mocha | Self::Pytest => Subject::Tests,
            Self::Sarif | Self::Trivy | Self::NpmAudit | Self::CargoAudit => Subject::Findings,
            Self::Axe | Self::Pa11y => Subject::Findings,
            Self::Cyclonedx | Self::Spdx => Subject::Components,
            Self::Lcov | Self::Cobertura | Self::Jacoco => Subject::Coverage,
            Self::K6 | Self::Jmeter => Subject::Timings,
            Self::Terraform => Subject::Infrastructure,
            Self::Provenance => Subject::Provenance,
            Self::Document => Subject::Document,
        }
    }
}

/// What a report is about: a gate's rules must be of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Tests that ran.
    Tests,
    /// Lines that tests reached.
    Coverage,
    /// Things that a scanner found.
    Findings,
    /// What the release is made of.
    Components,
    /// How long requests took.
    Timings,
    /// Changes of infrastructure.
    Infrastructure,
    /// Who built it, from what.
    Provenance,
    /// Anything.
    Document,
}

/// What one report says.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Tests that ran.
    Tests(Tests),
    /// Lines that tests reached.
    Coverage(Coverage),
    /// Things that a scanner found.
    Findings(Findings),
    /// What the release is made of.
    Components(Components),
    /// How long requests took.
    Timings(Timings),
    /// Changes of infrastructure.
    Infrastructure(Infrastructure),
    /// Who built it, from what.
    Provenance(Provenance),
    /// A document that was deposited.
    Document(Document),
    /// The tag of the release.
    Tag(Tag),
    /// Commits since the live release.
    Commits(Commits),
    /// The way of the commit through the branches.
    Branches(Branches),
    /// Whether files stand in the commit.
    Files(Files),
    /// The changelog's section for the version.
    Changelog(Changelog),
    /// How the release was reviewed.
    Reviews(Reviews),
    /// How its checks stand.
    Ci(Ci),
    /// How long the release was live elsewhere.
    Soak(Soak),
}
