//! JaCoCo's XML. Must never add a method's counters to those of its file.

use std::io::BufRead;

use quick_xml::events::BytesStart;
use tidegate_core::fact::{Coverage, Ratio};

use crate::paths::FILES_MAX;
use crate::xml::{self, Elements, attribute, count};
use crate::{Error, broken};

#[derive(Default)]
struct Reading {
    coverage: Coverage,
    branches: Ratio,
    package: String,
    file: String,
    // Of the whole report, where it has them.
    announced: Option<Ratio>,
}

impl Reading {
    fn counter(&mut self, around: &str, element: &BytesStart<'_>) -> Result<(), Error> {
        let number = |key| count(element, key)?.ok_or_else(|| broken("a counter has no numbers"));
        let (missed, covered): (u64, u64) = (number("missed")?, number("covered")?);
        let ratio = Ratio { part: covered, whole: missed.saturating_add(covered) };
        match (around, attribute(element, "type")?.as_deref()) {
            ("report", Some("LINE")) => self.announced = Some(ratio),
            ("sourcefile", Some("LINE")) => {
                if self.coverage.files.len() >= FILES_MAX {
                    return Err(Error::TooMany { most: FILES_MAX, what: "files" });
                }
                self.coverage.lines.add(ratio);
                self.coverage.files.entry(self.file.clone()).or_default().add(ratio);
            }
            ("sourcefile", Some("BRANCH")) => self.branches.add(ratio),
            _ => {}
        }
        Ok(())
    }
}

impl Elements for Reading {
    fn open(&mut self, open: &[String], name: &str, element: &BytesStart<'_>) -> Result<(), Error> {
        let named = || Ok(attribute(element, "name")?.unwrap_or_default());
        match name {
            "package" => self.package = named()?,
            "sourcefile" => {
                let file = named()?;
                self.file = format!("{}/{file}", self.package).trim_start_matches('/').to_owned();
            }
            "counter" => {
                let around = open.last().map(String::as_str).unwrap_or_default();
                self.counter(around, element)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, _open: &[String], _name: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off, or holds fewer lines than it announces.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Coverage, Error> {
    let mut reading = Reading::default();
    xml::read(from, &["report"], true, &mut reading)?;
    let held = reading.coverage.lines.whole;
    if let Some(announced) = reading.announced.map(|r| r.whole).filter(|whole| *whole > held) {
        return Err(Error::Incomplete { what: "lines", announced, held });
    }
    reading.coverage.branches = (reading.branches.whole > 0).then_some(reading.branches);
    Ok(reading.coverage)
}
