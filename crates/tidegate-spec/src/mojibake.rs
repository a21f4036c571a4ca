//! Text that was decoded with the wrong table on its way here, such as `â†’` for `→`: found, repaired,
//! and counted, so that nobody takes a repair for the original.
//! Must never touch text that is what it says: only bytes that are valid UTF-8 again count.

use encoding_rs::{Encoding, MACINTOSH, WINDOWS_1252, WINDOWS_1254};

/// Tables that files meet on their way, the most usual first.
const TABLES: [&Encoding; 3] = [WINDOWS_1252, WINDOWS_1254, MACINTOSH];

/// A text after repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repaired {
    pub(crate) text: String,
    /// Runs of characters that were brought back.
    pub(crate) repaired: usize,
    /// Runs of which a byte is gone for ever; they are taken out.
    pub(crate) lost: usize,
    /// The table by which the text was broken, when it was.
    pub(crate) table: Option<&'static str>,
}

/// Whether a text is broken.
pub(crate) fn is_broken(text: &str) -> bool {
    !text.is_ascii() && best(text).is_some()
}

/// The text with every broken run repaired.
pub(crate) fn repair(text: &str) -> Repaired {
    let Some(table) = best(text) else {
        return Repaired { text: text.to_owned(), repaired: 0, lost: 0, table: None };
    };
    let mut whole = Repaired {
        text: String::with_capacity(text.len()),
        repaired: 0,
        lost: 0,
        table: Some(table.name()),
    };
    for (run, foreign) in runs(text) {
        match if foreign { decode(run, table) } else { Run::Sound } {
            Run::Sound => whole.text.push_str(run),
            Run::Broken(text) => {
                whole.repaired += 1;
                whole.text.push_str(&text);
            }
            Run::Lost(text) => {
                whole.lost += 1;
                whole.text.push_str(&text);
            }
        }
    }
    whole
}

/// The table under which most of the text makes sense again; `None` when it already does.
fn best(text: &str) -> Option<&'static Encoding> {
    TABLES
        .into_iter()
        .map(|table| {
            let mut count = (0_usize, 0_usize);
            for (run, _) in runs(text).filter(|(_, foreign)| *foreign) {
                match decode(run, table) {
                    Run::Sound => {}
                    Run::Broken(_) => count.0 += 1,
                    Run::Lost(_) => count.1 += 1,
                }
            }
            (count, table)
        })
        .filter(|((repaired, lost), _)| repaired + lost > 0)
        // The first of equals: `max_by_key` would take the last.
        .fold(None, |best: Option<((usize, usize), &'static Encoding)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(_, table)| table)
}

enum Run {
    Sound,
    Broken(String),
    Lost(String),
}

/// What a run of foreign characters was before it was broken.
fn decode(run: &str, table: &'static Encoding) -> Run {
    let (bytes, _, unmappable) = table.encode(run);
    if unmappable || bytes.len() < 2 {
        return Run::Sound;
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Run::Broken(text.to_owned()),
        // Pictures begin with these two bytes, lines of boxes with this one.
        Err(_) if bytes.starts_with(&[0xf0, 0x9f]) || bytes.starts_with(&[0xe2, 0x94]) => {
            let text = String::from_utf8_lossy(&bytes);
            Run::Lost(text.chars().filter(|c| *c != char::REPLACEMENT_CHARACTER).collect())
        }
        Err(_) => Run::Sound,
    }
}

/// The text cut where plain characters begin and end.
fn runs(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let foreign = !rest.chars().next()?.is_ascii();
        let end = rest.find(|c: char| c.is_ascii() == foreign).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        rest = behind;
        Some((run, foreign))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_text_is_brought_back_and_sound_text_left_alone() {
        assert_eq!(repair("5% â†’ 25%").text, "5% → 25%");
        assert_eq!(repair("0% \u{201a}\u{dc}\u{ed} 25%").text, "0% → 25%");
        assert_eq!(repair("\u{f8ff}\u{fc}\u{e9}\u{d8} Purpose").text, "🎯 Purpose");
        for sound in ["café → naïve – “quoted”", "Größe 5 µs", "┌──┐", "плюс", "🎯"]
        {
            assert!(!is_broken(sound), "{sound}");
            assert_eq!(repair(sound).text, sound);
        }
    }

    #[test]
    fn what_is_lost_is_counted() {
        let repaired = repair("ğŸ¯ Overview â†’ next");
        assert_eq!((repaired.repaired, repaired.lost), (1, 1));
        assert_eq!(repaired.text, " Overview → next");
    }
}
