//! Folders of backups: each with its bytes and a manifest, there whole or not at all.
//! Must never remove a folder that is not a backup's own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tidegate_core::backup::{BackupRecord, Content};
use tidegate_core::digest::Digest;
use tidegate_core::ids::Scope;
use tidegate_core::plan::BackupOf;
use tidegate_engine::ports::Failure;

use super::failed;
use crate::files;
use crate::scm::artifact;

/// The bytes of a backup, in its folder.
const DATA: &str = "data";
/// What is known of it, in its folder.
const MANIFEST: &str = "manifest.json";
/// How the name of a folder begins whose backup is not whole yet.
const UNFINISHED: &str = ".unfinished-";

#[derive(Debug)]
pub(super) struct Store {
    own: PathBuf,
    work: PathBuf,
}

impl Store {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { own: state_dir.join("backups"), work: state_dir.join("work") }
    }

    /// A folder for a new one.
    pub(super) fn begin(
        &self,
        scope: &Scope,
        to: Option<&str>,
        now: Timestamp,
    ) -> io::Result<Draft> {
        let root = to.map_or_else(|| self.own.clone(), PathBuf::from);
        let root = root.join(scope.to_string().replace('/', "@"));
        let folder = root.join(format!("{UNFINISHED}{}", crate::once::new_mark()));
        files::make_private(&folder)?;
        let stamp: String = now.strftime("%Y%m%d-%H%M%S").to_string();
        Ok(Draft { root, folder, stamp, kept: false })
    }

    /// A place to restore into, gone afterwards.
    pub(super) fn scratch(&self, id: &str) -> io::Result<Scratch> {
        let path = self.work.join(format!("drill-{id}-{}", crate::once::new_mark()));
        files::make_private(&path)?;
        Ok(Scratch(path))
    }

    pub(super) fn data(record: &BackupRecord) -> PathBuf {
        Path::new(&record.place).join(DATA)
    }

    /// Reads all of it and compares.
    pub(super) async fn verify(&self, record: &BackupRecord) -> Result<(), Failure> {
        let path = Self::data(record);
        let found = digest(path.clone()).await.map_err(|error| {
            Failure::permanent("TG6621", format!("{}: {error}", path.display()))
        })?;
        if found == (record.digest.clone(), record.bytes) {
            return Ok(());
        }
        let what = format!("{}: its bytes are not those that were kept", path.display());
        Err(Failure::permanent("TG6621", what))
    }

    /// Removes it.
    pub(super) async fn remove(&self, record: &BackupRecord) -> Result<(), Failure> {
        let folder = PathBuf::from(&record.place);
        let own = folder.file_name().is_some_and(|name| name == record.id.as_str());
        if !own {
            let what = format!("{} is not the folder of {}", record.place, record.id);
            return Err(Failure::permanent("TG6620", what));
        }
        let removed = tokio::task::spawn_blocking(move || artifact::remove(&folder)).await;
        removed.map_err(io::Error::other).and_then(|result| result).map_err(failed)
    }
}

/// A backup that is being made.
pub(super) struct Draft {
    root: PathBuf,
    folder: PathBuf,
    stamp: String,
    kept: bool,
}

impl Draft {
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// Reads the copy back, and makes it a backup.
    pub(super) async fn keep(
        mut self,
        of: BackupOf,
        content: Option<Content>,
        made_at: Timestamp,
        took_ms: u64,
        keep_until: Timestamp,
    ) -> Result<BackupRecord, Failure> {
        let file = File::open(self.data()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let (digest, bytes) = digest(self.data()).await.map_err(failed)?;
        if bytes == 0 {
            let what = format!("the copy of {} is empty", of.words());
            return Err(Failure::permanent("TG6620", what));
        }
        let short = digest.as_str().get(..4).unwrap_or_default();
        let id = format!("b-{}-{short}", self.stamp);
        let folder = self.root.join(&id);
        let place = folder.to_string_lossy().into_owned();
        let record =
            BackupRecord { id, of, place, bytes, digest, content, made_at, took_ms, keep_until };
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::other).map_err(failed)?;
        files::write_atomic(&self.folder.join(MANIFEST), &text).map_err(failed)?;
        fs::rename(&self.folder, &folder).map_err(failed)?;
        self.kept = true;
        files::sync_directory(&self.root).map_err(failed)?;
        Ok(record)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = artifact::remove(&self.folder)
        {
            tracing::warn!(path = %self.folder.display(), %error, "an unfinished backup stays");
        }
    }
}

/// A folder that is gone in the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = artifact::remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the scratch of a drill stays");
        }
    }
}

/// A path at which nothing is.
pub(super) fn free(into: &str) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(into);
    if !path.is_absolute() {
        return Err(Failure::permanent("TG6623", format!("`{into}` is no absolute path")));
    }
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
        _ => {
            let what = format!("{into} is there: nothing is restored over something");
            Err(Failure::permanent("TG6623", what))
        }
    }
}

async fn digest(path: PathBuf) -> io::Result<(Digest, u64)> {
    let read = tokio::task::spawn_blocking(move || {
        let mut file = File::open(path)?;
        let (mut hasher, mut total) = (Sha256::new(), 0_u64);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = file.read(&mut buffer)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
            total += bytes.len() as u64;
            hasher.update(bytes);
        }
        let hex = data_encoding::HEXLOWER.encode(&hasher.finalize());
        let digest = Digest::of_hex(&hex).ok_or_else(|| io::Error::other("no digest"))?;
        Ok((digest, total))
    });
    read.await.map_err(io::Error::other)?
}
