//! Collects findings while a file is read, with their places.
//! Must never stop at the first: a person mends all of them in one go.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Severity};

/// Most findings kept of one file; nobody reads more, and a generated file must not fill memory.
const FINDINGS_MAX: usize = 50;

/// A place in the source: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

impl Span {
    /// The first character of the file.
    pub(crate) const START: Self = Self { line: 1, column: 1, length: 1 };
}

/// The findings so far.
#[derive(Debug)]
pub(crate) struct Report<'s> {
    file: &'s str,
    lines: Vec<&'s str>,
    found: Vec<Diagnostic>,
    left_off: usize,
    errors: usize,
    /// Where findings go that arrive past the limit.
    overflow: Diagnostic,
}

impl<'s> Report<'s> {
    pub(crate) fn new(file: &'s str, source: &'s str) -> Self {
        Self {
            file,
            lines: source.lines().collect(),
            found: Vec::new(),
            left_off: 0,
            errors: 0,
            overflow: Diagnostic::new(codes::MORE, Severity::Error, ""),
        }
    }

    /// Adds an error; the caller may add help to it.
    pub(crate) fn error(
        &mut self,
        code: &str,
        at: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.errors += 1;
        self.add(Diagnostic::new(code, Severity::Error, message), Some(at))
    }

    /// Adds a finding; with a place when one is known.
    pub(crate) fn add(&mut self, mut finding: Diagnostic, at: Option<Span>) -> &mut Diagnostic {
        finding.place = at.map(|at| self.place(at));
        if self.found.len() >= FINDINGS_MAX {
            self.left_off += 1;
            self.overflow = finding;
            return &mut self.overflow;
        }
        self.found.push(finding);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// Whether the file is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All findings, in the order of the file; those without a place come last.
    pub(crate) fn finish(mut self) -> Diagnostics {
        self.found.sort_by_key(|finding| {
            finding.place.as_ref().map_or((u32::MAX, u32::MAX), |place| (place.line, place.column))
        });
        if self.left_off > 0 {
            let message = format!("{} more findings are not shown", self.left_off);
            let severity = if self.errors > 0 { Severity::Error } else { Severity::Note };
            self.found.push(Diagnostic::new(codes::MORE, severity, message));
        }
        Diagnostics(self.found)
    }

    fn place(&self, at: Span) -> Place {
        let index = usize::try_from(at.line).unwrap_or(usize::MAX).saturating_sub(1);
        Place {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            length: at.length.max(1),
            text: self.lines.get(index).copied().unwrap_or_default().to_owned(),
        }
    }
}
