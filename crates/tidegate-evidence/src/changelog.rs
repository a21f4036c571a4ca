//! Keep a Changelog: `## [1.4.0] - 2026-11-25`, `[YANKED]` behind it, entries below.
//! Must never take the section *Unreleased* for a version's.

use tidegate_core::fact::Changelog;

/// Largest changelog read, bytes.
pub const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a changelog says of a version, with or without its `v`.
///
/// # Errors
/// What is wrong with the file.
pub fn read(text: &str, version: &str) -> Result<Changelog, String> {
    let wanted = version.strip_prefix('v').unwrap_or(version);
    if wanted.eq_ignore_ascii_case("unreleased") {
        return Ok(Changelog::default());
    }
    let sections = match parse_changelog::parse(text) {
        Ok(sections) => sections,
        // A file with nothing but *Unreleased* has no release in it, which is an answer.
        Err(error) if error.is_parse() => return Ok(Changelog::default()),
        Err(error) => return Err(error.to_string()),
    };
    let Some(section) = sections.get(wanted).or_else(|| sections.get(version)) else {
        return Ok(Changelog::default());
    };
    let behind = section.title.rsplit_once(wanted).map_or("", |(_, behind)| behind);
    let words: Vec<&str> =
        behind.split([' ', ']', '[', '(', ')']).filter(|word| !word.is_empty()).collect();
    let date = words.iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let entries = section.notes.lines().map(str::trim).filter(|line| {
        !line.is_empty()
            && !line.starts_with('#')
            && !line.starts_with("[")
            && !line.starts_with("<!--")
    });
    Ok(Changelog {
        found: true,
        date: date.map(|date| (*date).to_owned()),
        yanked: words.iter().any(|word| word.eq_ignore_ascii_case("yanked")),
        entries: u64::try_from(entries.count()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    const TEXT: &str = "# Changelog\n\nAll changes.\n\n## [Unreleased]\n\n- soon\n\n\
        ## [1.4.0] - 2026-11-25\n\n### Added\n\n- carts\n- prices\n\n\
        ## [1.3.0] - 2026-10-01 [YANKED]\n\n- gone\n\n## 1.2.0\n\n## [1.1.0] - soon\n\n- x\n\n\
        [1.4.0]: https://example.org/1.4.0\n";

    #[test]
    fn a_section_has_a_date_and_entries() {
        let found = read(TEXT, "v1.4.0").unwrap();
        assert!(found.found && !found.yanked);
        assert_eq!((found.date.as_deref(), found.entries), (Some("2026-11-25"), 2));
        assert!(read(TEXT, "v1.3.0").unwrap().yanked);
        let bare = read(TEXT, "v1.2.0").unwrap();
        assert_eq!((bare.found, bare.date, bare.entries), (true, None, 0));
        assert_eq!(read(TEXT, "v1.1.0").unwrap().date, None);
    }

    #[test]
    fn unreleased_and_missing_are_no_section() {
        for version in ["v2.0.0", "Unreleased", "1.4"] {
            assert!(!read(TEXT, version).unwrap().found, "{version}");
        }
        for text in ["", "# Changelog\n", "## [Unreleased]\n- x\n", "\u{0}\u{1}"] {
            assert!(!read(text, "v1.0.0").unwrap().found, "{text}");
        }
    }
}
