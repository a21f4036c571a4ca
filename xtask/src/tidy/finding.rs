//! One finding: where, what, and how to mend it. It must never be without the last.

use std::fmt;

/// Prints as `file:line: what; how to mend it`. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) mend: &'static str,
}

impl Finding {
    pub(crate) fn new(
        path: &str,
        line: usize,
        what: impl Into<String>,
        mend: &'static str,
    ) -> Finding {
        Finding { path: path.into(), line, what: what.into(), mend }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.mend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_place_what_and_mending() {
        let finding = Finding::new("a/b.rs", 7, "too long", "split it");
        assert_eq!(finding.to_string(), "a/b.rs:7: too long; split it");
    }
}
