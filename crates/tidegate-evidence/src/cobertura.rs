//! Cobertura's XML, as coverage.py, Jest, Istanbul and gcovr write it.
//! Must never take the totals of the root for what the lines say.

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
    // The class that is open, and its lines.
    file: String,
    lines: Ratio,
    announced: Option<u64>,
}

impl Elements for Reading {
    fn open(&mut self, open: &[String], name: &str, element: &BytesStart<'_>) -> Result<(), Error> {
        match name {
            "coverage" => self.announced = count(element, "lines-valid")?,
            "class" => {
                self.file = attribute(element, "filename")?
                    .ok_or_else(|| broken("a class has no `filename`"))?;
            }
            // The lines of methods stand among those of their class as well.
            "line" if !open.iter().any(|around| around == "methods") => {
                let hits = count(element, "hits")?.ok_or_else(|| broken("a line has no `hits`"))?;
                let line = Ratio { part: u64::from(hits > 0), whole: 1 };
                self.lines.add(line);
                if let Some(condition) = attribute(element, "condition-coverage")? {
                    self.branches.add(ratio(&condition)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, _open: &[String], name: &str) -> Result<(), Error> {
        if name != "class" {
            return Ok(());
        }
        if self.coverage.files.len() >= FILES_MAX {
            return Err(Error::TooMany { most: FILES_MAX, what: "files" });
        }
        let lines = std::mem::take(&mut self.lines);
        self.coverage.lines.add(lines);
        self.coverage.files.entry(std::mem::take(&mut self.file)).or_default().add(lines);
        Ok(())
    }
}

/// `50% (1/2)`.
fn ratio(text: &str) -> Result<Ratio, Error> {
    let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let pair = inner.and_then(|inner| inner.split_once('/'));
    let parsed = pair.and_then(|(part, whole)| Some((part.parse().ok()?, whole.parse().ok()?)));
    let (part, whole) = parsed.ok_or_else(|| broken("a condition is not `50% (1/2)`"))?;
    Ok(Ratio { part, whole })
}

/// Reads a report.
///
/// # Errors
/// [`Error`] when it is cut off, or holds fewer lines than it announces.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Coverage, Error> {
    let mut reading = Reading::default();
    xml::read(from, &["coverage"], true, &mut reading)?;
    let held = reading.coverage.lines.whole;
    if let Some(announced) = reading.announced.filter(|announced| *announced > held) {
        return Err(Error::Incomplete { what: "lines", announced, held });
    }
    reading.coverage.branches = (reading.branches.whole > 0).then_some(reading.branches);
    Ok(reading.coverage)
}
