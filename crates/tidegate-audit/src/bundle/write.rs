//! Writes a bundle, part after part. Must never hold a report in memory.

use std::fmt;
use std::io::{self, Read, Write};

use tar::{Builder, Header};

use super::{Manifest, Proven};

/// A bundle that is being written.
pub struct Writer<W: Write> {
    tar: Builder<W>,
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<W: Write> Writer<W> {
    /// Begins with everything but the reports.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(
        to: W,
        manifest: &Manifest,
        checkpoint: &str,
        entries: &[Proven],
    ) -> io::Result<Self> {
        let mut writer = Self { tar: Builder::new(to) };
        writer.part("manifest.json", &serde_json::to_vec_pretty(manifest)?)?;
        writer.part("checkpoint", checkpoint.as_bytes())?;
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        writer.part("entries.jsonl", &lines)?;
        Ok(writer)
    }

    /// Adds a report of so many bytes under its digest.
    ///
    /// # Errors
    /// Those of both sides; when the report has fewer bytes.
    pub fn report(&mut self, digest: &str, bytes: u64, from: impl Read) -> io::Result<()> {
        self.tar.append_data(&mut header(bytes), format!("reports/{digest}"), from)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self) -> io::Result<W> {
        self.tar.into_inner()
    }

    fn part(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.tar.append_data(&mut header(bytes.len() as u64), name, bytes)
    }
}

/// The same bundle has the same bytes: no time, no owner.
fn header(bytes: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}
