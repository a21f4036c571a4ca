//! What is printed, and where: data to stdout, talk to stderr, colour only beside words.
//! Must never let a control character through: everything passes one filter on its way out, and
//! styles are markers that become escape sequences behind it.

use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// Width that is assumed where there is none, columns.
const WIDTH_DEFAULT: usize = 96;
/// Height that is assumed where there is none, rows.
const HEIGHT_DEFAULT: usize = 40;

/// How a word is shown beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Stands out.
    Strong,
    /// Steps back.
    Faint,
    /// Good.
    Good,
    /// Not sure.
    Doubtful,
    /// Bad.
    Bad,
}

/// Ends a style. Code points for private use: no font, no terminal and no file gives them a
/// meaning, and a stranger who writes one changes a colour at most.
const END: char = '\u{f8f0}';
const MARKS: [(char, Style, &str); 5] = [
    ('\u{f8f1}', Style::Strong, "\u{1b}[1m"),
    ('\u{f8f2}', Style::Faint, "\u{1b}[2m"),
    ('\u{f8f3}', Style::Good, "\u{1b}[32m"),
    ('\u{f8f4}', Style::Doubtful, "\u{1b}[33m"),
    ('\u{f8f5}', Style::Bad, "\u{1b}[31m"),
];

/// The text in a style, for any of the functions that print.
pub(crate) fn styled(style: Style, text: &str) -> String {
    let mark = MARKS.iter().find(|(_, known, _)| *known == style).map(|(mark, ..)| *mark);
    mark.into_iter().chain(text.chars()).chain(std::iter::once(END)).collect()
}

/// Columns that a text takes: marks take none.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().filter(|c| !is_mark(*c)).count()
}

/// The text with its marks cut to so many columns.
pub(crate) fn cut_columns(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(3);
    let mut short: String = text
        .chars()
        .filter(|c| {
            if is_mark(*c) {
                return true;
            }
            let fits = left > 0;
            left = left.saturating_sub(1);
            fits
        })
        .collect();
    short.push_str("...");
    short
}

fn is_mark(c: char) -> bool {
    c == END || MARKS.iter().any(|(mark, ..)| *mark == c)
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How the talk is laid out and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    /// Data is printed as JSON: all of it, or these fields.
    pub(crate) json: Option<Vec<String>>,
    /// No talk but failures.
    pub(crate) quiet: bool,
    /// The zone of printed times.
    pub(crate) zone: TimeZone,
    color: bool,
    unicode: bool,
    screen: bool,
}

impl Terminal {
    /// Looks at the streams and the environment.
    pub(crate) fn new(
        color: Color,
        json: Option<Vec<String>>,
        quiet: bool,
        zone: TimeZone,
    ) -> Self {
        let screen =
            io::stdout().is_terminal() && !is_set("CI") && term().as_deref() != Some("dumb");
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => color_of_environment(screen),
        };
        Self { json, quiet, zone, color, unicode: locale_is_utf8(), screen }
    }

    /// One that prints words and nothing else, for a command line that was not understood.
    pub(crate) fn plain() -> Self {
        Self::new(Color::Never, None, false, TimeZone::UTC)
    }

    /// Whether stdout is a screen that can be redrawn.
    pub(crate) fn is_screen(&self) -> bool {
        self.screen && self.json.is_none()
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether icons beyond ASCII can be shown.
    pub(crate) fn unicode(&self) -> bool {
        self.unicode
    }

    /// An icon, or what stands for it where only ASCII can be shown.
    pub(crate) fn icon<'i>(&self, icon: &'i str, plain: &'i str) -> &'i str {
        if self.unicode { icon } else { plain }
    }

    /// Whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json.is_some()
    }

    /// Columns and rows of the screen.
    pub(crate) fn size(&self) -> (usize, usize) {
        match crossterm::terminal::size() {
            Ok((width, height)) if width > 0 && height > 0 && self.screen => {
                (usize::from(width), usize::from(height))
            }
            _ => (WIDTH_DEFAULT, HEIGHT_DEFAULT),
        }
    }

    /// What reaches the stream: no control characters, and styles as this terminal takes them.
    pub(crate) fn dressed(&self, text: &str) -> String {
        let plain = text::plain_lines(text);
        let mut out = String::with_capacity(plain.len());
        for c in plain.chars() {
            if !is_mark(c) {
                out.push(c);
            } else if self.color {
                let mark = MARKS.iter().find(|(mark, ..)| *mark == c);
                out.push_str(mark.map_or("\u{1b}[0m", |(.., sequence)| sequence));
            }
        }
        out
    }

    /// Prints a line of data.
    ///
    /// # Errors
    /// [`Failure`] when stdout cannot be written; a reader that left is not an error.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.raw(format!("{}\n", self.dressed(text)).as_bytes())
    }

    /// Prints bytes as they are. Only for data that was asked for byte by byte.
    ///
    /// # Errors
    /// [`Failure`] when stdout cannot be written; a reader that left is not an error.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::local(format!("stdout cannot be written: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Says something to a person; not when quiet, and not into data.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says something to a person even when quiet.
    pub(crate) fn complain(&self, text: &str) {
        let mut err = io::stderr().lock();
        // Nobody is left to be told that the terminal is gone.
        let _gone = err.write_all(format!("{}\n", self.dressed(text)).as_bytes());
    }

    /// Prints a value as one line of JSON, with only the chosen fields.
    ///
    /// # Errors
    /// TG7003 when a chosen field does not exist: the message names those that do.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let value = serde_json::to_value(value).map_err(Failure::local)?;
        let chosen = self.json.as_deref().unwrap_or_default();
        let value = if chosen.is_empty() { value } else { choose(value, chosen)? };
        self.raw(format!("{value}\n").as_bytes())
    }

    /// A time of day in the chosen zone, with the date when it is another day.
    pub(crate) fn time(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        if at.date() == now.date() {
            at.strftime("%H:%M:%S").to_string()
        } else {
            at.strftime("%Y-%m-%d %H:%M").to_string()
        }
    }

    /// A time with its date, in the chosen zone; in UTC as in every log.
    pub(crate) fn stamp(&self, at: Timestamp) -> String {
        let zoned = at.to_zoned(self.zone.clone());
        if self.zone == TimeZone::UTC {
            zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        } else {
            zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
        }
    }

    /// Prints what went wrong, as the last thing on the screen.
    pub(crate) fn fail(&self, failure: &Failure) {
        if self.is_json() {
            let body = serde_json::json!({ "error": failure, "exit_code": failure.exit.code() });
            self.complain(&body.to_string());
            return;
        }
        for finding in &failure.findings {
            self.complain(finding);
        }
        let head = styled(Style::Bad, &format!("error[{}]", failure.code));
        self.complain(&format!("{head}: {}", failure.what));
        if let Some(safe) = &failure.safe {
            self.complain(&format!("  safe: {safe}"));
        }
        if let Some(help) = &failure.help {
            self.complain(&format!("  help: {help}"));
        }
        self.complain(&format!("  more: tidegate explain {}", failure.code));
    }
}

