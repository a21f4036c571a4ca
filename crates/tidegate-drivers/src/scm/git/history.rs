//! What a repository says of a release: its tag, the commits since what is live, the branches.
//!
//! Signatures are held against keys that the server pins, never against keys, programs or settings
//! of the repository that is judged. Must never change a repository.

use std::path::Path;

use globset::GlobMatcher;
use tidegate_core::fact::{Branches, Commits, Signed, Tag};
use tidegate_core::plan::Release;
use tidegate_engine::ports::Failure;
use tidegate_evidence::conventional::{self, Announced};
use tokio::process::Command;

use super::cli::{self, Repository};
use super::{GitReleases, NAMES_BYTES_MAX, Need, check_commit, check_version, git_failed};
use crate::text;

/// Most commits looked at between two releases.
const COMMITS_MAX: usize = 5_000;
/// Longest answer to a question about commits, bytes.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest subject repeated in a sentence, characters.
const SUBJECT_CHARS_MAX: usize = 60;
/// Separates the fields of a commit, and the commits: neither can stand in a message.
const FORMAT: &str = "--format=%H%x1f%G?%x1f%GS%x1f%an%x1f%B%x1e";

impl GitReleases {
    /// The tag of a release: what kind it is and who signed it.
    ///
    /// # Errors
    /// [`Failure`] when git does not answer.
    pub(crate) async fn tag(&self, release: &Release, signers: &Path) -> Result<Tag, Failure> {
        check_version(&release.version)?;
        let repository = self.open(&release.repository, Need::Commit(&release.commit)).await?;
        let name = format!("refs/tags/{}", release.version);
        let kind = ask(&repository, &["cat-file", "-t", "--end-of-options", &name]).await?;
        if kind.trim() != "tag" {
            return Ok(Tag { annotated: false, signer: Signed::No });
        }
        let body = ask(&repository, &["cat-file", "tag", "--end-of-options", &name]).await?;
        let signed = ["-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----"];
        if !signed.iter().any(|mark| body.contains(mark)) {
            return Ok(Tag { annotated: true, signer: Signed::No });
        }
        if !signers.is_file() {
            return Ok(Tag { annotated: true, signer: unpinned(signers) });
        }
        let mut command = pinned(&repository, signers);
        command.args(["verify-tag", "--raw", &name]);
        let said = cli::run(command, NAMES_BYTES_MAX, cli::LOCAL_TIMEOUT).await;
        let said = said.map_err(|error| git_failed(&error))?;
        let good = said.status.success().then(|| principal(&said.err)).flatten();
        let signer = good.map_or_else(|| Signed::Bad(shorten(&said.err)), Signed::By);
        Ok(Tag { annotated: true, signer })
    }

    /// The commits from what is live, or from the beginning, to the release.
    ///
    /// # Errors
    /// [`Failure`] when git does not answer, or there are more than can be looked at.
    pub(crate) async fn commits(
        &self,
        release: &Release,
        live: Option<&str>,
        signers: &Path,
    ) -> Result<Commits, Failure> {
        check_commit(&release.commit)?;
        let repository = self.open(&release.repository, Need::Commit(&release.commit)).await?;
        let range = match live {
            Some(live) => {
                check_commit(live)?;
                format!("{live}..{}", release.commit)
            }
            None => release.commit.clone(),
        };
        let most = format!("--max-count={}", COMMITS_MAX + 1);
        let mut command = pinned(&repository, signers);
        command.args(["log", "--no-color", "--no-show-signature", &most, FORMAT]);
        command.args(["--end-of-options", &range]);
        let said = cli::run(command, LOG_BYTES_MAX, cli::LOCAL_TIMEOUT).await;
        let said = said.map_err(|error| git_failed(&error))?;
        if !said.status.success() {
            return Err(Failure::permanent("TG3005", format!("git: {}", said.err)));
        }
        let log = String::from_utf8_lossy(&said.out).into_owned();
        let mut found = Commits { since: live.map(str::to_owned), ..Commits::default() };
        for record in log.split('\x1e').map(str::trim_start).filter(|record| !record.is_empty()) {
            found.count += 1;
            take(&mut found, record);
        }
        if found.count > COMMITS_MAX as u64 {
            let what = format!("more than {COMMITS_MAX} commits since the live release");
            return Err(Failure::permanent("TG3046", what));
        }
        found.descends = match live {
            Some(live) => is_ancestor(&repository, live, &release.commit).await?,
            None => true,
        };
        Ok(found)
    }

