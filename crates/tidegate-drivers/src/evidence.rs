//! Evidence on this machine: reports under their digest, and what the repository says.
//!
//! Needs: `<state_dir>/evidence`, the right to read the repository, and for signatures
//! `<state_dir>/allowed_signers`, the pinned keys in the format of ssh-keygen(1). To undo by hand:
//! remove files of `<state_dir>/evidence`; the gates that rest on them are no-data then.
//!
//! It must never read a report that is not the bytes of its digest, nor take a key from the
//! repository that is judged.

mod question;
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
use store::Store;

/// Where evidence is kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `evidence` and `allowed_signers`.
    pub state_dir: PathBuf,
}

/// Reports in files, questions to git.
#[derive(Debug)]
pub struct LocalEvidence {
    store: Store,
    releases: Arc<GitReleases>,
    signers: PathBuf,
}

impl LocalEvidence {
    /// Evidence under a state directory. Touches nothing yet.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "as every driver takes its configuration")]
    pub fn new(config: Config, releases: Arc<GitReleases>) -> Self {
        let store = Store::new(config.state_dir.join("evidence"));
        Self { store, releases, signers: config.state_dir.join("allowed_signers") }
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
