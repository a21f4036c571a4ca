//! Evidence on this machine: reports under their digest, and what the repository says.
//!
//! Needs: `<state_dir>/evidence`, the right to read the repository, for signatures
//! `<state_dir>/allowed_signers`, the pinned keys in the format of ssh-keygen(1), and for reviews
//! and checks `<state_dir>/github_token`, and for provenance `<state_dir>/sigstore_root.json`, the
//! pinned roots in the form of Sigstore's `trusted_root.json`. To undo by hand:
//! remove files of `<state_dir>/evidence`; the gates that rest on them are no-data then.
//!
//! It must never read a report that is not the bytes of its digest, nor take a key from the
//! repository that is judged.

mod question;
mod reviewed;
mod sigstore;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_core::digest::Digest;
use tidegate_core::effect::Question;
use tidegate_core::fact::Format;
use tidegate_core::gate::Found;
use tidegate_engine::ports::{Evidence, Failure, Report};
use tokio::io::AsyncRead;

use crate::scm::GitReleases;
use crate::scm::github::{self, GitHub};
use store::Store;

/// Where evidence is kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `evidence`, `allowed_signers` and `github_token`.
    pub state_dir: PathBuf,
    /// The API of GitHub, or of a GitHub Enterprise Server; `None` is [`github::API`].
    pub github_api: Option<String>,
}

/// Reports in files, questions to git.
#[derive(Debug)]
pub struct LocalEvidence {
    store: Store,
    releases: Arc<GitReleases>,
    signers: PathBuf,
    github: GitHub,
    roots: PathBuf,
}

impl LocalEvidence {
    /// Evidence under a state directory. Touches nothing yet.
    #[must_use]
    pub fn new(config: Config, releases: Arc<GitReleases>) -> Self {
        let store = Store::new(config.state_dir.join("evidence"));
        let github = GitHub::new(github::Config {
            api: config.github_api.unwrap_or_else(|| github::API.to_owned()),
            token: config.state_dir.join("github_token"),
        });
        let roots = config.state_dir.join("sigstore_root.json");
        let signers = config.state_dir.join("allowed_signers");
        Self { store, releases, signers, github, roots }
    }
}

#[async_trait]
impl Evidence for LocalEvidence {
    async fn keep(
        &self,
        name: &str,
        format: Option<Format>,
        bytes: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<Report, Failure> {
        self.store.keep(name, format, bytes).await
    }

    async fn open(&self, digest: &Digest) -> Result<Box<dyn AsyncRead + Send + Unpin>, Failure> {
        self.store.verify(digest).await?;
        self.store.open(digest).await
    }

    async fn verify(&self, digest: &Digest) -> Result<(), Failure> {
        self.store.verify(digest).await
    }

    async fn gather(&self, question: &Question) -> Vec<Found> {
        let mut found = Vec::new();
        for gate in &question.plan.gates {
            found.extend(self.answer(question, gate).await);
        }
        found
    }
}
