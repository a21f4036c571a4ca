//! JMeter's results: CSV with its header line, or XML.
//! Must never count a sample that is part of another one, nor guess a column.

use std::collections::BTreeMap;
use std::io::BufRead;

use quick_xml::events::BytesStart;
use serde::Deserialize;
use tidegate_core::fact::Timings;

use crate::xml::{self, Elements, attribute, count};
use crate::{Error, broken, json};

/// Most different times of one report: an hour in milliseconds, so that percentiles are exact.
const TIMES_MAX: usize = 3_600_000;

/// Counts by milliseconds.
#[derive(Default)]
struct Samples {
    counts: BTreeMap<u32, u64>,
    requests: u64,
    failed: u64,
    sum: u64,
}

impl Samples {
    fn take(&mut self, elapsed: u64, success: bool) -> Result<(), Error> {
        let elapsed = u32::try_from(elapsed).map_err(|_long| broken("a request took weeks"))?;
        *self.counts.entry(elapsed).or_default() += 1;
        if self.counts.len() > TIMES_MAX {
            return Err(Error::TooMany { most: TIMES_MAX, what: "different times" });
        }
        self.requests += 1;
        self.failed += u64::from(!success);
        self.sum = self.sum.saturating_add(u64::from(elapsed));
        Ok(())
    }

    /// The smallest time that `percent` of the requests did not exceed: the nearest rank.
    fn percentile(&self, percent: u64) -> Option<f64> {
        let rank = self.requests.checked_mul(percent)?.div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(elapsed, _)| f64::from(*elapsed))
    }

    fn timings(&self) -> Timings {
        let mut ms = BTreeMap::new();
        for percent in [50, 90, 95, 99] {
            if let Some(value) = self.percentile(percent) {
                ms.insert(format!("p{percent}"), value);
            }
        }
        let ends = [("min", self.counts.keys().next()), ("max", self.counts.keys().next_back())];
        for (name, value) in ends {
            ms.extend(value.map(|value| (name.to_owned(), f64::from(*value))));
        }
        if self.requests > 0 {
            #[expect(clippy::cast_precision_loss, reason = "sums of milliseconds are below 2^52")]
            ms.insert("avg".to_owned(), self.sum as f64 / self.requests as f64);
        }
        Timings { requests: self.requests, failed: Some(self.failed), ms }
    }
}

#[derive(Deserialize)]
struct Line {
    elapsed: u64,
    success: bool,
}

impl Elements for Samples {
    fn open(&mut self, open: &[String], name: &str, element: &BytesStart<'_>) -> Result<(), Error> {
        // Embedded resources and samples of a transaction stand inside of theirs.
        if !matches!(name, "httpSample" | "sample") || open.len() != 1 {
            return Ok(());
        }
        let elapsed = count(element, "t")?.ok_or_else(|| broken("a sample has no time, `t`"))?;
        let success = match attribute(element, "s")?.as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(broken("a sample does not say whether it succeeded, `s`")),
        };
        self.take(elapsed, success)
    }

    fn close(&mut self, _open: &[String], _name: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads results.
///
/// # Errors
/// [`Error`] when they are cut off, or lack the columns `elapsed` and `success`.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Timings, Error> {
    json::skip_mark(from)?;
    let mut samples = Samples::default();
    let head = from.fill_buf().map_err(|error| Error::Broken(error.to_string()))?;
    if head.first() == Some(&b'<') {
        xml::read(from, &["testResults"], false, &mut samples)?;
        return Ok(samples.timings());
    }
    if head.is_empty() {
        return Err(broken("it is empty"));
    }
    let mut ends = Ends { inner: from, newline: true };
    // A line of another number of fields than the header is an error: a cut line has fewer.
    let mut reader = csv::Reader::from_reader(&mut ends);
    let headers = reader.headers().map_err(|error| Error::Broken(error.to_string()))?;
    let known = |name: &str| headers.iter().any(|column| column == name);
    if !known("elapsed") || !known("success") {
        return Err(broken("it has no columns `elapsed` and `success`"));
    }
    for line in reader.deserialize() {
        let line: Line = line.map_err(|error| Error::Broken(error.to_string()))?;
        samples.take(line.elapsed, line.success)?;
    }
    drop(reader);
    if ends.newline { Ok(samples.timings()) } else { Err(broken("its last line is cut off")) }
}

/// Remembers whether what was read ended with a line's end.
struct Ends<R> {
    inner: R,
    newline: bool,
}

impl<R: BufRead> std::io::Read for Ends<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(last) = buffer.get(..count).and_then(<[u8]>::last) {
            self.newline = *last == b'\n';
        }
        Ok(count)
    }
}
