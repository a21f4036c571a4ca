//! Who owns a path, by a CODEOWNERS file with the rules of GitHub's documentation: the last line
//! that fits decides, a pattern with a slash is anchored, a directory owns what is in it, `docs/*`
//! is one level. Negation, ranges and escapes mean nothing, as there.
//! Must never take a line that it cannot read for one that owns nothing.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Where the file may be, in the order in which it is looked for.
pub(crate) const PLACES: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];
/// Largest file, in bytes: GitHub's own limit.
pub(crate) const BYTES_MAX: u64 = 3 * 1024 * 1024;
/// Most lines with a pattern; more make a file that nobody understands.
const LINES_MAX: usize = 10_000;

/// A file, ready to be asked.
#[derive(Debug)]
pub(crate) struct Owners {
    set: GlobSet,
    owners: Vec<Vec<String>>,
}

impl Owners {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence with the line that cannot be read.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        let mut owners = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            let mut words = line.split_whitespace();
            let Some(pattern) = words.next().filter(|pattern| !pattern.starts_with('#')) else {
                continue;
            };
            let glob = GlobBuilder::new(&translate(pattern))
                .literal_separator(true)
                .empty_alternates(true)
                .build();
            let glob = glob.map_err(|error| format!("line {}: {error}", index + 1))?;
            set.add(glob);
            owners.push(words.map(str::to_owned).collect());
            if owners.len() > LINES_MAX {
                return Err(format!("it has more than {LINES_MAX} lines"));
            }
        }
        let set = set.build().map_err(|error| error.to_string())?;
        Ok(Self { set, owners })
    }

    /// The owners of a path, as written; empty when nobody owns it.
    pub(crate) fn of(&self, path: &str) -> &[String] {
        let last = self.set.matches(path).into_iter().max();
        last.and_then(|at| self.owners.get(at)).map_or(&[], Vec::as_slice)
    }
}

/// A line's pattern as a glob over whole paths.
fn translate(pattern: &str) -> String {
    let directory = pattern.ends_with('/');
    let plain = pattern.trim_start_matches('/').trim_end_matches('/');
    // Ranges and alternatives are plain characters there.
    let mut glob = String::with_capacity(plain.len() + 8);
    for c in plain.chars() {
        if matches!(c, '[' | ']' | '{' | '}' | '\\' | '!') {
            glob.push('\\');
        }
        glob.push(c);
    }
    let anchored = pattern.starts_with('/') || plain.contains('/');
    let start = if anchored || glob.starts_with("**") { "" } else { "**/" };
    let last = plain.rsplit('/').next().unwrap_or_default();
    let end = match (directory, last.contains('*')) {
        (true, _) => "/**",
        (false, true) => "",
        // It may name a file or a directory.
        (false, false) => "{,/**}",
    };
    format!("{start}{glob}{end}")
}

#[cfg(test)]
mod tests {
    use super::Owners;

    /// The example of the documentation, line by line.
    const DOCUMENTED: &str = "\
# a comment
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/* docs@example.com
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
";

    #[test]
    fn the_documented_example_is_read_as_documented() {
        let owners = Owners::read(DOCUMENTED).unwrap();
        for (path, wanted) in [
            ("README", "@global-owner1 @global-owner2"),
            ("src/deep/x.js", "@js-owner"),
            ("main.go", "docs@example.com"),
            ("notes/a.txt", "@octo-org/octocats"),
            ("build/logs/today", "@octocat"),
            ("other/apps/x", "@octocat"),
            ("docs/guide.md", "@doctocat"),
            ("docs/deep/guide.md", "@doctocat"),
            ("scripts/run.sh", "@doctocat @octocat"),
            ("a/b/logs/x/y", "@octocat"),
            ("apps/web/x", "@octocat"),
            ("apps/github", ""),
            ("apps/github/x", ""),
        ] {
            assert_eq!(owners.of(path).join(" "), wanted, "{path}");
        }
    }

    #[test]
    fn patterns_reach_as_far_as_they_say() {
        for (pattern, path, fits) in [
            ("docs/*", "docs/a.md", true),
            ("docs/*", "docs/deep/a.md", false),
            ("docs/*", "x/docs/a.md", false),
            ("Makefile", "sub/Makefile", true),
            ("src", "src/lib.rs", true),
            ("/src", "x/src/lib.rs", false),
            ("/*.md", "README.md", true),
            ("/*.md", "docs/README.md", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("**", "anything/at/all", true),
            ("*.[ch]", "x.c", false),
            ("*.[ch]", "x.[ch]", true),
            ("!x", "x", false),
        ] {
            let owners = Owners::read(&format!("{pattern} @o\n")).unwrap();
            assert_eq!(!owners.of(path).is_empty(), fits, "{pattern} {path}");
        }
        assert!(Owners::read("").unwrap().of("x").is_empty());
    }
}
