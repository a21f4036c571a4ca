//! Where copies lie: each in a folder of its own, or under a name of its own in a bucket, with a
//! manifest, there whole or not at all. Must never remove what is not a backup's own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tidegate_core::backup::{BackupRecord, Content};
use tidegate_core::digest::Digest;
use tidegate_core::ids::Scope;
use tidegate_core::plan::{Backup, Place};
use tidegate_engine::ports::Failure;

use super::bucket::Objects;
use super::{crypt, failed};
use crate::files;
use crate::scm::artifact;

/// The bytes of a backup, in its folder.
const DATA: &str = "data";
/// What is known of it, in its folder.
const MANIFEST: &str = "manifest.json";
/// How the name of a folder begins whose backup is not whole yet.
const UNFINISHED: &str = ".unfinished-";
/// A copy is read back and removed within this.
const READ_WITHIN: Duration = Duration::from_secs(6 * 3600);

#[derive(Debug)]
pub(super) struct Store {
    state_dir: PathBuf,
}

impl Store {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }

    /// A folder for a new one; a copy for a bucket is made in the state directory's.
    pub(super) fn begin(&self, scope: &Scope, to: &Place, now: Timestamp) -> io::Result<Draft> {
        let root = match to {
            Place::Folder(path) => PathBuf::from(path),
            Place::Own | Place::Bucket(_) => self.state_dir.join("backups"),
        };
        let scope = scope.to_string().replace('/', "@");
        let root = root.join(&scope);
        let folder = root.join(format!("{UNFINISHED}{}", crate::once::new_mark()));
        files::make_private(&folder)?;
        let stamp: String = now.strftime("%Y%m%d-%H%M%S").to_string();
        Ok(Draft { scope, root, folder, stamp, kept: false })
    }

    /// A place to restore into, gone afterwards.
    pub(super) fn scratch(&self, id: &str) -> io::Result<Scratch> {
        let name = format!("drill-{id}-{}", crate::once::new_mark());
        let path = self.state_dir.join("work").join(name);
        files::make_private(&path)?;
        Ok(Scratch(path))
    }

    /// Reads all of a copy and compares.
    pub(super) async fn verify(&self, record: &BackupRecord) -> Result<(), Failure> {
        self.read(record, None).await
    }

    async fn read(&self, record: &BackupRecord, into: Option<PathBuf>) -> Result<(), Failure> {
        let data = Path::new(&record.place).join(DATA);
        let found = match &record.bucket {
            Some(bucket) => {
                let objects = Objects::open(&self.state_dir, bucket, READ_WITHIN)?;
                objects.get(&data.to_string_lossy(), into, record.bytes).await?
            }
            None => digest(data.clone()).await.map_err(|error| {
                Failure::permanent("TG6621", format!("{}: {error}", data.display()))
            })?,
        };
        if found == (record.digest.clone(), record.bytes) {
            return Ok(());
        }
        let what = format!("{}: its bytes are not those that were kept", data.display());
        Err(Failure::permanent("TG6621", what))
    }

    /// Reads all of a copy, compares, and says where its plain bytes lie: in scratch, when they
    /// are encrypted or elsewhere.
    pub(super) async fn fetch(
        &self,
        record: &BackupRecord,
        key: Option<&str>,
        scratch: &Path,
        limit: Duration,
    ) -> Result<PathBuf, Failure> {
        let fetched = record.bucket.is_some().then(|| scratch.join("fetched"));
        self.read(record, fetched.clone()).await?;
        let file = fetched.unwrap_or_else(|| Path::new(&record.place).join(DATA));
        let Some(to) = &record.encrypted_to else {
            return Ok(file);
        };
        let Some(key) = key else {
            let what = format!("it is encrypted to {to}, and no `encrypt.key` is declared");
            return Err(Failure::permanent("TG6622", what));
        };
        let plain = scratch.join("plain");
        crypt::open(key, &file, &plain, limit).await?;
        Ok(plain)
    }

    /// Removes it.
    pub(super) async fn remove(&self, record: &BackupRecord) -> Result<(), Failure> {
        let folder = PathBuf::from(&record.place);
        let own = folder.file_name().is_some_and(|name| name == record.id.as_str());
        if !own {
            let what = format!("{} is not the folder of {}", record.place, record.id);
            return Err(Failure::permanent("TG6620", what));
        }
        if let Some(bucket) = &record.bucket {
            let objects = Objects::open(&self.state_dir, bucket, READ_WITHIN)?;
            for name in [MANIFEST, DATA] {
                objects.remove(&folder.join(name).to_string_lossy()).await?;
            }
            return Ok(());
        }
        let removed = tokio::task::spawn_blocking(move || artifact::remove(&folder)).await;
        removed.map_err(io::Error::other).and_then(|result| result).map_err(failed)
    }
}

