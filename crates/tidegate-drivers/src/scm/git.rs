//! Releases from a git repository: a path on this machine or a URL that git understands.
//!
//! Needs: the `git` program (2.38 or newer), the right to read the repository, and for a URL
//! whatever git needs to fetch it without asking. To undo by hand: remove
//! `<state_dir>/repositories`, `work` and unused `artifacts`.
//!
//! It must never read a work tree, take a branch for a tag, or run a program that a repository
//! names, but for the build that the plan declares.

mod anchor;
mod change;
mod cli;
mod export;
mod history;
mod tags;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_core::digest::Digest;
use tidegate_core::ids::DeploymentId;
use tidegate_core::plan::{Plan, Release, Step};
use tidegate_engine::ports::{Changed, Failure, Releases};
use tokio::sync::Mutex;

use crate::files;
use crate::hidden::Hidden;
use crate::once::{self, End, Once};
use crate::text;

use super::artifact;
pub use anchor::GitAnchor;
use cli::Repository;

/// Longest version text, in bytes: it becomes part of names and messages.
const VERSION_BYTES_MAX: usize = 200;
/// Most tags looked at to name those that are near.
const TAGS_MAX: &str = "--count=1000";
/// Longest answer to a question about names, in bytes.
const NAMES_BYTES_MAX: u64 = 1024 * 1024;
/// How many near tags are named.
const NEAR_MAX: usize = 3;
/// Lines of a failed build in the message.
const BUILD_LINES_MAX: usize = 5;

/// Where releases are made.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `artifacts`, `repositories`, `work` and `logs`.
    pub state_dir: PathBuf,
}

/// Releases by the `git` program.
#[derive(Debug)]
pub struct GitReleases {
    config: Config,
    // One fetch of a mirror at a time.
    mirrors: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

impl GitReleases {
    /// Releases that are made under a state directory. Touches nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, mirrors: Mutex::new(BTreeMap::new()) }
    }

    /// The directory of an artifact.
    #[must_use]
    pub fn artifact(&self, digest: &Digest) -> PathBuf {
        self.config.state_dir.join("artifacts").join(digest.as_str())
    }

    // A path is asked where it is. A URL is mirrored: `fresh` fetches in any case, otherwise only
    // a missing commit does.
    async fn open(&self, repository: &str, need: Need<'_>) -> Result<Repository, Failure> {
        if !is_url(repository) {
            return local(repository);
        }
        if repository.starts_with('-') || repository.chars().any(char::is_control) {
            return Err(Failure::permanent("TG3003", "the repository's URL is not one"));
        }
        let digest = Digest::of(repository.as_bytes());
        let path = self.config.state_dir.join("repositories").join(digest.as_str());
        let turn = Arc::clone(self.mirrors.lock().await.entry(repository.to_owned()).or_default());
        let _turn = turn.lock().await;
        let mirror = Repository { path };
        let fetch = match need {
            Need::Fresh => true,
            Need::Commit(commit) => !has_commit(&mirror, commit).await,
        };
        if fetch {
            fetch_mirror(&mirror, repository).await?;
        }
        Ok(mirror)
    }

    async fn build(
        &self,
        deployment: &DeploymentId,
        step: &Step,
        tree: &Path,
    ) -> Result<(), Failure> {
        let log = self.logs_of(deployment).join("build.log");
        let shown = text::printable(&step.argv.join(" "), text::EXCERPT_CHARS_MAX);
        let kept = |error: std::io::Error| {
            Failure::retryable("TG3011", format!("{}: {error}", log.display()))
        };
        files::make_private(&self.logs_of(deployment)).map_err(kept)?;
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(&log).map_err(kept)?;
        writeln!(file, "[tidegate: {shown}]").map_err(kept)?;
        let ran = once::run(Once {
            argv: &step.argv,
            directory: tree,
            env: step.env.clone(),
            timeout: step.timeout.unsigned_abs(),
            log: Some(&log),
            thorough: true,
            mark: None,
            input: None,
            hidden: Hidden::default(),
        })
        .await
        .map_err(|error| Failure::permanent("TG3009", format!("the build: {error}")))?;
        let said = text::last_lines(&ran.tail, BUILD_LINES_MAX);
        match ran.end {
            End::Exited(status) if status.success() => Ok(()),
            End::Exited(status) => Err(Failure::permanent(
                "TG3009",
                format!("the build `{shown}` {}: {said}", once::words(status)),
            )),
            End::TimedOut => Err(Failure::permanent(
                "TG3010",
                format!("the build `{shown}` did not end within {:#}: {said}", step.timeout),
            )),
        }
    }

