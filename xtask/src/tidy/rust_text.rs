//! Rust source split into what the compiler reads, what people read, and what is a literal.
//!
//! A small scanner, not a parser: it knows comments, strings, raw strings, characters and lifetimes.
//! It must never move a line: every view has the line breaks of the original in the same places.

/// Three views of one file, each with everything else blanked out.
#[derive(Debug)]
pub(crate) struct Views {
    /// Code alone: comments and the inside of literals are blanks.
    pub(crate) code: String,
    /// Comments alone, doc comments included.
    pub(crate) comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Splits a source text. Unterminated comments and literals run to the end of the file.
pub(crate) fn views(text: &str) -> Views {
    let chars: Vec<char> = text.chars().collect();
    let mut kinds = vec![Kind::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let (kind, end) = token(&chars, at);
        let end = end.clamp(at + 1, chars.len());
        if let Some(run) = kinds.get_mut(at..end) {
            run.fill(kind);
        }
        at = end;
    }
    let only = |wanted: Kind| {
        let keep = |(c, kind): (&char, &Kind)| {
            if *kind == wanted || *c == '\n' { *c } else { ' ' }
        };
        chars.iter().zip(&kinds).map(keep).collect()
    };
    Views { code: only(Kind::Code), comments: only(Kind::Comment) }
}

/// The kind of what starts at `at`, and where it ends (exclusive).
fn token(chars: &[char], at: usize) -> (Kind, usize) {
    let peek = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match (peek(0), peek(1)) {
        ('/', '/') => (Kind::Comment, line_end(chars, at)),
        ('/', '*') => (Kind::Comment, block_end(chars, at)),
        ('"', _) => (Kind::Literal, quoted_end(chars, at, '"')),
        ('\'', '\\') => (Kind::Literal, quoted_end(chars, at, '\'')),
        ('\'', c) if c != '\'' && peek(2) == '\'' => (Kind::Literal, at + 3),
        (c, _) if c.is_alphanumeric() || c == '_' => word_or_literal(chars, at),
        _ => (Kind::Code, at + 1),
    }
}

/// A word, or the literal that a prefix such as `r#` or `b` starts.
fn word_or_literal(chars: &[char], at: usize) -> (Kind, usize) {
    let rest = chars.get(at..).unwrap_or_default();
    let length = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
    let word: String = rest.iter().take(length).collect();
    let end = at + length;
    let next = chars.get(end).copied().unwrap_or('\0');
    match (word.as_str(), next) {
        ("b" | "c", '"') => (Kind::Literal, quoted_end(chars, end, '"')),
        ("b", '\'') => (Kind::Literal, quoted_end(chars, end, '\'')),
        ("r" | "br" | "cr", '"' | '#') => match raw_end(chars, end) {
            Some(close) => (Kind::Literal, close),
            None => (Kind::Code, end),
        },
        _ => (Kind::Code, end),
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    let rest = chars.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|c| **c != '\n').count()
}

/// Block comments nest in Rust.
fn block_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut here) = (0_usize, at);
    while here < chars.len() {
        match (chars.get(here), chars.get(here + 1)) {
            (Some('/'), Some('*')) => (depth, here) = (depth + 1, here + 2),
            (Some('*'), Some('/')) if depth == 1 => return here + 2,
            (Some('*'), Some('/')) => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], open: usize, quote: char) -> usize {
    let mut here = open + 1;
    while let Some(c) = chars.get(here) {
        match *c {
            '\\' => here += 2,
            c if c == quote => return here + 1,
            _ => here += 1,
        }
    }
    chars.len()
}

/// The end of a raw string whose hashes or quote start at `at`; `None` for a raw identifier.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = chars.get(at..)?;
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let mut here = at + hashes + 1;
    while here < chars.len() {
        let closing = chars.get(here + 1..here + 1 + hashes);
        if chars.get(here) == Some(&'"') && closing.is_some_and(|run| run.iter().all(|c| *c == '#'))
        {
            return Some(here + 1 + hashes);
        }
        here += 1;
    }
    Some(chars.len())
}

