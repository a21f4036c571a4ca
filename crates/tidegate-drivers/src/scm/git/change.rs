//! What a commit changes against what is live, and by whose hands: authors, committers, co-authors
//! of every commit between, and who made the tag. Owners come from the base commit, so that nobody
//! makes themselves one.
//! Must never leave out a hand because there are many.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::approval::{Change, Owned};
use tidegate_core::digest::Digest;
use tidegate_core::plan::Release;
use tidegate_engine::ports::{Changed, CommitLine, Failure};

use super::cli::{self, Repository};
use super::{check_commit, export, export_failed, git_failed};
use crate::scm::owners::{self, Owners};

/// Most touched paths: a larger change is not reviewed by anybody.
const PATHS_MAX: usize = 50_000;
/// Longest list of paths or hands, in bytes.
const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most commits between two releases.
const COMMITS_MAX: &str = "--max-count=20000";
/// Most commits that are listed; the number of all is said.
const LISTED_MAX: &str = "--max-count=100";
/// Most sets of owners that are told apart.
const OWNED_MAX: usize = 1_000;

pub(super) async fn change(
    repository: &Repository,
    base: Option<&str>,
    release: &Release,
) -> Result<Changed, Failure> {
    check_commit(&release.commit)?;
    if let Some(base) = base {
        check_commit(base)?;
    }
    let paths = paths(repository, base, &release.commit).await?;
    let hands = hands(repository, base, release).await?;
    let file = owners_file(repository, base.unwrap_or(&release.commit)).await?;
    let owners = match &file {
        Some(text) => Owners::read(text),
        None => Owners::read(""),
    };
    let owners = owners.map_err(|what| {
        Failure::permanent("TG3050", format!("the owners file cannot be read: {what}"))
    })?;
    let change = Change {
        base: base.map(str::to_owned),
        owners: file.map(|text| Digest::of(text.as_bytes())),
        owned: by_owner(&owners, &paths)?,
        paths: u64::try_from(paths.len()).unwrap_or(u64::MAX),
        hands,
    };
    let (commits, commit_count) = match base {
        Some(base) => commits(repository, base, &release.commit).await?,
        None => (Vec::new(), 0),
    };
    Ok(Changed { change, paths, commits, commit_count })
}

fn by_owner(owners: &Owners, paths: &[String]) -> Result<Vec<Owned>, Failure> {
    let mut groups: BTreeMap<Vec<String>, Owned> = BTreeMap::new();
    for path in paths {
        let owners = owners.of(path).to_vec();
        let first = || Owned { path: path.clone(), paths: 0, owners: owners.clone() };
        groups.entry(owners.clone()).or_insert_with(first).paths += 1;
    }
    if groups.len() > OWNED_MAX {
        return Err(too_large(&format!("its paths have {} sets of owners", groups.len())));
    }
    Ok(groups.into_values().collect())
}

fn too_large(what: &str) -> Failure {
    Failure::permanent("TG3051", format!("the change is too large to be reviewed: {what}"))
}

async fn asked(repository: &Repository, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    match repository.ask(arguments, LIST_BYTES_MAX).await {
        Ok(said) if said.status.success() => Ok(said.out),
        Ok(said) => Err(Failure::permanent("TG3005", format!("git: {}", said.err))),
        Err(cli::Error::TooMuch(limit)) => {
            Err(too_large(&format!("git lists more than {limit} bytes of it")))
        }
        Err(error) => Err(git_failed(&error)),
    }
}

/// Every path that differs, under its old and its new name; all of them without a base.
async fn paths(
    repository: &Repository,
    base: Option<&str>,
    commit: &str,
) -> Result<Vec<String>, Failure> {
    let listed = match base {
        Some(base) => {
            let arguments =
                ["diff-tree", "-r", "-z", "--no-renames", "--name-only", "--end-of-options"];
            asked(repository, &[&arguments[..], &[base, commit]].concat()).await?
        }
        None => {
            let arguments = ["ls-tree", "-r", "-z", "--name-only", "--end-of-options", commit];
            asked(repository, &arguments).await?
        }
    };
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    if paths.len() > PATHS_MAX {
        return Err(too_large(&format!("it touches {} paths", paths.len())));
    }
    Ok(paths)
}