fn choose(value: serde_json::Value, fields: &[String]) -> Result<serde_json::Value, Failure> {
    match value {
        serde_json::Value::Array(items) => items
            .into_iter()
            .map(|item| choose(item, fields))
            .collect::<Result<Vec<_>, _>>()
            .map(Into::into),
        serde_json::Value::Object(mut object) => {
            let known: Vec<String> = object.keys().cloned().collect();
            // A list in an envelope is chosen from by item.
            if let ([only], false) =
                (known.as_slice(), known.iter().any(|key| fields.contains(key)))
                && let Some(inner @ serde_json::Value::Array(_)) = object.remove(only)
            {
                return choose(inner, fields);
            }
            let mut chosen = serde_json::Map::new();
            for field in fields {
                let Some(found) = object.remove(field) else {
                    return Err(Failure::new(
                        Exit::Usage,
                        "TG7003",
                        format!("there is no field {field}; there are: {}", known.join(", ")),
                    ));
                };
                chosen.insert(field.clone(), found);
            }
            Ok(chosen.into())
        }
        other => Ok(other),
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name)
        .is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
}

fn term() -> Option<String> {
    std::env::var("TERM").ok()
}

fn color_of_environment(screen: bool) -> bool {
    if is_set("NO_COLOR") {
        return false;
    }
    if is_set("FORCE_COLOR") || is_set("CLICOLOR_FORCE") {
        return true;
    }
    screen && std::env::var("CLICOLOR").as_deref() != Ok("0")
}

fn locale_is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale =
        set.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(color: bool) -> Terminal {
        Terminal {
            json: None,
            quiet: false,
            zone: TimeZone::UTC,
            color,
            unicode: false,
            screen: false,
        }
    }

    #[test]
    fn outside_escapes_never_reach_the_terminal() {
        let text = styled(Style::Bad, "a\u{1b}[2Jb\rc");
        assert_eq!(terminal(true).dressed(&text), "\u{1b}[31ma[2Jbc\u{1b}[0m");
        assert_eq!(terminal(false).dressed(&text), "a[2Jbc");
    }

    #[test]
    fn marks_take_no_columns() {
        let text = styled(Style::Good, "abcdef");
        assert_eq!(columns(&text), 6);
        assert_eq!(terminal(false).dressed(&cut_columns(&text, 5)), "ab...");
    }

    #[test]
    fn fields_are_chosen_from_items_of_a_list() {
        let list = serde_json::json!({ "deployments": [{ "id": "d-1", "state": "running" }] });
        let chosen = choose(list.clone(), &["id".to_owned()]);
        assert_eq!(chosen.ok(), Some(serde_json::json!([{ "id": "d-1" }])));
        let unknown = choose(list, &["ids".to_owned()]);
        assert!(unknown.is_err_and(|failure| failure.what.contains("id, state")));
    }
}
