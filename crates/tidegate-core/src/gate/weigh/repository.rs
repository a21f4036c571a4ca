//! The repository, and other environments, against demands.
//! Must never compare versions as texts.

use jiff::{SignedDuration, Timestamp};
use semver::Version;

use super::{Word, shown_all};
use crate::fact::{Branches, Changelog, Commits, Files, Signed, Soak, Tag};
use crate::gate::{Bump, Versions};

pub(super) fn version(most: Bump, versions: &Versions) -> Word {
    let parse = |text: &str| Version::parse(text.strip_prefix('v').unwrap_or(text));
    let shown = &versions.version;
    let new = match parse(shown) {
        Ok(new) => new,
        Err(error) => {
            return Word::fail(
                format!("{shown} is no semantic version: {error}"),
                "tag it as in v1.4.0",
            );
        }
    };
    let Some(live) = &versions.live else {
        return Word::pass(format!("{shown} is the first release"));
    };
    let Ok(old) = parse(live) else {
        return Word::no_data(
            format!("the live release {live} is no semantic version to compare with"),
            "`tidegate waive` for this once",
        );
    };
    if new.cmp_precedence(&old).is_le() {
        return Word::fail(
            format!("{shown} is not higher than {live}, which is live"),
            "to go back use `tidegate rollback --to`",
        );
    }
    let bump = bump_between(&old, &new);
    let said = format!("{shown} is a {} bump of {live}", bump.word());
    if bump > most {
        return Word::fail(format!("{said}; at most {} is allowed", most.word()), "raise `bump`");
    }
    Word::pass(said)
}

fn bump_between(old: &Version, new: &Version) -> Bump {
    if old.major != new.major {
        Bump::Major
    } else if old.minor != new.minor {
        Bump::Minor
    } else {
        Bump::Patch
    }
}

pub(super) fn tag(signed: bool, found: &Tag) -> Word {
    if !found.annotated {
        return Word::fail(
            "the tag is a lightweight one: nobody stands behind it",
            "`git tag -a` makes one with author and date",
        );
    }
    match (&found.signer, signed) {
        (Signed::By(who), _) => Word::pass(format!("annotated and signed by {who}")),
        (_, false) => Word::pass("annotated"),
        (Signed::No, true) => Word::fail("the tag is not signed", "`git tag -s`"),
        (Signed::Bad(why), true) => Word::fail(
            format!("the signature of the tag does not count: {why}"),
            "sign with a key that is pinned",
        ),
        (Signed::Unverified(why), true) => {
            Word::no_data(format!("the signature cannot be verified: {why}"), "pin the keys")
        }
    }
}

pub(super) fn commits(
    signed: bool,
    conventional: bool,
    found: &Commits,
    versions: &Versions,
) -> Word {
    let live = versions.live.as_deref().unwrap_or("the beginning");
    let said = format!("{} commits since {live}", found.count);
    if found.since.is_some() && !found.descends {
        return Word::fail(
            format!("the commit does not descend from {live}, which is live"),
            "release from a branch that contains what is live",
        );
    }
    if signed && !found.unsigned.is_empty() {
        let names = shown_all(&found.unsigned);
        return Word::fail(
            format!("{said}, {} not signed by a pinned key: {names}", found.unsigned.len()),
            "sign them anew, or pin the key",
        );
    }
    if conventional && !found.unconventional.is_empty() {
        let names = shown_all(&found.unconventional);
        return Word::fail(
            format!(
                "{said}, {} without a conventional subject: {names}",
                found.unconventional.len()
            ),
            "write them as `type(scope): what`",
        );
    }
    if let Some(word) = Some(()).filter(|()| conventional).and_then(|()| announced(found, versions))
    {
        return word;
    }
    let mut kept = vec![said];
    if signed {
        kept.push("all signed".to_owned());
    }
    if conventional {
        kept.push("all conventional".to_owned());
    }
    Word::pass(kept.join(", "))
}

/// A version that promises less than its commits announce.
fn announced(found: &Commits, versions: &Versions) -> Option<Word> {
    let parse = |text: &str| Version::parse(text.strip_prefix('v').unwrap_or(text)).ok();
    let (old, new) = (parse(versions.live.as_deref()?)?, parse(&versions.version)?);
    // Before 1.0.0 anything may change in a minor version.
    let needed = match (found.breaking, found.feature) {
        (true, _) if old.major > 0 => Bump::Major,
        (true, _) | (_, true) => Bump::Minor,
        _ => Bump::Patch,
    };
    let bump = bump_between(&old, &new);
    (bump < needed).then(|| {
        Word::fail(
            format!(
                "the commits announce a {} change, {} is a {} bump",
                needed.word(),
                versions.version,
                bump.word()
            ),
            "tag the version that the commits ask for",
        )
    })
}

pub(super) fn branch(into: &str, from: &[String], found: &Branches) -> Word {
    if let Some(problem) = &found.problem {
        return Word::fail(problem.clone(), format!("merge into {into} and tag what is there"));
    }
    match (&found.on, &found.merged_from) {
        (None, _) => Word::fail(
            format!("the commit is not on {into}"),
            format!("merge into {into} and tag what is there"),
        ),
        (Some(on), _) if from.is_empty() => Word::pass(format!("on {on}")),
        (Some(on), Some(merged)) => Word::pass(format!("on {on}, merged from {merged}")),
        (Some(on), None) => Word::fail(
            format!("on {on}, but not by a merge of {}", from.join(" or ")),
            "release by a merge, not by a direct push",
        ),
    }
}

pub(super) fn changelog(file: &str, found: &Changelog, versions: &Versions) -> Word {
    let version = &versions.version;
    let write = format!("write the section of {version} in {file}, and tag that commit");
    if !found.found {
        return Word::fail(format!("{file} has no section for {version}"), write);
    }
    if found.yanked {
        return Word::fail(
            format!("{file} says that {version} was withdrawn"),
            "tag another version",
        );
    }
    if found.entries == 0 {
        return Word::fail(format!("{file} says nothing about {version}"), write);
    }
    match &found.date {
        None => Word::fail(format!("{file} gives {version} no date"), write),
        Some(date) if date.parse::<jiff::civil::Date>().is_err() => {
            Word::fail(format!("{file} dates {version} `{date}`, which is no date"), write)
        }
        Some(date) => {
            Word::pass(format!("{file} has {} lines about {version} of {date}", found.entries))
        }
    }
}

pub(super) fn files(found: &Files) -> Word {
    if found.missing.is_empty() && !found.present.is_empty() {
        return Word::pass(format!("{} are there", shown_all(&found.present)));
    }
    let missing = shown_all(&found.missing);
    Word::fail(format!("missing or empty in the commit: {missing}"), "add them and tag anew")
}

pub(super) fn soak(
    environment: &str,
    lasts: SignedDuration,
    found: &Soak,
    versions: &Versions,
    now: Timestamp,
) -> Word {
    let version = &versions.version;
    let deploy = format!("deploy {version} to {environment} and let it run for {lasts:#}");
    let Some(since) = found.since else {
        let why = found.broken.as_deref().unwrap_or("it was never live there");
        return Word::no_data(format!("not green in {environment}: {why}"), deploy);
    };
    let green = now.duration_since(since);
    let said = format!("green in {environment} for {green:#}, since {since}");
    if green >= lasts {
        return Word::pass(said);
    }
    let due = since.checked_add(lasts).unwrap_or(Timestamp::MAX);
    Word::fail(format!("{said}; {lasts:#} are needed"), format!("deploy again at {due} or later"))
}
