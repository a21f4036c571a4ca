//! LCOV's trace file, with what LCOV 2 and coverage.py write where LCOV 1 had numbers.
//! Must never take a file without `end_of_record` for whole.

use std::io::BufRead;

use tidegate_core::fact::{Coverage, Ratio};

use crate::paths::FILES_MAX;
use crate::{Error, broken};

/// Longest line, bytes: the path of a file.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Lines that say nothing that is counted here.
const OTHERS: [&str; 12] =
    ["TN", "FN", "FNDA", "FNF", "FNH", "FNL", "FNA", "BRF", "BRH", "LH", "VER", "MCDC"];

#[derive(Default)]
struct Reading {
    coverage: Coverage,
    branches: Ratio,
    open: Option<Record>,
}

#[derive(Default)]
struct Record {
    path: String,
    lines: Ratio,
    announced: Option<u64>,
}

/// Reads a trace.
///
/// # Errors
/// [`Error`] when a line is none of LCOV's, or a record is cut off.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Coverage, Error> {
    let mut reading = Reading::default();
    let mut line = String::new();
    loop {
        line.clear();
        let count = from.read_line(&mut line).map_err(|error| Error::Broken(error.to_string()))?;
        if count == 0 {
            break;
        }
        if count > LINE_BYTES_MAX {
            return Err(Error::TextTooLong);
        }
        reading.take(line.trim_start_matches('\u{feff}').trim())?;
    }
    if reading.open.is_some() || reading.coverage.files.is_empty() {
        return Err(broken("it is empty or cut off"));
    }
    let Reading { mut coverage, branches, .. } = reading;
    coverage.branches = (branches.whole > 0).then_some(branches);
    Ok(coverage)
}

impl Reading {
    fn take(&mut self, line: &str) -> Result<(), Error> {
        if line == "end_of_record" {
            return self.end();
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (key, value) = line.split_once(':').ok_or_else(|| broken("a line has no key"))?;
        match (key, &mut self.open) {
            ("SF", None) => {
                self.open = Some(Record { path: value.to_owned(), ..Record::default() });
            }
            ("SF", Some(_)) => return Err(broken("a record is cut off")),
            ("DA", Some(record)) => {
                // Line, hits, and a checksum that may be missing.
                let hits = value.split(',').nth(1).and_then(|hits| hits.parse::<i64>().ok());
                let hits = hits.ok_or_else(|| broken("a line has no number of hits"))?;
                record.lines.add(Ratio { part: u64::from(hits > 0), whole: 1 });
            }
            ("BRDA", Some(_)) => {
                // Line, block, branch, taken: the branch may be a text with commas in it.
                let taken = value.rsplit(',').next().unwrap_or_default();
                let taken = match taken {
                    "-" => false,
                    count => {
                        count.parse::<i64>().map_err(|_odd| broken("a branch has no count"))? > 0
                    }
                };
                self.branches.add(Ratio { part: u64::from(taken), whole: 1 });
            }
            ("LF", Some(record)) => {
                record.announced = value.parse().ok();
            }
            _ if OTHERS.contains(&key) => {}
            _ => return Err(broken(format!("`{key:.20}` is no key of a trace"))),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(Record { path, lines, announced }) = self.open.take() else {
            return Err(broken("it ends a record that has not begun"));
        };
        let held = lines.whole;
        if let Some(announced) = announced.filter(|announced| *announced > held) {
            return Err(Error::Incomplete { what: "lines", announced, held });
        }
        if self.coverage.files.len() >= FILES_MAX {
            return Err(Error::TooMany { most: FILES_MAX, what: "files" });
        }
        self.coverage.lines.add(lines);
        self.coverage.files.entry(path).or_default().add(lines);
        Ok(())
    }
}
