//! What a file must be before it is looked at as YAML: short, plain, honest text.
//! Must never cost more than one pass over the bytes.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, turns_text};
use crate::report::{Report, Span};

/// Largest file, in bytes. The longest real one is below 20 KiB; a parser's time on hostile input
/// grows faster than its length. Callers must not read more than this from a file.
pub const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// The bytes as text.
///
/// # Errors
/// One finding when the bytes are too many, or not UTF-8.
pub fn decode<'b>(bytes: &'b [u8], name: &str) -> Result<&'b str, Diagnostics> {
    let mut report = Report::new(name, "");
    if bytes.len() > SOURCE_BYTES_MAX {
        too_large(bytes.len(), &mut report);
        return Err(report.finish());
    }
    let encoding = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => None,
    };
    match (std::str::from_utf8(bytes), encoding) {
        (Ok(text), None) => Ok(text),
        (result, encoding) => {
            let valid = result.map_or_else(|error| error.valid_up_to(), str::len);
            let line = 1 + bytes.iter().take(valid).filter(|byte| **byte == b'\n').count();
            let message = match encoding {
                Some(encoding) => format!("{name} is {encoding}, not UTF-8"),
                None => format!("{name} is not UTF-8: byte {valid}, in line {line}"),
            };
            let mut finding = Diagnostic::new(codes::ENCODING, Severity::Error, message);
            finding.help("save the file as UTF-8");
            report.add(finding, None);
            Err(report.finish())
        }
    }
}

/// Reports what keeps the source from being read; true when nothing does.
pub(crate) fn check(source: &str, index: u16, report: &mut Report<'_>) -> bool {
    if source.len() > SOURCE_BYTES_MAX {
        too_large(source.len(), report);
        return false;
    }
    let mut sound = true;
    for (line, text) in (1_u32..).zip(source.lines()) {
        let Some((column, c)) = (1_u32..).zip(text.chars()).find(|(_, c)| refused(*c)) else {
            continue;
        };
        let at = Span { source: index, line, column, length: 1 };
        let number = u32::from(c);
        if turns_text(c) {
            report
                .error(
                    codes::HIDDEN_CHARACTER,
                    at,
                    format!("the invisible character U+{number:04X} turns the text behind it"),
                )
                .help("delete it: the line does not say what it seems to say");
        } else {
            report
                .error(codes::ENCODING, at, format!("the control character U+{number:04X}"))
                .help("delete it; inside double quotes it may be written as an escape");
        }
        sound = false;
    }
    sound
}

fn refused(c: char) -> bool {
    turns_text(c) || (c.is_control() && c != '\t' && c != '\r')
}

fn too_large(bytes: usize, report: &mut Report<'_>) {
    let message = format!("the file has {bytes} bytes: the most is {SOURCE_BYTES_MAX}");
    report.add(Diagnostic::new(codes::TOO_LARGE, Severity::Error, message), None);
}
