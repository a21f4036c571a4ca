//! Conditions of a policy: small expressions over what is known when a plan is made. Here is what
//! one may look like, and what was decided; whoever evaluates them does it in a process of its own.
//! Must never let a text through that could keep an evaluator busy: what is not listed is refused.

use serde::{Deserialize, Serialize};

/// Longest condition, bytes.
pub const SOURCE_BYTES_MAX: usize = 2_048;
/// Most operators of one condition.
pub const OPERATORS_MAX: usize = 200;
/// Deepest nesting of brackets.
pub const DEPTH_MAX: usize = 32;

/// What a condition can ask about, with a word about each.
pub const VARIABLES: [(&str, &str); 10] = [
    ("risk", "the risk: low, medium or high"),
    ("low", "the lowest risk"),
    ("medium", "the middle risk"),
    ("high", "the highest risk"),
    ("bump", "how far the version goes: `major`, `minor`, `patch` or `none`"),
    ("version", "the version"),
    ("live", "the live version; empty for the first release"),
    ("environment", "where it runs"),
    ("files", "how many files change"),
    ("commits", "how many commits there are since the live release"),
];

/// What a condition can call.
pub const FUNCTIONS: [(&str, &str); 5] = [
    ("touches", "`touches('safety/**')`: whether a changed file has such a path"),
    ("size", "the length of a text"),
    ("startsWith", "whether a text begins so"),
    ("endsWith", "whether a text ends so"),
    ("contains", "whether a text has another in it"),
];

/// Words of the language itself.
const WORDS: [&str; 3] = ["true", "false", "in"];

/// What was decided about a condition when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Whether what it stands at is needed.
    pub needed: bool,
    /// The condition with the values that it was decided by.
    pub sentence: String,
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Refused {
    /// What is wrong.
    pub what: String,
    /// The word that was not understood.
    pub word: Option<String>,
}

/// Whether a text may be a condition: short, flat, and of known words only. That it is well formed
/// is found out by whoever evaluates it.
///
/// # Errors
/// [`Refused`] with the first thing that is wrong.
pub fn check(text: &str) -> Result<(), Refused> {
    let refused = |what: String| Refused { what, word: None };
    if text.len() > SOURCE_BYTES_MAX {
        return Err(refused(format!("it is longer than {SOURCE_BYTES_MAX} bytes")));
    }
    if text.trim().is_empty() {
        return Err(refused("it says nothing".to_owned()));
    }
    let (mut operators, mut depth) = (0_usize, 0_usize);
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '\'' | '"' => quoted(c, &mut rest)?,
            '(' | '[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(refused(format!("it is nested deeper than {DEPTH_MAX} brackets")));
                }
            }
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' | '}' | '?' | '\\' | '`' | '#' | '@' | ';' | '$' => {
                return Err(refused(format!("`{c}` has no place in it")));
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let more = |c: char| c.is_ascii_alphanumeric() || c == '_';
                while rest.next_if(|(_, c)| more(*c)).is_some() {}
                let end = rest.peek().map_or(text.len(), |(end, _)| *end);
                let word = text.get(at..end).unwrap_or_default();
                // A letter before a quote changes how the text in it is read.
                if matches!(rest.peek(), Some((_, '\'' | '"'))) || !is_known(word) {
                    let what = format!("`{word}` is nothing that can be asked about");
                    return Err(Refused { what, word: Some(word.to_owned()) });
                }
            }
            c if c.is_ascii_digit() || c.is_whitespace() || matches!(c, '.' | ',') => {}
            '<' | '>' | '=' | '!' | '&' | '|' | '+' | '-' | '*' | '/' | '%' => {
                operators += 1;
                if operators > OPERATORS_MAX {
                    return Err(refused(format!("it has more than {OPERATORS_MAX} operators")));
                }
            }
            other => return Err(refused(format!("`{}` has no place in it", other.escape_debug()))),
        }
    }
    Ok(())
}

fn is_known(word: &str) -> bool {
    let variable = VARIABLES.iter().any(|(name, _)| *name == word);
    let function = FUNCTIONS.iter().any(|(name, _)| *name == word);
    variable || function || WORDS.contains(&word)
}

/// A text in quotes, to its end. Without escapes: a text that needs one is not compared here.
fn quoted(
    quote: char,
    rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
) -> Result<(), Refused> {
    for (_, c) in rest {
        if c == quote {
            return Ok(());
        }
        if c == '\\' || c.is_control() {
            break;
        }
    }
    let what = "a text in quotes does not end, or has `\\` in it".to_owned();
    Err(Refused { what, word: None })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_is_listed_passes_and_everything_else_does_not() {
        for good in [
            "risk >= high",
            "touches('safety/**') || bump == \"major\"",
            "!(environment in ['staging', 'development']) && files > 10",
            "version.startsWith('v2.') && size(live) > 0",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("risk == {}", "1".repeat(3_000));
        let deep = format!("{}risk{}", "(".repeat(33), ")".repeat(33));
        let wide = format!("1{}", "+1".repeat(201));
        let bad = [
            ("", "says nothing"),
            ("rsik >= high", "`rsik` is nothing"),
            ("[1,2].map(x, x)", "`map` is nothing"),
            ("version.matches('(a+)+$')", "`matches` is nothing"),
            ("r'a' == version", "`r` is nothing"),
            ("version == 'a", "does not end"),
            ("version == 'a\\'", "does not end"),
            ("{'a': 1}", "`{`"),
            ("risk > 1 ? true : false", "`?`"),
            ("risk > \u{e9}", "has no place"),
            (&long, "longer than"),
            (&deep, "nested deeper"),
            (&wide, "operators"),
        ];
        for (text, words) in bad {
            let refused = check(text).expect_err(text).to_string();
            assert!(refused.contains(words), "{text:.40}: {refused}");
        }
    }
}
