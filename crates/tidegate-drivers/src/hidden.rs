//! Secrets in output: found as they are, in base64, in hex and backwards, and covered.
//! Must never let a secret through because it came in two pieces, nor print one itself.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// What stands in the place of a secret.
const COVER: &[u8] = b"[secret]";
/// Shorter ones are in every output by chance.
const BYTES_MIN: usize = 4;

/// Texts that must not be seen.
#[derive(Clone, Default)]
pub(crate) struct Hidden(Option<Arc<Patterns>>);

struct Patterns {
    find: AhoCorasick,
    longest: usize,
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hidden(..)" } else { "Hidden(nothing)" })
    }
}

impl Hidden {
    /// Hides these secrets in every form in which a program prints one by mistake.
    pub(crate) fn of<'s>(secrets: impl IntoIterator<Item = &'s [u8]>) -> Self {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            let whole = secret.trim_ascii();
            let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            for text in std::iter::once(whole).chain(lines).filter(|t| t.len() >= BYTES_MIN) {
                forms.extend(forms_of(text));
            }
        }
        forms.sort();
        forms.dedup();
        let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
        let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms);
        Self(builder.ok().filter(|_| longest > 0).map(|find| Arc::new(Patterns { find, longest })))
    }

    /// What covers one stream of output.
    pub(crate) fn veil(&self) -> Veil {
        Veil { hidden: self.clone(), held: Vec::new() }
    }
}

fn forms_of(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        text.to_vec(),
        text.iter().rev().copied().collect(),
        HEXLOWER.encode(text).into_bytes(),
        HEXUPPER.encode(text).into_bytes(),
        BASE64.encode(text).into_bytes(),
        BASE64_NOPAD.encode(text).into_bytes(),
        BASE64URL_NOPAD.encode(text).into_bytes(),
        BASE64.encode(&[text, b"\n"].concat()).into_bytes(),
    ];
    // Inside a longer text, base64 has it at one of three alignments: the letters that depend on
    // its bytes alone.
    for (skip, padding) in [(2, &b"\0"[..]), (3, &b"\0\0"[..])] {
        let encoded = BASE64_NOPAD.encode(&[padding, text].concat());
        let whole = (text.len() + padding.len()) / 3 * 4;
        forms.extend(encoded.as_bytes().get(skip..whole).map(<[u8]>::to_vec));
    }
    forms
        .extend(BASE64_NOPAD.encode(text).as_bytes().get(..text.len() / 3 * 4).map(<[u8]>::to_vec));
    forms.retain(|form| form.len() >= BYTES_MIN);
    forms
}

/// Covers secrets in one stream, however it is cut.
#[derive(Debug)]
pub(crate) struct Veil {
    hidden: Hidden,
    /// The end of what came, which may be the beginning of a secret.
    held: Vec<u8>,
}

impl Veil {
    /// What may be shown after these bytes came.
    pub(crate) fn over(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(patterns) = self.hidden.0.clone() else { return bytes.to_vec() };
        self.held.extend_from_slice(bytes);
        // A match that begins behind this point may still become a longer one.
        let safe = self.held.len().saturating_sub(patterns.longest - 1);
        self.release(&patterns, safe)
    }

    /// What was held back, at the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let Some(patterns) = self.hidden.0.clone() else { return Vec::new() };
        let all = self.held.len();
        self.release(&patterns, all)
    }

    fn release(&mut self, patterns: &Patterns, safe: usize) -> Vec<u8> {
        let mut shown = Vec::new();
        let mut at = 0;
        for found in patterns.find.find_iter(&self.held) {
            if found.start() >= safe {
                break;
            }
            shown.extend_from_slice(self.held.get(at..found.start()).unwrap_or_default());
            shown.extend_from_slice(COVER);
            at = found.end();
        }
        let end = safe.max(at);
        shown.extend_from_slice(self.held.get(at..end).unwrap_or_default());
        self.held.drain(..end);
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::Hidden;

    const SECRET: &[u8] = b"correct-horse-battery";

    fn shown(pieces: &[&[u8]]) -> String {
        let mut veil = Hidden::of([SECRET]).veil();
        let mut all: Vec<u8> = pieces.iter().flat_map(|piece| veil.over(piece)).collect();
        all.extend(veil.rest());
        String::from_utf8(all).unwrap()
    }

    /// D-8: plain, base64, hex, backwards, and split over two writes.
    #[test]
    fn a_secret_is_covered_in_every_form_and_cut() {
        assert_eq!(shown(&[b"x correct-horse-battery y"]), "x [secret] y");
        assert_eq!(shown(&[b"x correct-ho", b"rse-battery y"]), "x [secret] y");
        let single: Vec<&[u8]> = SECRET.chunks(1).collect();
        assert_eq!(shown(&single), "[secret]");
        assert_eq!(shown(&[b"yrettab-esroh-tcerroc"]), "[secret]");
        let hex = data_encoding::HEXLOWER.encode(SECRET);
        assert_eq!(shown(&[hex.as_bytes()]), "[secret]");
        for before in ["", "u", "us", "user:"] {
            let text = format!("{before}correct-horse-battery{before}");
            let encoded = data_encoding::BASE64.encode(text.as_bytes());
            let seen = shown(&[encoded.as_bytes()]);
            assert!(seen.contains("[secret]"), "{before}: {seen}");
        }
        assert_eq!(shown(&[b"nothing of it"]), "nothing of it");
    }

    /// What is shown is whole: nothing is lost or doubled where nothing is hidden.
    #[test]
    fn everything_else_stays_as_it_is() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| n.to_le_bytes()).collect();
        let mut veil = Hidden::of([SECRET]).veil();
        let mut all: Vec<u8> = text.chunks(777).flat_map(|piece| veil.over(piece)).collect();
        all.extend(veil.rest());
        assert_eq!(all, text);
        assert_eq!(Hidden::default().veil().over(&text), text);
    }
}
