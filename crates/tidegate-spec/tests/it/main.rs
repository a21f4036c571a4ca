//! Tests of the configuration file through its public door: text in, plan or findings out.
//! Must never look at how a file is read, only at what comes of it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says why and stops"
)]

mod canonical;
mod check;
mod exports;
mod fuzz;
mod golden;
mod happy;
mod hostile;
mod init;
mod judged;
mod lints;
#[path = "../../../tidegate-evidence/tests/it/mutated.rs"]
mod mutated;
mod processes;
mod reference;
mod run_flags;
mod runbooks;
mod steps;
mod tools;

use tidegate_core::plan::{Plan, Release};
use tidegate_spec::{Diagnostics, Parsed, parse};

/// A release that exists nowhere.
fn release() -> Release {
    Release {
        version: "v2.1.0".to_owned(),
        repository: "/srv/shop.git".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
    }
}

/// Reads a file that is called `tidegate.yaml`.
fn read(source: &str) -> Result<Parsed, Diagnostics> {
    parse(source, "tidegate.yaml", release(), None)
}

/// The plan of a file that must be accepted.
fn plan(source: &str) -> Plan {
    read(source).unwrap_or_else(|findings| panic!("refused:\n{findings}")).plan
}