    /// How the commit of a release came to a branch.
    ///
    /// # Errors
    /// [`Failure`] when git does not answer.
    pub(crate) async fn branches(
        &self,
        release: &Release,
        into: &str,
        from: &[String],
    ) -> Result<Branches, Failure> {
        check_commit(&release.commit)?;
        check_version(into)?;
        let repository = self.open(&release.repository, Need::Commit(&release.commit)).await?;
        let Some(branch) = branch(&repository, into).await? else {
            let problem = Some(format!("the repository has no branch {into}"));
            return Ok(Branches { problem, ..Branches::default() });
        };
        if !is_ancestor(&repository, &release.commit, &branch).await? {
            return Ok(Branches::default());
        }
        let mut found = Branches { on: Some(into.to_owned()), ..Branches::default() };
        let patterns: Vec<GlobMatcher> = from
            .iter()
            .map(|pattern| tidegate_evidence::pattern(pattern))
            .collect::<Result<_, String>>()
            .map_err(|what| Failure::permanent("TG3041", what))?;
        if !patterns.is_empty() {
            found.merged_from = merged(&repository, release, &branch, &patterns).await?;
        }
        Ok(found)
    }
}

/// A git command that verifies with pinned keys and no program of the repository.
fn pinned(repository: &Repository, signers: &Path) -> Command {
    let mut allowed = std::ffi::OsString::from("gpg.ssh.allowedSignersFile=");
    allowed.push(signers);
    let mut command = cli::git(&repository.path);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").arg("-c").arg(allowed);
    for setting in [
        "gpg.ssh.program=ssh-keygen",
        "gpg.ssh.revocationFile=",
        "gpg.ssh.defaultKeyCommand=",
        // Only keys of the file above are pinned; a keyring of the server's user is not.
        "gpg.program=false",
        "gpg.openpgp.program=false",
        "gpg.x509.program=false",
        "log.showSignature=false",
        "core.commentChar=#",
    ] {
        command.args(["-c", setting]);
    }
    command
}

async fn ask(repository: &Repository, arguments: &[&str]) -> Result<String, Failure> {
    let said = repository.ask(arguments, NAMES_BYTES_MAX).await;
    let said = said.map_err(|error| git_failed(&error))?;
    if said.status.success() {
        return Ok(String::from_utf8_lossy(&said.out).into_owned());
    }
    Err(Failure::permanent("TG3005", format!("git: {}", said.err)))
}

fn unpinned(signers: &Path) -> Signed {
    Signed::Unverified(format!("no keys are pinned in {}", signers.display()))
}

/// `Good "git" signature for ada@example.org with ED25519 key SHA256:...`
fn principal(said: &str) -> Option<String> {
    let rest = said.split_once("signature for ")?.1;
    Some(rest.split_once(" with ")?.0.to_owned())
}

fn shorten(said: &str) -> String {
    text::printable(said, SUBJECT_CHARS_MAX)
}

/// Takes one commit: name, state of the signature, signer, author, message.
fn take(found: &mut Commits, record: &str) {
    let fields: Vec<&str> = record.splitn(5, '\x1f').collect();
    let [name, state, _signer, author, message] = fields.as_slice() else {
        found.unsigned.push("a commit that git does not describe".to_owned());
        return;
    };
    let short = name.get(..8).unwrap_or(name);
    // G is a good signature of a pinned key; every other letter lacks one of the two.
    if *state != "G" {
        let what = match *state {
            "N" => "not signed",
            "B" => "the signature does not fit",
            "U" | "E" => "the key is not pinned",
            "X" | "Y" | "R" => "the key or signature has expired or was revoked",
            _ => "the signature cannot be verified",
        };
        found.unsigned.push(format!("{short} of {}: {what}", shorten(author)));
    }
    match conventional::read(message) {
        Announced::Nothing => {
            let subject = message.lines().next().unwrap_or_default();
            found.unconventional.push(format!("{short} `{}`", shorten(subject)));
        }
        Announced::Change => {}
        Announced::Feature => found.feature = true,
        Announced::Breaking => found.breaking = true,
    }
}