/// The 0-based line on which the tests of a file begin: its first `#[cfg(test)]` at the margin that
/// opens a module with a body. The house keeps tests last, so everything below belongs to them.
pub(crate) fn tests_begin(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let opens_tests = |at: usize| {
        let below = lines.get(at + 1..).unwrap_or_default();
        let next = below.iter().find(|line| !line.starts_with("#["));
        next.is_some_and(|line| line.starts_with("mod ") && line.contains('{'))
    };
    let marked =
        |line: &str| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
    let found = lines.iter().enumerate().find(|(at, line)| marked(line) && opens_tests(*at));
    found.map_or(usize::MAX, |(at, _)| at)
}

/// Whether a file holds tests only: below a `tests` folder, or a `tests.rs`.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs" || part == "benches")
}

/// The words of an identifier: `HTTPServer_v2` gives `http`, `server`, `v2`.
pub(crate) fn words_of(identifier: &str) -> Vec<String> {
    let chars: Vec<char> = identifier.chars().collect();
    let mut words = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| chars.get(i));
        let after = chars.get(at + 1);
        let rises = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase() || b.is_numeric() || after.is_some_and(|a| a.is_lowercase())
            });
        if rises || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The identifiers of one line, with the byte where each starts.
pub(crate) fn identifiers(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = line;
    let mut offset = 0;
    std::iter::from_fn(move || {
        let start = rest.find(is_part)?;
        let tail = rest.get(start..)?;
        let length = tail.find(|c| !is_part(c)).unwrap_or(tail.len());
        let found = (offset + start, tail.get(..length)?);
        rest = tail.get(length..)?;
        offset += start + length;
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_not_code() {
        let text = "let a = \"todo!\"; // FIXME\nlet b = r#\"x\"y\"#; /* c /* d */ e */ f('\\'', 'g', b\"h\")";
        let views = views(text);
        assert!(!views.code.contains("todo"));
        assert!(views.comments.contains("FIXME"));
        assert!(views.code.contains("f("));
        for gone in ["x", "y", "c", "d /", "g", "h"] {
            assert!(!views.code.contains(gone), "{gone} is left in {:?}", views.code);
        }
        assert_eq!(views.code.lines().count(), text.lines().count());
    }

    #[test]
    fn lifetimes_are_code() {
        let views = views("fn f<'a>(x: &'a str) -> &'a str { x } // 'quoted");
        assert!(views.code.contains("'a str) -> &'a str { x }"));
    }

    #[test]
    fn raw_identifiers_are_code() {
        assert!(views("let r#type = 1;").code.contains("r#type"));
    }

    #[test]
    fn identifiers_fall_into_words() {
        assert_eq!(words_of("StepManager"), ["step", "manager"]);
        assert_eq!(words_of("HTTPServer_v2"), ["http", "server", "v2"]);
        assert_eq!(words_of("Metadata"), ["metadata"]);
        assert_eq!(words_of("SHARED_UTILS"), ["shared", "utils"]);
    }

    #[test]
    fn identifiers_know_their_place() {
        let found: Vec<_> = identifiers("if a_b==c9 {").collect();
        assert_eq!(found, [(0, "if"), (3, "a_b"), (8, "c9")]);
    }

    #[test]
    fn tests_begin_at_the_margin() {
        assert_eq!(tests_begin("//! x\n    #[cfg(test)]\n#[cfg(test)]\nmod tests {}"), 2);
        assert_eq!(tests_begin("//! x\n"), usize::MAX);
    }

    #[test]
    fn a_lone_test_item_hides_nothing_below_it() {
        assert_eq!(tests_begin("#[cfg(test)]\nmod tests;\nfn f() {}"), usize::MAX);
        assert_eq!(tests_begin("#[cfg(test)]\nfn only() {}\nfn f() {}"), usize::MAX);
        assert_eq!(tests_begin("#[cfg(test)]\n#[expect(x)]\nmod tests {}"), 0);
    }
}
