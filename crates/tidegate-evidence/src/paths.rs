//! Files that a gate calls critical, picked out of a coverage report by pattern.
//! Must never match a file by a part of its name.

use globset::{GlobBuilder, GlobMatcher};
use tidegate_core::fact::{Coverage, Ratio};

/// Most files of one coverage report.
pub(crate) const FILES_MAX: usize = 100_000;

/// Whether a pattern can be one: `src/payment/**`, `*.rs`; `*` stays inside a directory.
///
/// # Errors
/// What is wrong with it.
pub fn pattern(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.to_string())
}

/// Adds up the lines of the files that each pattern matches. A pattern that matches nothing gets
/// no entry: nothing is known of it then.
///
/// # Errors
/// The first pattern that is none.
pub fn fill_critical(coverage: &mut Coverage, patterns: &[String]) -> Result<(), String> {
    for text in patterns {
        let matcher = pattern(text)?;
        let mut whole = Ratio::default();
        let matching = coverage.files.iter().filter(|(path, _)| {
            let path = path.trim_start_matches("./");
            // Tools write absolute paths as well: any trailing part of whole names may match.
            let tails = path.match_indices('/').filter_map(|(at, _)| path.get(at + 1..));
            std::iter::once(path).chain(tails).any(|tail| matcher.is_match(tail))
        });
        for (_, ratio) in matching {
            whole.add(*ratio);
        }
        if whole.whole > 0 {
            coverage.critical.insert(text.clone(), whole);
        }
    }
    Ok(())
}
