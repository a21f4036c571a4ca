//! What the tags of a repository call for: which is the newest release, and whether it may begin by
//! itself. Must never call for a version twice, nor for one that is not newer than what is live.

use semver::Version;

/// A tag and the commit that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name, `v1.4.0`.
    pub name: String,
    /// The commit's full name.
    pub commit: String,
}

/// What is to be done about the newest tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// It is new: it can begin.
    Begin,
    /// It is live.
    Live,
    /// A newer version is live.
    Older,
    /// It was begun before, however that ended; a person may begin it again.
    Begun,
    /// It named another commit before: a person has to look.
    Moved {
        /// The commit that it named.
        from: String,
    },
}

fn version(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

/// The tag with the highest version. Tags that are no versions, and pre-releases, are left alone.
#[must_use]
pub fn newest(tags: &[Tag]) -> Option<&Tag> {
    let releases = tags.iter().filter_map(|tag| Some((version(&tag.name)?, tag)));
    let releases = releases.filter(|(version, _)| version.pre.is_empty());
    releases.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, tag)| tag)
}

/// What a tag calls for: `live` is the version that users have, `begun` whether a deployment of
/// this version ever began here, `seen` the commit that the tag named when it was last looked at.
#[must_use]
pub fn due(tag: &Tag, live: Option<&str>, begun: bool, seen: Option<&str>) -> Due {
    if let Some(from) = seen.filter(|from| *from != tag.commit) {
        return Due::Moved { from: from.to_owned() };
    }
    match live.and_then(version).zip(version(&tag.name)) {
        Some((live, tag)) if live == tag => Due::Live,
        Some((live, tag)) if live > tag => Due::Older,
        _ if live == Some(tag.name.as_str()) => Due::Live,
        _ if begun => Due::Begun,
        _ => Due::Begin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Tag {
        Tag { name: name.to_owned(), commit: format!("commit-of-{name}") }
    }

    #[test]
    fn the_newest_is_the_highest_version_and_no_pre_release() {
        let tags = ["v1.9.0", "v1.10.0", "nightly", "v2.0.0-rc.1", "1.2.3"].map(tag);
        assert_eq!(newest(&tags), Some(&tag("v1.10.0")));
        assert_eq!(newest(&[tag("nightly"), tag("v2.0.0-rc.1")]), None);
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn a_version_is_called_for_once_and_only_forward() {
        let new = tag("v1.10.0");
        assert_eq!(due(&new, None, false, None), Due::Begin);
        assert_eq!(due(&new, Some("v1.9.0"), false, Some("commit-of-v1.10.0")), Due::Begin);
        assert_eq!(due(&new, Some("1.10.0"), false, None), Due::Live);
        assert_eq!(due(&new, Some("v1.10.1"), false, None), Due::Older);
        assert_eq!(due(&new, Some("v1.9.0"), true, None), Due::Begun);
        // What runs may have a name that is no version: then only "begun" can tell.
        assert_eq!(due(&new, Some("trunk"), false, None), Due::Begin);
        let moved = due(&new, None, false, Some("another"));
        assert_eq!(moved, Due::Moved { from: "another".to_owned() });
    }
}
