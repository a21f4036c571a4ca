//! The result of a benchmark: a table with aims, figures and spread, and how to repeat it.
//! Must never show a figure without its aim or without saying that there is none.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::machine::Machine;
use super::sample::{Sample, figure};

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aim {
    /// At most this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
    /// At least this.
    AtLeast(f64),
    /// It is there to understand the others.
    None,
}

impl Aim {
    fn words(self) -> String {
        match self {
            Self::AtMost(0.0) => "0".to_owned(),
            Self::AtMost(most) => format!("≤ {}", short(most)),
            Self::Below(limit) => format!("< {}", short(limit)),
            Self::AtLeast(least) => format!("≥ {}", short(least)),
            Self::None => String::new(),
        }
    }

    /// Whether it holds; `None` where there is nothing to hold. Not a number holds nothing.
    fn held(self, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(value <= most),
            Self::Below(limit) => Some(value < limit),
            Self::AtLeast(least) => Some(value >= least),
            Self::None => None,
        }
    }
}

/// An aim is a round number.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { figure(value) }
}

#[derive(Debug)]
struct Row {
    what: String,
    aim: String,
    value: String,
    spread: String,
    held: Option<bool>,
}

/// A benchmark's result.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    title: &'static str,
    machine: String,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    /// An empty one. `name` is the word on the command line and the name of its page.
    pub(crate) fn new(name: &'static str, title: &'static str, machine: &Machine) -> Self {
        let machine = machine.to_string();
        Self { name, title, machine, rows: Vec::new(), notes: Vec::new() }
    }

    /// A figure that was taken once, such as a count.
    pub(crate) fn figure(&mut self, what: &str, unit: &str, aim: Aim, value: f64) {
        let text = if value.fract() == 0.0 { format!("{value:.0}") } else { figure(value) };
        self.row(what, unit, aim, (value, text), String::new());
    }

    /// The median of several.
    pub(crate) fn median(&mut self, what: &str, unit: &str, aim: Aim, sample: &Sample) {
        let value = sample.median();
        self.row(what, unit, aim, (value, figure(value)), sample.spread().to_string());
    }

    /// The largest of many, with median and p99 beside it.
    pub(crate) fn largest(&mut self, what: &str, unit: &str, aim: Aim, sample: &Sample) {
        let value = sample.max();
        let others = format!(
            "median {}, p99 {} of {}",
            figure(sample.median()),
            figure(sample.quantile(0.99)),
            sample.len()
        );
        self.row(what, unit, aim, (value, figure(value)), others);
    }

    fn row(&mut self, what: &str, unit: &str, aim: Aim, value: (f64, String), spread: String) {
        let (number, text) = value;
        let with_unit = |text: String| match (text.is_empty(), unit.is_empty()) {
            (false, false) => format!("{text} {unit}"),
            _ => text,
        };
        self.rows.push(Row {
            what: what.to_owned(),
            aim: with_unit(aim.words()),
            value: with_unit(text),
            spread,
            held: aim.held(number),
        });
    }

    /// A sentence below the table.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Whether every aim was held.
    pub(crate) fn all_held(&self) -> bool {
        self.rows.iter().all(|row| row.held != Some(false))
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let written = self.write_markdown(&mut text);
        debug_assert!(written.is_ok());
        text
    }

    fn write_markdown(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "# {}\n", self.title)?;
        writeln!(text, "{}\n", self.machine)?;
        writeln!(text, "| Figure | Aim | Measured | Spread | Held |")?;
        writeln!(text, "|---|---|---|---|---|")?;
        for Row { what, aim, value, spread, held } in &self.rows {
            let held = match held {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            writeln!(text, "| {what} | {aim} | {value} | {spread} | {held} |")?;
        }
        writeln!(text)?;
        for note in &self.notes {
            writeln!(text, "- {note}")?;
        }
        writeln!(text, "\nRepeat it: `cargo xtask bench {}`.", self.name)
    }

    /// Prints it.
    #[expect(clippy::print_stdout, reason = "a chore that talks to a person")]
    pub(crate) fn print(&self) {
        println!("{}", self.markdown());
    }

    /// Writes its page.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, root: &Path) -> anyhow::Result<()> {
        let path = root.join("docs/benchmarks").join(format!("{}.md", self.name));
        fs::write(&path, self.markdown())
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let (rows, notes) = (Vec::new(), Vec::new());
        Report { name: "idle", title: "Idle", machine: "A machine.".to_owned(), rows, notes }
    }

    #[test]
    fn a_table_has_aim_figure_spread_and_judgement() {
        let mut report = report();
        report.median("memory", "MiB", Aim::Below(64.0), &Sample::of([10.0, 10.5, 11.0]));
        report.figure("failed", "", Aim::AtMost(0.0), 0.0);
        report.note("One server.");
        assert!(report.all_held());
        let text = report.markdown();
        assert!(text.contains("| memory | < 64 MiB | 10.5 MiB | 10.0 to 11.0 | yes |"), "{text}");
        assert!(text.contains("| failed | 0 | 0 |  | yes |"), "{text}");
        assert!(
            text.ends_with("- One server.\n\nRepeat it: `cargo xtask bench idle`.\n"),
            "{text}"
        );
    }

    #[test]
    fn one_missed_aim_is_enough() {
        let mut report = report();
        report.figure("rate", "events/s", Aim::None, 3.0);
        report.figure("ratio", "x", Aim::AtLeast(8.0), 7.9);
        assert!(!report.all_held());
        assert!(report.markdown().contains("| ratio | ≥ 8 x | 7.90 x |  | **no** |"));
    }

    #[test]
    fn a_figure_that_is_missing_holds_nothing() {
        let mut report = report();
        report.median("time", "ms", Aim::AtMost(100.0), &Sample::default());
        assert!(!report.all_held());
    }
}