    fn logs_of(&self, deployment: &DeploymentId) -> PathBuf {
        self.config.state_dir.join("logs").join(deployment.as_str())
    }
}

#[derive(Debug, Clone, Copy)]
enum Need<'a> {
    Fresh,
    Commit(&'a str),
}

/// Whether git would speak to another program or machine to read this.
fn is_url(repository: &str) -> bool {
    let scp_like = repository.split_once(':').is_some_and(|(host, _)| !host.contains('/'));
    repository.contains("://") || scp_like
}

fn local(repository: &str) -> Result<Repository, Failure> {
    let path = Path::new(repository).canonicalize().map_err(|error| {
        Failure::permanent("TG3003", format!("the repository {repository}: {error}"))
    })?;
    if path.is_dir() {
        Ok(Repository { path })
    } else {
        Err(Failure::permanent("TG3003", format!("{repository} is not a directory")))
    }
}

async fn has_commit(mirror: &Repository, commit: &str) -> bool {
    if !mirror.path.is_dir() {
        return false;
    }
    let object = format!("{commit}^{{commit}}");
    let said = mirror.ask(&["cat-file", "-e", "--end-of-options", &object], 1024).await;
    said.is_ok_and(|said| said.status.success())
}

async fn fetch_mirror(mirror: &Repository, url: &str) -> Result<(), Failure> {
    let unread = |what: String| {
        let url = text::printable(&without_password(url), text::EXCERPT_CHARS_MAX);
        Failure::retryable("TG3003", format!("{url}: {what}"))
    };
    if !mirror.path.is_dir() {
        files::make_private(&mirror.path).map_err(|error| unread(error.to_string()))?;
        let said = mirror.ask(&["init", "--quiet", "--bare"], NAMES_BYTES_MAX).await;
        let said = said.map_err(|error| unread(error.to_string()))?;
        if !said.status.success() {
            return Err(unread(said.err));
        }
    }
    // Fetching may need the credentials that the user's own settings name.
    let mut command = cli::git(&mirror.path);
    command.args(["fetch", "--quiet", "--prune", "--no-recurse-submodules", "--end-of-options"]);
    command.args([url, "+refs/tags/*:refs/tags/*", "+refs/heads/*:refs/heads/*"]);
    let said = cli::run(command, NAMES_BYTES_MAX, cli::FETCH_TIMEOUT).await;
    let said = said.map_err(|error| unread(error.to_string()))?;
    if said.status.success() { Ok(()) } else { Err(unread(said.err)) }
}

// `https://user:secret@host/` may be how the repository is configured; messages are not secret.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_user, host)) => format!("{scheme}://***@{host}/{path}"),
        None => url.to_owned(),
    }
}

// The rules of git for names, so that the text can mean nothing but a tag.
fn check_version(version: &str) -> Result<(), Failure> {
    let plain = |c: char| !(c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c));
    let fine = !version.is_empty()
        && version.len() <= VERSION_BYTES_MAX
        && version.chars().all(plain)
        && !version.starts_with(['-', '/', '.'])
        && !version.ends_with(['/', '.'])
        && !["..", "@{", "//", "/.", ".lock/"].iter().any(|odd| version.contains(odd))
        && !version.ends_with(".lock");
    if fine {
        return Ok(());
    }
    let shown = text::printable(version, VERSION_BYTES_MAX);
    Err(Failure::permanent("TG3002", format!("`{shown}` cannot be the name of a tag")))
}

fn check_commit(commit: &str) -> Result<(), Failure> {
    if matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    let shown = text::printable(commit, 64);
    Err(Failure::permanent("TG3005", format!("`{shown}` is not the full name of a commit")))
}

fn git_failed(error: &cli::Error) -> Failure {
    Failure::retryable("TG3004", error)
}

