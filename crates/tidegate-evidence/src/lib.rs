//! Bytes in, facts out: one file a report format.
//! Must never read a file, ask a clock or turn a report that says nothing into a pass: what is
//! empty, cut off or unreadable is an [`Error`], and an error is no data.
//!
//! Reports are streamed: a report of [`REPORT_BYTES_MAX`] needs little more memory than its largest
//! single text and the names that its facts keep.

use std::io::{BufReader, Read};

use tidegate_core::fact::{Fact, Format};

mod axe;
mod cargo_audit;
pub mod changelog;
mod cobertura;
pub mod conventional;
mod cyclonedx;
mod detect;
mod guard;
mod jacoco;
mod jest;
mod jmeter;
mod json;
mod junit;
mod k6;
mod lcov;
mod licence;
pub mod lockfile;
mod mocha;
mod npm_audit;
mod pa11y;
mod paths;
mod pytest;
mod sarif;
mod spdx;
mod tap;
mod terraform;
mod trivy;
mod xml;

pub use detect::detect;
pub use guard::{REPORT_BYTES_MAX, TEXT_BYTES_MAX};
pub use licence::Licences;
pub use paths::{fill_critical, pattern};

/// Why a report is no evidence, neither good nor bad.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// It is larger than [`REPORT_BYTES_MAX`].
    #[error("it is larger than {REPORT_BYTES_MAX} bytes")]
    TooLarge,
    /// One text in it is longer than [`TEXT_BYTES_MAX`].
    #[error("one text in it is longer than {TEXT_BYTES_MAX} bytes")]
    TextTooLong,
    /// It is nested deeper than any real one.
    #[error("it is nested deeper than any real report")]
    TooDeep,
    /// It holds more of something than is kept.
    #[error("it holds more than {most} {what}")]
    TooMany {
        /// Most of them.
        most: usize,
        /// Of what.
        what: &'static str,
    },
    /// It is empty, cut off, or of another format.
    #[error("it cannot be read: {0}")]
    Broken(String),
    /// It announces more than it holds.
    #[error("it announces {announced} {what} and holds {held}")]
    Incomplete {
        /// Of what.
        what: &'static str,
        /// By its totals.
        announced: u64,
        /// By its entries.
        held: u64,
    },
    /// The tool itself says that it did not finish.
    #[error("the tool says that it did not finish: {0}")]
    Unfinished(String),
}

fn broken(why: impl Into<String>) -> Error {
    Error::Broken(why.into())
}

/// Reads a report.
///
/// Licences of components are held against `licences`. Files that a gate calls critical are not
/// looked at here, see [`fill_critical`].
///
/// # Errors
/// [`Error`]: the report is no evidence then, neither good nor bad. [`Format::Document`] and
/// [`Format::Provenance`] are not read here: the one says nothing, the other needs roots of trust.
pub fn read(format: Format, from: impl Read, licences: &Licences) -> Result<Fact, Error> {
    let mut from = BufReader::new(guard::Guarded::new(from));
    let result = match format {
        Format::Junit => junit::read(&mut from).map(Fact::Tests),
        Format::Tap => tap::read(&mut from).map(Fact::Tests),
        Format::Jest => jest::read(&mut from).map(Fact::Tests),
        Format::Mocha => mocha::read(&mut from).map(Fact::Tests),
        Format::Pytest => pytest::read(&mut from).map(Fact::Tests),
        Format::Sarif => sarif::read(&mut from).map(Fact::Findings),
        Format::Trivy => trivy::read(&mut from).map(Fact::Findings),
        Format::NpmAudit => npm_audit::read(&mut from).map(Fact::Findings),
        Format::CargoAudit => cargo_audit::read(&mut from).map(Fact::Findings),
        Format::Axe => axe::read(&mut from).map(Fact::Findings),
        Format::Pa11y => pa11y::read(&mut from).map(Fact::Findings),
        Format::Cyclonedx => cyclonedx::read(&mut from, licences).map(Fact::Components),
        Format::Spdx => spdx::read(&mut from, licences).map(Fact::Components),
        Format::Lcov => lcov::read(&mut from).map(Fact::Coverage),
        Format::Cobertura => cobertura::read(&mut from).map(Fact::Coverage),
        Format::Jacoco => jacoco::read(&mut from).map(Fact::Coverage),
        Format::K6 => k6::read(&mut from).map(Fact::Timings),
        Format::Jmeter => jmeter::read(&mut from).map(Fact::Timings),
        Format::Terraform => terraform::read(&mut from).map(Fact::Infrastructure),
        Format::Provenance | Format::Document => {
            Err(broken(format!("a {} has no facts of its own", format.word())))
        }
    };
    // What the guard refused reaches the reader as an error of input; its own word is the better.
    match (result, from.get_ref().refused()) {
        (Err(_), Some(refused)) => Err(refused.clone()),
        (result, _) => result,
    }
}

/// What a fact says, in one line for people.
#[must_use]
pub fn summary(fact: &Fact) -> String {
    match fact {
        Fact::Tests(tests) => tests.summary(),
        Fact::Coverage(coverage) => match coverage.lines.percent() {
            Some(percent) => format!("{percent:.2} % of {} lines", coverage.lines.whole),
            None => "no lines".to_owned(),
        },
        Fact::Findings(found) => {
            let scanned = found.scanned.map_or_else(|| "?".to_owned(), |count| count.to_string());
            format!("{}: {} findings in {scanned} scanned", found.tool, found.found.len())
        }
        Fact::Components(components) => format!("{} components", components.count),
        Fact::Timings(timings) => {
            let values = timings.ms.iter().map(|(name, value)| format!("{name} {value:.1} ms"));
            let values: Vec<String> = values.collect();
            format!("{} requests, {}", timings.requests, values.join(", "))
        }
        Fact::Infrastructure(plan) => format!(
            "{} to create, {} to update, {} to replace, {} to delete",
            plan.create,
            plan.update,
            plan.replace.len(),
            plan.delete.len()
        ),
        Fact::Provenance(provenance) => {
            format!("built by {}, signed by {}", provenance.builder, provenance.signer)
        }
        Fact::Document(document) => document.name.clone(),
        Fact::Tag(_)
        | Fact::Commits(_)
        | Fact::Branches(_)
        | Fact::Files(_)
        | Fact::Changelog(_)
        | Fact::Reviews(_)
        | Fact::Ci(_)
        | Fact::Soak(_) => String::new(),
    }
}