async fn is_ancestor(repository: &Repository, older: &str, newer: &str) -> Result<bool, Failure> {
    let arguments = ["merge-base", "--is-ancestor", older, newer];
    let said = repository.ask(&arguments, NAMES_BYTES_MAX).await;
    let said = said.map_err(|error| git_failed(&error))?;
    match said.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        // A commit that the repository does not have is no ancestor of anything in it.
        _ if said.err.contains("Not a valid commit") => Ok(false),
        _ => Err(Failure::permanent("TG3005", format!("git: {}", said.err))),
    }
}

/// The commit of a branch: of the repository itself, or as it was fetched.
async fn branch(repository: &Repository, name: &str) -> Result<Option<String>, Failure> {
    for place in ["refs/heads", "refs/remotes/origin"] {
        let name = format!("{place}/{name}^{{commit}}");
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
        let said = repository.ask(&arguments, NAMES_BYTES_MAX).await;
        let said = said.map_err(|error| git_failed(&error))?;
        let commit = String::from_utf8_lossy(&said.out).trim().to_owned();
        if said.status.success() && check_commit(&commit).is_ok() {
            return Ok(Some(commit));
        }
    }
    Ok(None)
}

/// The branch by whose merge the commit came: the merge is the commit itself, or the first one on
/// the branch's own line that contains it.
async fn merged(
    repository: &Repository,
    release: &Release,
    branch: &str,
    patterns: &[GlobMatcher],
) -> Result<Option<String>, Failure> {
    let parents = format!("{}^@", release.commit);
    let arguments = [
        "log",
        "--first-parent",
        "--ancestry-path",
        "--reverse",
        "--format=%H%x1f%P%x1f%s",
        branch,
        // Names checked as full commits: neither can be an option.
        "--not",
        &parents,
    ];
    let said = repository.ask(&arguments, LOG_BYTES_MAX).await;
    let said = said.map_err(|error| git_failed(&error))?;
    let log = String::from_utf8_lossy(&said.out).into_owned();
    let Some(line) = log.lines().next() else { return Ok(None) };
    let fields: Vec<&str> = line.splitn(3, '\x1f').collect();
    let [_name, parents, subject] = fields.as_slice() else { return Ok(None) };
    if parents.split_whitespace().count() < 2 {
        return Ok(None);
    }
    let from = merged_branch(subject);
    Ok(from.filter(|name| patterns.iter().any(|pattern| pattern.is_match(name))))
}

/// `Merge branch 'release/1.5'`, `Merge branch 'x' into main`,
/// `Merge pull request #7 from shop/release/1.5`, `Merge remote-tracking branch 'origin/x'`.
fn merged_branch(subject: &str) -> Option<String> {
    if let Some((_, rest)) = subject.split_once(" from ")
        && subject.starts_with("Merge pull request ")
    {
        let name = rest.split_whitespace().next()?;
        return name.split_once('/').map(|(_owner, branch)| branch.to_owned());
    }
    let quoted = subject.strip_prefix("Merge ")?.split('\'').nth(1)?;
    Some(quoted.strip_prefix("origin/").unwrap_or(quoted).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{merged_branch, principal};

    #[test]
    fn merges_name_their_branch() {
        for (subject, branch) in [
            ("Merge branch 'release/1.5'", Some("release/1.5")),
            ("Merge branch 'release/1.5' into main", Some("release/1.5")),
            ("Merge pull request #7 from shop/release/1.5", Some("release/1.5")),
            ("Merge remote-tracking branch 'origin/staging'", Some("staging")),
            ("fix: Merge nothing", None),
            ("Release 1.5", None),
        ] {
            assert_eq!(merged_branch(subject).as_deref(), branch, "{subject}");
        }
    }

    #[test]
    fn a_good_signature_names_its_principal() {
        let said = "Good \"git\" signature for ada@example.org with ED25519 key SHA256:x";
        assert_eq!(principal(said).as_deref(), Some("ada@example.org"));
        assert_eq!(principal("Good \"git\" signature with ED25519 key SHA256:x"), None);
    }
}
