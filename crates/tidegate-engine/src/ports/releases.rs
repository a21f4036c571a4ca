//! What turns a tag into bytes, and says what a release changes.
//! Must never be answered from a work tree.

use std::fmt;

use async_trait::async_trait;
use tidegate_core::approval::Change;
use tidegate_core::digest::Digest;
use tidegate_core::ids::DeploymentId;
use tidegate_core::plan::{Plan, Release};

use super::Failure;

/// What turns a tag into bytes.
#[async_trait]
pub trait Releases: Send + Sync + fmt::Debug {
    /// The commit that a tag names.
    ///
    /// # Errors
    /// [`Failure`] with the tags that are near when it does not exist.
    async fn resolve(&self, repository: &str, version: &str) -> Result<String, Failure>;

    /// A file as it stands in a commit; `None` when it is not there. Never the work tree.
    ///
    /// # Errors
    /// [`Failure`] when the repository cannot be read or the file is larger than `bytes_max`.
    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Failure>;

    /// What a commit changes against another, by whose hands, and who owns what it touches as the
    /// base commit says. Without a base everything is touched, and the commit says itself.
    ///
    /// # Errors
    /// [`Failure`] when the repository cannot be read, or the change is larger than what is read.
    async fn change(
        &self,
        repository: &str,
        base: Option<&str>,
        release: &Release,
    ) -> Result<Changed, Failure>;

    /// Exports the commit, runs the build, and keeps the result under its digest.
    /// Output goes to the deployment's log.
    ///
    /// # Errors
    /// [`Failure`] with the last lines of the build.
    async fn prepare(&self, deployment: &DeploymentId, plan: &Plan) -> Result<Digest, Failure>;

    /// The last bytes of a deployment's build and suite logs, at most `bytes_max`.
    ///
    /// # Errors
    /// [`Failure`] when there are none.
    async fn logs(&self, deployment: &DeploymentId, bytes_max: u64) -> Result<Vec<u8>, Failure>;
}

/// What a release changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// By whom, and whose it is.
    pub change: Change,
    /// The touched paths themselves.
    pub paths: Vec<String>,
    /// The newest commits since the base, newest first; without a base none.
    pub commits: Vec<CommitLine>,
    /// How many commits there are since the base.
    pub commit_count: u64,
}

/// One commit as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitLine {
    /// Its short name.
    pub name: String,
    /// Who wrote it.
    pub author: String,
    /// Its first line.
    pub subject: String,
}
