//! The tags of a repository by `git ls-remote`, without a copy of anything.
//!
//! It needs to read the repository, and leaves nothing behind. It must never give the object of an
//! annotated tag for the commit that it names.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use tidegate_core::trigger::Tag;
use tidegate_engine::ports::{Failure, Tags};

use super::cli::{self, FETCH_TIMEOUT};
use super::{GitReleases, git_failed};

/// Longest list that is read, bytes: some hundred thousand tags.
const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How git marks the commit behind an annotated tag.
const PEELED: &str = "^{}";

#[async_trait]
impl Tags for GitReleases {
    async fn tags(&self, repository: &str, pattern: &str) -> Result<Vec<Tag>, Failure> {
        if repository.starts_with('-') || repository.chars().any(char::is_control) {
            return Err(Failure::permanent("TG3003", "the repository's URL is not one"));
        }
        let mut command = cli::git(Path::new("/"));
        let wanted = format!("refs/tags/{pattern}");
        // The second pattern is the first with the mark of what is behind an annotated tag.
        let peeled = format!("{wanted}{PEELED}");
        command.args(["ls-remote", "--quiet", "--", repository, &wanted, &peeled]);
        let said = cli::run(command, LIST_BYTES_MAX, FETCH_TIMEOUT).await;
        let said = said.map_err(|error| git_failed(&error))?;
        if !said.status.success() {
            return Err(Failure::retryable("TG3003", format!("git: {}", said.err)));
        }
        Ok(listed(&String::from_utf8_lossy(&said.out)))
    }
}

fn listed(list: &str) -> Vec<Tag> {
    let mut tags: BTreeMap<&str, &str> = BTreeMap::new();
    for line in list.lines() {
        let Some((object, name)) = line.split_once("\trefs/tags/") else { continue };
        match name.strip_suffix(PEELED) {
            Some(name) => drop(tags.insert(name, object)),
            None => drop(tags.entry(name).or_insert(object)),
        }
    }
    let tag = |(name, commit): (&str, &str)| Tag { name: name.into(), commit: commit.into() };
    tags.into_iter().map(tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotated_tag_is_the_commit_behind_it() {
        let list = "aa\trefs/tags/v1\nbb\trefs/tags/v2\ncc\trefs/tags/v2^{}\nwarning: x\n";
        let tag = |name: &str, commit: &str| Tag { name: name.into(), commit: commit.into() };
        assert_eq!(listed(list), [tag("v1", "aa"), tag("v2", "cc")]);
        assert_eq!(listed("cc\trefs/tags/v2^{}\nbb\trefs/tags/v2\n"), [tag("v2", "cc")]);
    }
}
