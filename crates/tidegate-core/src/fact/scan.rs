//! What scanners find. Must never let a finding without a severity pass for a mild one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worst; also what states no severity, because nobody has said that it is less.
    Critical,
    /// Serious.
    High,
    /// Moderate.
    Medium,
    /// Minor.
    Low,
    /// For information.
    Info,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// The word in configuration and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }

    /// The severity that tools call so; what none of them calls anything is critical.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "high" | "serious" | "error" => Self::High,
            "medium" | "moderate" | "warning" => Self::Medium,
            "low" | "minor" => Self::Low,
            "info" | "informational" | "note" | "notice" | "negligible" | "none" => Self::Info,
            _ => Self::Critical,
        }
    }

    /// By CVSS 3.1 base score: none 0, low to 3.9, medium to 6.9, high to 8.9, critical above.
    #[must_use]
    pub fn of_score(score: f64) -> Self {
        if !score.is_finite() || score >= 9.0 {
            Self::Critical
        } else if score >= 7.0 {
            Self::High
        } else if score >= 4.0 {
            Self::Medium
        } else if score > 0.0 {
            Self::Low
        } else {
            Self::Info
        }
    }
}

/// One thing that a scanner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule or advisory, `CVE-2026-1234`.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// In what: a package with its version, or a file with its line.
    pub place: String,
    /// The version that mends it, where the report names one.
    pub fix: Option<String>,
}

/// Things that a scanner found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Name of the scanner, with its version where the report has it.
    pub tool: String,
    /// How many packages, files, rules or checks it looked at; `None` when the report is silent.
    pub scanned: Option<u64>,
    /// When the scanner's own knowledge was made, where the report says so.
    pub knowledge_of: Option<Timestamp>,
    /// What was found, at most [`Findings::MAX`]; findings that the report itself calls
    /// suppressed, withdrawn or not affected are not in it.
    pub found: Vec<Finding>,
    /// Findings that were left out because the report suppresses them.
    pub suppressed: u64,
}

impl Findings {
    /// Most findings of one report: past it the report is refused, not cut.
    pub const MAX: usize = 100_000;

    /// Adds another report of the same gate. What one of them does not say, both do not say.
    pub fn add(&mut self, other: Self) {
        if !self.tool.is_empty() && self.tool != other.tool {
            self.tool.push_str(", ");
            self.tool.push_str(&other.tool);
        }
        self.scanned = match (self.scanned, other.scanned) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            _ => None,
        };
        self.knowledge_of = match (self.knowledge_of, other.knowledge_of) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.suppressed = self.suppressed.saturating_add(other.suppressed);
        self.found.extend(other.found);
    }
}