/// What is known of a copy before it is kept.
pub(super) struct Made {
    pub(super) content: Option<Content>,
    pub(super) at: Timestamp,
    pub(super) log_at: Option<Timestamp>,
    pub(super) took_ms: u64,
}

/// A backup that is being made.
pub(super) struct Draft {
    scope: String,
    root: PathBuf,
    folder: PathBuf,
    stamp: String,
    kept: bool,
}

impl Draft {
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// The id, with a number where a copy of the same second has the same bytes.
    fn free(&self, id: &str) -> String {
        let numbered = (2..).map(|number: u32| format!("{id}-{number}"));
        let mut ids = std::iter::once(id.to_owned()).chain(numbered);
        ids.find(|id| !self.root.join(id).exists()).unwrap_or_else(|| id.to_owned())
    }

    /// Its folder, for files that pass.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// Encrypts the copy where that is wanted, names it by its bytes, and makes it a backup.
    pub(super) async fn keep(
        mut self,
        store: &Store,
        backup: &Backup,
        made: Made,
    ) -> Result<BackupRecord, Failure> {
        let limit = backup.timeout.unsigned_abs();
        if fs::metadata(self.data()).map_err(failed)?.len() == 0 {
            let what = format!("the copy of {} is empty", backup.of.words());
            return Err(Failure::permanent("TG6620", what));
        }
        if let Some(encrypt) = &backup.encrypt {
            crypt::seal(&encrypt.to, &self.data(), limit).await?;
        }
        let file = File::open(self.data()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let (digest, bytes) = digest(self.data()).await.map_err(failed)?;
        let short = digest.as_str().get(..4).unwrap_or_default();
        let id = self.free(&format!("b-{}-{short}", self.stamp));
        let (place, bucket) = match &backup.to {
            Place::Bucket(bucket) => {
                let place = Path::new(&bucket.prefix).join(&self.scope).join(&id);
                (place, Some(bucket.clone()))
            }
            Place::Own | Place::Folder(_) => (self.root.join(&id), None),
        };
        let record = BackupRecord {
            id,
            of: backup.of.clone(),
            place: place.to_string_lossy().into_owned(),
            bucket,
            encrypted_to: backup.encrypt.as_ref().map(|encrypt| encrypt.to.clone()),
            bytes,
            digest,
            content: made.content,
            made_at: made.at,
            log_at: made.log_at,
            took_ms: made.took_ms,
            keep_until: made.at.checked_add(backup.keep).unwrap_or(Timestamp::MAX),
        };
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::other).map_err(failed)?;
        files::write_atomic(&self.folder.join(MANIFEST), &text).map_err(failed)?;
        if let Some(bucket) = &record.bucket {
            // The manifest is last: what has one is whole.
            let objects = Objects::open(&store.state_dir, bucket, limit)?;
            for name in [DATA, MANIFEST] {
                let object = place.join(name);
                objects.put(&object.to_string_lossy(), &self.folder.join(name)).await?;
            }
            return Ok(record);
        }
        // failpoint: copy.rename.before
        fs::rename(&self.folder, &place).map_err(failed)?;
        // failpoint: copy.rename.after
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