// What the person may have meant.
async fn missing_tag(repository: &Repository, version: &str) -> Result<Failure, Failure> {
    let names = async |kind: &str| {
        let list =
            ["for-each-ref", TAGS_MAX, "--sort=-version:refname", "--format=%(refname:strip=2)"];
        let arguments = [&list[..], &[kind]].concat();
        let said = repository.ask(&arguments, NAMES_BYTES_MAX).await;
        said.map_err(|error| git_failed(&error))
    };
    let said = names("refs/tags").await?;
    if !said.status.success() {
        return Ok(Failure::permanent("TG3003", format!("git: {}", said.err)));
    }
    let tags = String::from_utf8_lossy(&said.out).into_owned();
    let mut near: Vec<&str> = tags.lines().collect();
    // Stable: of equally near tags the higher versions come first.
    near.sort_by_key(|tag| distance(tag, version));
    near.truncate(NEAR_MAX);
    let hint = if near.is_empty() {
        "the repository has no tags".to_owned()
    } else {
        format!("near it: {}", text::printable(&near.join(", "), text::EXCERPT_CHARS_MAX))
    };
    let branches = names("refs/heads").await?;
    let branch = String::from_utf8_lossy(&branches.out).lines().any(|branch| branch == version);
    let branch =
        if branch { " (there is a branch of that name, which is not a release)" } else { "" };
    Ok(Failure::permanent("TG3001", format!("there is no tag `{version}`{branch}; {hint}")))
}

// Edits from one text to another; versions are short.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, c) in from.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&to) {
            let replaced = diagonal + usize::from(c != *other);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn export_failed(error: export::Error) -> Failure {
    match error {
        export::Error::Git(error) => git_failed(&error),
        export::Error::Said(what) => Failure::permanent("TG3005", what),
        export::Error::Unsupported(what) => Failure::permanent("TG3007", what),
        export::Error::Objects(error) => Failure::retryable("TG3004", error),
        files @ export::Error::Files { .. } => Failure::retryable("TG3011", files),
    }
}

fn artifact_failed(error: artifact::Error) -> Failure {
    match error {
        escapes @ artifact::Error::Escapes { .. } => Failure::permanent("TG3008", escapes),
        special @ artifact::Error::Special(_) => Failure::permanent("TG3007", special),
        large @ artifact::Error::TooLarge { .. } => Failure::permanent("TG3012", large),
        files @ artifact::Error::Files { .. } => Failure::retryable("TG3011", files),
    }
}

// The file system is asked on a thread that may wait.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, artifact::Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(artifact_failed),
        Err(error) => Err(Failure::retryable("TG3011", error)),
    }
}

