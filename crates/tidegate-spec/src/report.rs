//! Collects findings while a file is read, with their places.
//! Must never stop at the first: a person mends all of them in one go.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Severity};

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To be deployed: what this version cannot do is an error.
    #[default]
    Deploy,
    /// To be looked at or rehearsed: what this version cannot do is a warning.
    Check,
}

/// Something that the file declares and this version does not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// The path of the key: `approve`, `deploy.slots.blue.ecs`.
    pub path: String,
    /// The line of its key, from 1, and the file it stands in.
    pub place: Place,
}

/// Most findings kept of one file; nobody reads more, and a generated file must not fill memory.
const FINDINGS_MAX: usize = 50;

/// A place in a source: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Which of the files that were read: 0 is the one that was named.
    pub(crate) source: u16,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) length: u32,
}

impl Span {
    /// The first character of the file.
    pub(crate) const START: Self = Self { source: 0, line: 1, column: 1, length: 1 };
}

/// The findings so far.
#[derive(Debug)]
pub(crate) struct Report<'s> {
    sources: Vec<Source<'s>>,
    purpose: Purpose,
    unserved: Vec<Unserved>,
    found: Vec<Diagnostic>,
    left_off: usize,
    errors: usize,
    /// Where findings go that arrive past the limit.
    overflow: Diagnostic,
}

/// One file that was read.
#[derive(Debug)]
struct Source<'s> {
    name: &'s str,
    lines: Vec<&'s str>,
}

impl<'s> Report<'s> {
    pub(crate) fn new(file: &'s str, source: &'s str) -> Self {
        Self::for_purpose(file, source, Purpose::Deploy)
    }

    pub(crate) fn for_purpose(file: &'s str, source: &'s str, purpose: Purpose) -> Self {
        Self {
            sources: vec![Source { name: file, lines: source.lines().collect() }],
            purpose,
            unserved: Vec::new(),
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

    /// Another file that findings can point into.
    pub(crate) fn add_source(&mut self, name: &'s str, source: &'s str) -> u16 {
        self.sources.push(Source { name, lines: source.lines().collect() });
        u16::try_from(self.sources.len() - 1).unwrap_or(u16::MAX)
    }

    /// A key that the format knows and this version does not carry out: an error for a deployment,
    /// a warning for whoever only looks.
    pub(crate) fn unserved(
        &mut self,
        path: &str,
        at: Span,
        message: impl Into<String>,
        help: &str,
    ) {
        let place = self.place(at);
        self.unserved.push(Unserved { path: path.to_owned(), place });
        let (severity, help) = match self.purpose {
            Purpose::Deploy => {
                self.errors += 1;
                (Severity::Error, help)
            }
            Purpose::Check => (Severity::Warning, "`deploy` refuses this file until it is served"),
        };
        let mut finding = Diagnostic::new(codes::NOT_SERVED, severity, message);
        finding.help(help);
        self.add(finding, Some(at));
    }

    /// What was declared and is not served, in the order in which it was read.
    pub(crate) fn take_unserved(&mut self) -> Vec<Unserved> {
        std::mem::take(&mut self.unserved)
    }

    /// Marks the findings of a code as accepted; false when there are none. Errors stay errors.
    pub(crate) fn accept(&mut self, code: &str, reason: &str) -> bool {
        let mut any = false;
        for finding in &mut self.found {
            if finding.code == code && finding.severity != Severity::Error {
                finding.severity = Severity::Note;
                finding.accepted = Some(reason.to_owned());
                any = true;
            }
        }
        any
    }

    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Whether the file is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All findings, in the order of the file; those without a place come last.
    pub(crate) fn finish(mut self) -> Diagnostics {
        self.found.sort_by_key(|finding| {
            finding.place.as_ref().map_or((true, u32::MAX, u32::MAX), |place| {
                let elsewhere = self.sources.first().is_some_and(|main| main.name != place.file);
                (elsewhere, place.line, place.column)
            })
        });
        if self.left_off > 0 {
            let message = format!("{} more findings are not shown", self.left_off);
            let severity = if self.errors > 0 { Severity::Error } else { Severity::Note };
            self.found.push(Diagnostic::new(codes::MORE, severity, message));
        }
        Diagnostics(self.found)
    }

    pub(crate) fn place(&self, at: Span) -> Place {
        let index = usize::try_from(at.line).unwrap_or(usize::MAX).saturating_sub(1);
        let source = self.sources.get(usize::from(at.source));
        Place {
            file: source.map_or_else(String::new, |source| source.name.to_owned()),
            line: at.line,
            column: at.column,
            length: at.length.max(1),
            text: source
                .and_then(|source| source.lines.get(index))
                .copied()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}
