//! Steps of a deployment that run once: smoke suites and commands.
//! Must never count a missing or old result.

pub(crate) mod command;
pub(crate) mod suite;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::CheckReport;

/// What every smoke suite is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite<'a> {
    /// The artifact that brings it.
    pub(crate) artifact: &'a Path,
    /// `address:port` of the instance it asks.
    pub(crate) endpoint: &'a str,
    /// All of it must end within this.
    pub(crate) timeout: Duration,
    /// Where its output goes.
    pub(crate) log: &'a Path,
    /// A directory of its own, not there yet.
    pub(crate) scratch: &'a Path,
    /// The variables declared for the part.
    pub(crate) env: &'a BTreeMap<String, String>,
}

fn report(outcome: Outcome, summary: impl Into<String>) -> CheckReport {
    // What failed on an unchanged candidate is not asked again until it passes.
    CheckReport { outcome, summary: summary.into(), retryable: false }
}
