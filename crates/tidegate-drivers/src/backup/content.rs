//! The digest of what a database holds: the same rows have the same, in any order.
//! Must never depend on where a table lies or when it was written.

use sha2::{Digest as _, Sha256};
use tidegate_core::backup::Content;
use tidegate_core::digest::Digest;

/// Sums up tables.
#[derive(Debug, Default)]
pub(super) struct Sum {
    parts: u64,
    rows: u64,
    lines: Vec<String>,
}

impl Sum {
    /// Adds one table, by its name, its rows and a number over all of them.
    pub(super) fn table(&mut self, name: &str, rows: u64, over: &str) {
        self.parts += 1;
        self.rows += rows;
        self.lines.push(format!("{name}\0{rows}\0{over}\n"));
    }

    pub(super) fn content(mut self) -> Content {
        // Two servers may sort names differently.
        self.lines.sort_unstable();
        Content {
            parts: self.parts,
            rows: self.rows,
            digest: Digest::of(self.lines.concat().as_bytes()),
        }
    }
}

/// A number over rows that does not depend on their order.
#[derive(Debug, Default)]
pub(super) struct Rows(u128);

impl Rows {
    pub(super) fn add(&mut self, row: &[u8]) {
        let hash = Sha256::digest(row);
        let bytes: [u8; 16] =
            hash.as_slice().get(..16).and_then(|b| b.try_into().ok()).unwrap_or_default();
        self.0 = self.0.wrapping_add(u128::from_be_bytes(bytes));
    }

    pub(super) fn words(&self) -> String {
        format!("{:032x}", self.0)
    }
}