/// The newest commits since the base, and how many there are.
async fn commits(
    repository: &Repository,
    base: &str,
    commit: &str,
) -> Result<(Vec<CommitLine>, u64), Failure> {
    let range = format!("{base}..{commit}");
    let asks = ["log", "-z", LISTED_MAX, "--format=%h%n%an%n%s", "--end-of-options", &range];
    let log = asked(repository, &asks).await?;
    let listed = log.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).map(|entry| {
        let text = String::from_utf8_lossy(entry);
        let mut lines = text.lines().map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        CommitLine { name: next(), author: next(), subject: next() }
    });
    let listed = listed.collect();
    let counted = asked(repository, &["rev-list", "--count", "--end-of-options", &range]).await?;
    let count = String::from_utf8_lossy(&counted).trim().parse();
    let count = count.map_err(|_odd| Failure::permanent("TG3005", "git counts no commits"))?;
    Ok((listed, count))
}

/// Everybody with a hand in it. Without a base that is the tagged commit's alone: else nobody who
/// ever wrote a line could approve the first deployment.
async fn hands(
    repository: &Repository,
    base: Option<&str>,
    release: &Release,
) -> Result<BTreeSet<String>, Failure> {
    const FORMAT: &str = "--format=%an%x00%ae%x00%cn%x00%ce%x00\
        %(trailers:key=Co-authored-by,valueonly,separator=%x00)";
    let range = base.map(|base| format!("{base}..{}", release.commit));
    let many = if base.is_some() { COMMITS_MAX } else { "--max-count=1" };
    let range = range.as_deref().unwrap_or(&release.commit);
    let asks = ["log", "--no-mailmap", many, FORMAT, "--end-of-options", range];
    let log = asked(repository, &asks).await?;
    let mut hands = BTreeSet::new();
    for word in log.split(|byte| matches!(byte, 0 | b'\n')) {
        add(&mut hands, &String::from_utf8_lossy(word));
    }
    let tag = format!("refs/tags/{}", release.version);
    let format = "--format=%(taggername)%00%(taggeremail)";
    let tagger = asked(repository, &["for-each-ref", format, &tag]).await?;
    for word in tagger.split(|byte| matches!(byte, 0 | b'\n')) {
        add(&mut hands, &String::from_utf8_lossy(word));
    }
    Ok(hands)
}

/// A name, an address, or both as `Mira Novak <mira@example.org>`, each under every form by which an
/// account may be known: the address, what stands before its `@`, and the handle of a
/// `123+mira@users.noreply...` address.
fn add(hands: &mut BTreeSet<String>, words: &str) {
    let (name, address) = match words.split_once('<') {
        Some((name, rest)) => (name, rest.trim_end_matches('>')),
        None if words.contains('@') => ("", words),
        None => (words, ""),
    };
    for text in [name, address] {
        let text = text.trim().to_lowercase();
        if let Some((local, _)) = text.split_once('@') {
            let handle = local.split_once('+').map_or(local, |(_, handle)| handle);
            hands.extend([local, handle].map(str::to_owned));
        }
        if !text.is_empty() {
            hands.insert(text);
        }
    }
}

async fn owners_file(repository: &Repository, commit: &str) -> Result<Option<String>, Failure> {
    for place in owners::PLACES {
        let entries = export::list(repository, commit, Some(place)).await.map_err(export_failed)?;
        let mut files = entries.into_iter().filter(|e| matches!(&*e.mode, "100644" | "100755"));
        let Some(entry) = files.next() else { continue };
        let said = repository.ask(&["cat-file", "blob", &entry.object], owners::BYTES_MAX).await;
        return match said {
            Ok(said) if said.status.success() => {
                Ok(Some(String::from_utf8_lossy(&said.out).into_owned()))
            }
            Ok(said) => Err(Failure::permanent("TG3005", format!("{place}: {}", said.err))),
            Err(cli::Error::TooMuch(limit)) => {
                Err(Failure::permanent("TG3050", format!("{place} is longer than {limit} bytes")))
            }
            Err(error) => Err(git_failed(&error)),
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::add;

    #[test]
    fn a_hand_is_known_by_every_form_of_its_name() {
        let mut hands = BTreeSet::new();
        add(&mut hands, "Mira Novak <12+mira-n@users.noreply.github.com>");
        add(&mut hands, "Kofi@Example.org");
        add(&mut hands, "lin");
        add(&mut hands, "");
        let known = |name: &str| hands.contains(name);
        assert!(known("mira novak") && known("mira-n") && known("kofi") && known("lin"));
        assert!(known("kofi@example.org") && !known(""), "{hands:?}");
    }
}
