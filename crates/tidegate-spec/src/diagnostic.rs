//! What is wrong with a file, said so that it can be mended: code, place, the line itself, help.
//! Must never print a character of the source that could move the cursor or turn the text round.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codes;

/// Most characters of a source line that are printed; longer lines are shown around the finding.
const LINE_CHARS_MAX: usize = 120;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted and probably not what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Name of the file, as given by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How many characters of the line are meant, at least 1.
    pub length: u32,
    /// The line itself.
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// `TGxxxx`; its page is `docs/errors/TGxxxx.md`.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What is wrong, with the values.
    pub message: String,
    /// Where; `None` when it is about the whole.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What to write instead.
    pub help: Option<String>,
    /// Why the team lives with it, as the file says under `accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl Diagnostic {
    /// A finding without a place.
    #[must_use]
    pub fn new(code: &str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            message: message.into(),
            place: None,
            help: None,
            accepted: None,
        }
    }

    /// Whether it is about keeping what the file promises: times against times, samples against
    /// limits, copies against what may be lost.
    #[must_use]
    pub fn is_feasibility(&self) -> bool {
        [
            codes::TOO_SLOW,
            codes::SAMPLE_SIZE,
            codes::COLD_ROLLBACK,
            codes::RECOVERY_POINT,
            codes::TOO_FINE,
            codes::TWO_SCHEDULES,
            codes::DETECTED_LATE,
        ]
        .contains(&self.code.as_str())
    }

    /// Adds what to write instead.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = if self.accepted.is_some() { ", accepted" } else { "" };
        writeln!(
            f,
            "{}[{}{accepted}]: {}",
            self.severity.name(),
            self.code,
            visible(&self.message)
        )?;
        if let Some(place) = &self.place {
            place.fmt_snippet(f)?;
        }
        if let Some(reason) = &self.accepted {
            return writeln!(f, "  accepted: {}", visible(reason));
        }
        if let Some(help) = &self.help {
            for (index, line) in help.lines().enumerate() {
                let lead = if index == 0 { "help:" } else { "     " };
                writeln!(f, "  {lead} {}", visible(line))?;
            }
        }
        Ok(())
    }
}

impl Place {
    fn fmt_snippet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin}--> {}:{}:{}", visible(&self.file), self.line, self.column)?;
        let (before, meant, after) = self.cut();
        let carets = "^".repeat(meant.chars().count().max(1));
        let blank = " ".repeat(before.chars().count());
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", format!("{before}{meant}{after}").trim_end())?;
        writeln!(f, "{margin} | {blank}{carets}")
    }

    /// The line in three pieces, printable, around what is meant.
    fn cut(&self) -> (String, String, String) {
        let chars: Vec<char> = self.text.chars().collect();
        let start = usize_of(self.column).saturating_sub(1).min(chars.len());
        let end = start.saturating_add(usize_of(self.length)).min(chars.len());
        let end = end.min(start.saturating_add(LINE_CHARS_MAX));
        let room = LINE_CHARS_MAX.saturating_sub(end - start);
        let from = if chars.len() <= LINE_CHARS_MAX { 0 } else { start.saturating_sub(room / 2) };
        let to = chars.len().min(from.saturating_add(LINE_CHARS_MAX)).max(end);
        let piece = |range: std::ops::Range<usize>| -> String {
            visible(&chars.get(range).unwrap_or_default().iter().collect::<String>())
        };
        let mut before = piece(from..start);
        let mut after = piece(end..to);
        if from > 0 {
            before.insert_str(0, "...");
        }
        if to < chars.len() {
            after.push_str("...");
        }
        (before, piece(start..end), after)
    }
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The text with everything that a terminal would not show as itself written as `\u{..}`.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            c if c.is_control() || is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Characters without a width of their own, and those that turn the direction of the text.
pub(crate) fn is_hidden(c: char) -> bool {
    turns_text(c)
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}'
            | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Characters that turn the direction of the text behind them.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// All findings of one file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether the file is refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|found| found.severity == Severity::Error)
    }

    /// The findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, found) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            found.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
