//! Checkpoints on a branch of a git remote: each is a commit on top of the last, so that the
//! remote's own history refuses to forget.
//!
//! It needs to push to one branch, `tidegate-audit-LOG`; to undo, delete that branch and
//! `<state_dir>/audit.git`. It must never push by force.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tidegate_engine::ports::{Anchor, Failure};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::cli::{FETCH_TIMEOUT, LOCAL_TIMEOUT, Repository, Said, run};
use super::is_url;
use crate::anchor::is_outside;
use crate::files;

/// Longest answer of git that is read, bytes: a checkpoint or a digest.
const ANSWER_BYTES_MAX: u64 = 8 * 1024;
/// What the remote's branch was when it was last asked.
const SEEN: &str = "refs/seen/checkpoints";
/// Who commits.
const NAME: &str = "Tidegate";
const MAIL: &str = "tidegate@localhost";

/// A branch of a remote.
#[derive(Debug)]
pub struct GitAnchor {
    name: String,
    remote: String,
    branch: String,
    repository: Repository,
    outside: bool,
    /// One push at a time.
    turn: Mutex<()>,
}

impl GitAnchor {
    /// The remote that gets checkpoints of a log, by a repository in the state directory; touches
    /// nothing yet.
    #[must_use]
    pub fn new(remote: &str, log: &str, state_dir: &Path) -> Self {
        Self {
            name: format!("git {remote}"),
            remote: remote.to_owned(),
            branch: format!("refs/heads/tidegate-audit-{log}"),
            repository: Repository { path: state_dir.join("audit.git") },
            outside: is_url(remote) || is_outside(state_dir, Path::new(remote)),
            turn: Mutex::new(()),
        }
    }

    fn path(&self) -> &PathBuf {
        &self.repository.path
    }

    async fn prepare(&self) -> Result<(), Failure> {
        if self.path().join("HEAD").exists() {
            return Ok(());
        }
        files::make_private(self.path()).map_err(|error| failed(&error.to_string()))?;
        self.local(&["init", "--quiet", "--bare", "."]).await.map(drop)
    }

    /// What git prints; its no is a failure.
    async fn local(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = self.repository.git(arguments);
        command.env("GIT_INDEX_FILE", self.path().join("index"));
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), NAME).env(format!("GIT_{role}_EMAIL"), MAIL);
        }
        let said = said(command, LOCAL_TIMEOUT).await?;
        if said.status.success() {
            Ok(String::from_utf8_lossy(&said.out).trim().to_owned())
        } else {
            Err(failed(&said.err))
        }
    }

    /// Brings the remote's branch; `None` when it has none.
    async fn fetch(&self) -> Result<Option<String>, Failure> {
        self.prepare().await?;
        let listing = ["ls-remote", "--exit-code", &self.remote, &self.branch];
        let said_of_it = said(self.repository.git(&listing), FETCH_TIMEOUT).await?;
        match said_of_it.status.code() {
            Some(0) => {}
            // git says 2 for: reached, and there is none.
            Some(2) => return Ok(None),
            _ => return Err(failed(&said_of_it.err)),
        }
        let refs = format!("+{}:{SEEN}", self.branch);
        let fetch = ["fetch", "--quiet", "--no-tags", &self.remote, &refs];
        let fetched = said(self.repository.git(&fetch), FETCH_TIMEOUT).await?;
        if !fetched.status.success() {
            return Err(failed(&fetched.err));
        }
        self.local(&["rev-parse", "--verify", SEEN]).await.map(Some)
    }
}

async fn said(command: Command, within: std::time::Duration) -> Result<Said, Failure> {
    run(command, ANSWER_BYTES_MAX, within).await.map_err(|error| failed(&error.to_string()))
}

fn failed(what: &str) -> Failure {
    Failure::retryable("TG6203", format!("the remote does not take it: {what}"))
}

#[async_trait]
impl Anchor for GitAnchor {
    fn name(&self) -> &str {
        &self.name
    }

    fn outside(&self) -> bool {
        self.outside
    }

    async fn put(&self, note: &str) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let parent = self.fetch().await?;
        let file = self.path().join("checkpoint.new");
        files::write_atomic(&file, note.as_bytes()).map_err(|e| failed(&e.to_string()))?;
        let blob = self.local(&["hash-object", "-w", "--no-filters", "checkpoint.new"]).await?;
        self.local(&["read-tree", "--empty"]).await?;
        let entry = format!("100644,{blob},checkpoint");
        self.local(&["update-index", "--add", "--cacheinfo", &entry]).await?;
        let tree = self.local(&["write-tree"]).await?;
        let entries = note.lines().nth(1).unwrap_or("?");
        let message = format!("Checkpoint of {entries} entries");
        let mut commit = vec!["commit-tree", &tree, "-m", &message];
        if let Some(parent) = &parent {
            commit.extend(["-p", parent]);
        }
        let commit = self.local(&commit).await?;
        let refs = format!("{commit}:{}", self.branch);
        let push = ["push", "--quiet", &self.remote, &refs];
        let pushed = said(self.repository.git(&push), FETCH_TIMEOUT).await?;
        if pushed.status.success() { Ok(()) } else { Err(failed(&pushed.err)) }
    }

    async fn newest(&self) -> Result<Option<String>, Failure> {
        let _turn = self.turn.lock().await;
        if self.fetch().await?.is_none() {
            return Ok(None);
        }
        let shown = self.local(&["show", &format!("{SEEN}:checkpoint")]).await?;
        Ok(Some(format!("{shown}\n")))
    }
}
