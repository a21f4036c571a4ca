//! Checkpoints in a folder: `LOG/checkpoint` is the newest, `LOG/checkpoints` has all of them.
//!
//! It needs to write there; to undo, remove `LOG`. It must never write in place of the newest
//! before the new one is durable.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tidegate_engine::ports::{Anchor, Failure};

use super::is_outside;
use crate::files;

/// Longest checkpoint, bytes.
const NOTE_BYTES_MAX: u64 = 4096;

/// A folder.
#[derive(Debug)]
pub struct FolderAnchor {
    name: String,
    folder: PathBuf,
    outside: bool,
}

impl FolderAnchor {
    /// The folder that gets checkpoints of a log; touches nothing yet.
    #[must_use]
    pub fn new(folder: &Path, log: &str, state_dir: &Path) -> Self {
        Self {
            name: format!("folder {}", folder.display()),
            folder: folder.join(log),
            outside: is_outside(state_dir, folder),
        }
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::retryable("TG6203", format!("the folder does not take it: {error}"))
}

#[async_trait]
impl Anchor for FolderAnchor {
    fn name(&self) -> &str {
        &self.name
    }

    fn outside(&self) -> bool {
        self.outside
    }

    async fn put(&self, note: &str) -> Result<(), Failure> {
        let (folder, note) = (self.folder.clone(), note.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            let mut all =
                OpenOptions::new().append(true).create(true).open(folder.join("checkpoints"))?;
            all.write_all(format!("{note}\n").as_bytes())?;
            all.sync_all()?;
            files::write_atomic(&folder.join("checkpoint"), note.as_bytes())
        });
        let written = written.await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
        written.map_err(|error| failed(&error))
    }

    async fn newest(&self) -> Result<Option<String>, Failure> {
        let bytes = files::read_capped(&self.folder.join("checkpoint"), NOTE_BYTES_MAX);
        let bytes = bytes.map_err(|error| failed(&error))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
