//! What is known of one attempt: that it began, and how it ended.
//! Must never be missing for an attempt that may have begun.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_core::ids::{DeploymentId, StepName};

use super::Ended;
use crate::files;

/// Longest record, bytes: the outputs and artifacts of a step have their own limits.
const RECORD_BYTES_MAX: u64 = 1024 * 1024;

/// One attempt's place on the disk.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
}

/// How far an attempt came.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// It may have begun.
    Began {
        /// What its processes are marked with.
        mark: String,
    },
    /// It ended.
    Ended(Ended),
}

impl Record {
    pub(super) fn of(
        state_dir: &Path,
        deployment: &DeploymentId,
        step: &StepName,
        attempt: u32,
    ) -> Self {
        let directory = state_dir.join("steps").join(deployment.as_str());
        Self { path: directory.join(format!("{step}-{attempt}.json")) }
    }

    /// What is known; `None` when it did not begin.
    ///
    /// # Errors
    /// Those of the file system, and a record that cannot be understood.
    pub(super) fn read(&self) -> io::Result<Option<Stage>> {
        let Some(bytes) = files::read_capped(&self.path, RECORD_BYTES_MAX)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
    }

    /// Says durably that it begins.
    ///
    /// # Errors
    /// Those of the file system: it must not begin then.
    pub(super) fn begin(&self, mark: &str) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(&self.path);
        files::make_private(directory)?;
        self.write(&Stage::Began { mark: mark.to_owned() })
    }

    /// Says durably how it ended.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn end(&self, ended: &Ended) -> io::Result<()> {
        files::make_private(self.path.parent().unwrap_or(&self.path))?;
        self.write(&Stage::Ended(ended.clone()))
    }

    fn write(&self, stage: &Stage) -> io::Result<()> {
        files::write_atomic(&self.path, &serde_json::to_vec(stage).map_err(io::Error::other)?)
    }
}
