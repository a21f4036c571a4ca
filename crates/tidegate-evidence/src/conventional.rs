//! Conventional Commits 1.0.0. Must never guess a type from a subject that has none.

use git_conventional::Commit;

/// Longest message read, bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What a commit's message announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// It is no Conventional Commit.
    Nothing,
    /// Neither of the two below.
    Change,
    /// A feature.
    Feature,
    /// A breaking change.
    Breaking,
}

/// Reads a message. Merges and reverts that git itself words are changes.
#[must_use]
pub fn read(message: &str) -> Announced {
    if message.starts_with("Merge ") || message.starts_with("Revert \"") {
        return Announced::Change;
    }
    if message.len() > MESSAGE_BYTES_MAX {
        return Announced::Nothing;
    }
    match Commit::parse(message.trim_end()) {
        Err(_) => Announced::Nothing,
        Ok(commit) if commit.breaking() => Announced::Breaking,
        Ok(commit) if commit.type_() == git_conventional::Type::FEAT => Announced::Feature,
        Ok(_) => Announced::Change,
    }
}

#[cfg(test)]
mod tests {
    use super::{Announced, read};

    #[test]
    fn reads_what_is_announced() {
        for (message, announced) in [
            ("fix(cart): count once", Announced::Change),
            ("feat: prices\n\nlong text", Announced::Feature),
            ("feat!: new prices", Announced::Breaking),
            ("fix: x\n\nBREAKING CHANGE: y", Announced::Breaking),
            ("Merge branch 'x'", Announced::Change),
            ("prices", Announced::Nothing),
            ("", Announced::Nothing),
        ] {
            assert_eq!(read(message), announced, "{message}");
        }
    }
}
