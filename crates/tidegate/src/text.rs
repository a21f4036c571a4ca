//! Text from outside made safe for a terminal, and words for amounts.
//! Must never let a byte through that moves a cursor, hides or turns text.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

/// Replaces everything that a terminal does not show as itself. Line breaks become spaces.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\t' => Some(' '),
            c if c.is_control() || hides(c) => None,
            c => Some(c),
        })
        .collect()
}

/// The same for text of several lines, such as logs.
pub(crate) fn plain_lines(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || hides(*c))).collect()
}

/// Characters without a width, and those that turn the direction of the text behind them.
fn hides(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The first `width` characters, with a sign when some were cut off.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

/// A span of time as people say it, two units at most: `42m 10s`, `3d 4h`, `0.4s`.
pub(crate) fn span(duration: SignedDuration) -> String {
    let millis = duration.as_millis().max(0);
    if millis < 10_000 {
        let tenths = millis / 100;
        return match tenths % 10 {
            0 => format!("{}s", tenths / 10),
            rest => format!("{}.{rest}s", tenths / 10),
        };
    }
    let seconds = millis / 1_000;
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let mut text = String::new();
    let mut shown = 0;
    for (amount, unit) in units {
        if shown == 2 || (amount == 0 && shown == 0) {
            continue;
        }
        shown += 1;
        if amount > 0 {
            if !text.is_empty() {
                text.push(' ');
            }
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{amount}{unit}");
        }
    }
    text
}

/// How long ago something was.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(then)))
}

/// A whole number with thousands separated: `23,760`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of a thing: `1 probe`, `2 probes`.
pub(crate) fn several(many: impl TryInto<u64>, one: &str) -> String {
    let many = count(many.try_into().unwrap_or(u64::MAX));
    if many == "1" { format!("1 {one}") } else { format!("{many} {one}s") }
}

/// Bytes in the unit that keeps them short: `812 bytes`, `3.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = None;
    for next in UNITS {
        if value < 1_024.0 {
            break;
        }
        value /= 1_024.0;
        unit = Some(next);
    }
    match unit {
        Some(unit) => format!("{value:.1} {unit}"),
        None => format!("{bytes} bytes"),
    }
}

/// A measured value with the digits that matter: `0.05`, `2.6`, `310`.
pub(crate) fn number(value: f64) -> String {
    if value > 0.0 && value < 0.005 {
        return "<0.01".to_owned();
    }
    let places = match value.abs() {
        v if v >= 100.0 || v.fract() < f64::EPSILON => 0,
        v if v >= 1.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_overrides_are_taken_out() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\r\nd\u{7}"), "a[31mbc d");
        assert_eq!(plain_lines("a\r\nb\u{9b}2J"), "a\nb2J");
    }

    #[test]
    fn spans_have_two_units() {
        let of = |ms| span(SignedDuration::from_millis(ms));
        assert_eq!(of(0), "0s");
        assert_eq!(of(430), "0.4s");
        assert_eq!(of(42_000), "42s");
        assert_eq!(of(3_600_000), "1h");
        assert_eq!(of(2_530_000), "42m 10s");
        assert_eq!(of(90_061_000), "1d 1h");
    }

    #[test]
    fn sizes_are_short() {
        let said = [0, 812, 1_024, 3_565_158, 5 << 40].map(size);
        assert_eq!(said, ["0 bytes", "812 bytes", "1.0 KiB", "3.4 MiB", "5.0 TiB"]);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(count(7), "7");
        assert_eq!(count(23_760), "23,760");
        assert_eq!(count(1_000_000), "1,000,000");
    }
}