#[async_trait]
impl Releases for GitReleases {
    async fn resolve(&self, repository: &str, version: &str) -> Result<String, Failure> {
        check_version(version)?;
        let repository = self.open(repository, Need::Fresh).await?;
        let name = format!("refs/tags/{version}^{{commit}}");
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
        let said = repository.ask(&arguments, NAMES_BYTES_MAX).await;
        let said = said.map_err(|error| git_failed(&error))?;
        let commit = String::from_utf8_lossy(&said.out).trim().to_owned();
        if said.status.success() && check_commit(&commit).is_ok() {
            return Ok(commit);
        }
        Err(missing_tag(&repository, version).await?)
    }

    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        check_commit(commit)?;
        let repository = self.open(repository, Need::Commit(commit)).await?;
        let entries = export::list(&repository, commit, Some(path)).await;
        let found = entries.map_err(export_failed)?.into_iter().next();
        let Some(entry) = found.filter(|entry| matches!(&*entry.mode, "100644" | "100755")) else {
            return Ok(None);
        };
        let said = repository.ask(&["cat-file", "blob", &entry.object], bytes_max).await;
        match said {
            Ok(said) if said.status.success() => Ok(Some(said.out)),
            Ok(said) => Err(Failure::permanent("TG3005", format!("{path}: {}", said.err))),
            Err(cli::Error::TooMuch(limit)) => {
                Err(Failure::permanent("TG3006", format!("{path} is longer than {limit} bytes")))
            }
            Err(error) => Err(git_failed(&error)),
        }
    }

    async fn change(
        &self,
        repository: &str,
        base: Option<&str>,
        release: &Release,
    ) -> Result<Changed, Failure> {
        let repository = self.open(repository, Need::Commit(&release.commit)).await?;
        change::change(&repository, base, release).await
    }

    async fn prepare(&self, deployment: &DeploymentId, plan: &Plan) -> Result<Digest, Failure> {
        let release = &plan.release;
        check_commit(&release.commit)?;
        let repository = self.open(&release.repository, Need::Commit(&release.commit)).await?;
        let work = self.config.state_dir.join("work").join(deployment.as_str());
        let _cleared_in_the_end = Work(work.clone());
        let artifacts = self.config.state_dir.join("artifacts");
        let tree = work.join("tree");
        let (made, kept) = (tree.clone(), artifacts.clone());
        let begun = move || {
            artifact::remove(&work)?;
            files::make_private(&made)?;
            files::make_private(&kept)
        };
        let begun = tokio::task::spawn_blocking(begun).await;
        begun.map_err(std::io::Error::other).and_then(|result| result).map_err(|error| {
            Failure::retryable("TG3011", format!("{}: {error}", tree.display()))
        })?;
        export::export(&repository, &release.commit, &tree).await.map_err(export_failed)?;
        let root = tree.clone();
        aside(move || artifact::check_links(&root)).await?;
        if let Some(step) = &plan.build {
            self.build(deployment, step, &tree).await?;
        }
        aside(move || {
            let inner = |source| artifact::Error::Files { path: ".git".to_owned(), source };
            // A build may have made one; it is never part of a release.
            artifact::remove(&tree.join(".git")).map_err(inner)?;
            let digest = artifact::seal(&tree)?;
            artifact::keep(&tree, &artifacts, &digest)?;
            if let Some(work) = tree.parent()
                && let Err(error) = artifact::remove(work)
            {
                tracing::warn!(path = %work.display(), %error, "could not clear a work directory");
            }
            Ok(digest)
        })
        .await
    }

    async fn logs(&self, deployment: &DeploymentId, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let directory = self.logs_of(deployment);
        let none = |what: String| Failure::permanent("TG3013", format!("{deployment}: {what}"));
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
            .map_err(|_missing| none("it has no build or suite logs".to_owned()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        paths.sort();
        let mut all = Vec::new();
        for path in paths {
            if let Some(name) = path.file_stem() {
                all.extend(format!("==> {} <==\n", name.to_string_lossy()).into_bytes());
            }
            all.extend(files::tail(&path, bytes_max).map_err(|error| none(error.to_string()))?);
        }
        let excess = all.len().saturating_sub(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        Ok(all.split_off(excess))
    }
}

/// Where one release is made. However the making ends, also when nobody waits for it any more,
/// nothing of it stays.
struct Work(PathBuf);

impl Drop for Work {
    fn drop(&mut self) {
        // Under another name, so that the next attempt may begin while this one is removed.
        let gone = self.0.with_extension("gone");
        match std::fs::rename(&self.0, &gone) {
            Ok(()) => {
                std::thread::spawn(move || {
                    if let Err(error) = artifact::remove(&gone) {
                        tracing::warn!(path = %gone.display(), %error, "could not clear a build");
                    }
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.0.display(), %error, "could not clear a build");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check_version, distance, is_url, without_password};

    #[test]
    fn only_names_of_tags_are_asked_for() {
        for odd in
            ["", "-v1", "--upload-pack=x", "v1^{tree}", "a..b", "v 1", "v1\n", "@{-1}", "a:b"]
        {
            assert_eq!(check_version(odd).unwrap_err().code, "TG3002", "{odd:?}");
        }
        for plain in ["v1.2.3", "release/2026-01", "1.0.0-rc.1+build"] {
            check_version(plain).unwrap();
        }
    }

    #[test]
    fn tells_a_path_from_a_url() {
        assert!(is_url("https://example.org/x.git") && is_url("git@example.org:x.git"));
        assert!(!is_url("/srv/x.git") && !is_url("./a:b") && !is_url("x"));
        assert_eq!(without_password("https://u:p@h/x"), "https://***@h/x");
        assert_eq!(without_password("https://h/x@y"), "https://h/x@y");
    }

    #[test]
    fn counts_edits() {
        assert_eq!(distance("v1.2", "v1.3"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
