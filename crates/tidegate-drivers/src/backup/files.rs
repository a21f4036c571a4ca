//! Backups of folders, as one archive.
//! Must never call a copy whole whose folder changed while it was made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_core::backup::Content;
use tidegate_engine::ports::Failure;

use super::{exec, failed};
use crate::scm::artifact;

/// Packs a folder, and says what is in it.
pub(super) async fn pack(path: &str, file: &Path, limit: Duration) -> Result<Content, Failure> {
    let before = content(PathBuf::from(path)).await?;
    let words = ["tar", "--create", "--sparse", "--numeric-owner", "--file"];
    let file_word = file.to_string_lossy().into_owned();
    let rest = [file_word, "--directory".to_owned(), path.to_owned(), ".".to_owned()];
    let argv: Vec<String> = words.map(str::to_owned).into_iter().chain(rest).collect();
    exec::program(&argv, BTreeMap::new(), Path::new("/"), limit).await?;
    if content(PathBuf::from(path)).await? != before {
        let what = format!("{path} changed while it was copied");
        return Err(Failure::retryable("TG6620", what));
    }
    Ok(before)
}

/// Unpacks an archive into an empty folder.
pub(super) async fn unpack(file: &Path, into: &Path, limit: Duration) -> Result<(), Failure> {
    let words = ["tar", "--extract", "--preserve-permissions", "--file"];
    let (file, into) = (file.to_string_lossy().into_owned(), into.to_string_lossy().into_owned());
    let rest = [file, "--directory".to_owned(), into];
    let argv: Vec<String> = words.map(str::to_owned).into_iter().chain(rest).collect();
    exec::program(&argv, BTreeMap::new(), Path::new("/"), limit).await.map(drop)
}

/// What a folder holds.
pub(super) async fn content(path: PathBuf) -> Result<Content, Failure> {
    let read = tokio::task::spawn_blocking(move || artifact::measure(&path)).await;
    let (digest, parts, rows) = read
        .map_err(|error| failed(std::io::Error::other(error)))?
        .map_err(|error| Failure::permanent("TG6620", error.to_string()))?;
    Ok(Content { parts, rows, digest })
}
