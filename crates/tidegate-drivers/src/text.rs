//! Foreign text made fit for one line of a person's terminal.
//! Must never let a control character of an application or a repository through.

/// Longest excerpt of foreign text in a message, in characters: two lines of a terminal.
pub(crate) const EXCERPT_CHARS_MAX: usize = 200;

/// One printable line: control and direction-changing characters become spaces, the rest is cut.
pub(crate) fn printable(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    let mut last_was_space = true;
    for (count, c) in text.chars().enumerate() {
        if count >= chars_max {
            line.push('…');
            break;
        }
        let space = c.is_control() || c.is_whitespace() || turns_direction(c);
        if !(space && last_was_space) {
            line.push(if space { ' ' } else { c });
        }
        last_was_space = space;
    }
    line.trim_end().to_owned()
}

/// The last line of some output that has anything on it, made printable.
pub(crate) fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().rev().map(|line| printable(line, EXCERPT_CHARS_MAX)).find(|line| !line.is_empty())
}

/// The last few lines of some output, joined by ` | `, made printable.
pub(crate) fn last_lines(output: &[u8], lines_max: usize) -> String {
    let text = String::from_utf8_lossy(output);
    let mut lines: Vec<String> = text
        .lines()
        .rev()
        .map(|line| printable(line, EXCERPT_CHARS_MAX))
        .filter(|line| !line.is_empty())
        .take(lines_max)
        .collect();
    lines.reverse();
    lines.join(" | ")
}

// Bidirectional controls and zero-width characters: they change what a person reads.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{last_line, last_lines, printable};

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\u{202e}d\u{9b}e", 100), "a [2Jb c d e");
        assert_eq!(printable("abcdef", 3), "abc…");
    }

    #[test]
    fn the_last_line_skips_blank_ones() {
        assert_eq!(last_line(b"one\ntwo\n \n\n").as_deref(), Some("two"));
        assert_eq!(last_line(b"\n"), None);
        assert_eq!(last_lines(b"1\n2\n\n3\n", 2), "2 | 3");
    }
}
