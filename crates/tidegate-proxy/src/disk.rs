//! The last good state of each service on disk: one file a service, written beside and renamed,
//! the version before kept. A file is believed only with its checksum; nothing is ever edited in
//! place, and nothing that cannot be read is deleted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, TryLockError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cohort::Key;
use crate::wire::{Override, Table};

/// Largest state file that is read: a full table is about 100 kB.
const FILE_BYTES: u64 = 4 * 1_048_576;

/// All that must survive a restart of the proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) service: String,
    /// The last applied fence, kept when the table was deleted.
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    /// `None` after a deletion.
    pub(crate) table: Option<Table>,
    /// The last override sequence ever used for the service.
    pub(crate) sequence: u64,
    pub(crate) in_override: Option<Override>,
    pub(crate) applied_at_ms: u64,
}

/// The state directory, locked for one proxy.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    /// One write at a time, so that two never share a file name.
    writing: Mutex<()>,
    /// Holds the lock as long as it, or a copy of it in another process, is open.
    lock: Mutex<Option<File>>,
}

impl Disk {
    /// Creates and locks the directory. `WouldBlock` when another proxy holds it.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        fs::create_dir_all(state)?;
        let lock = File::create(state.join("proxy.lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Self::adopt(state, lock)
    }

    /// The directory under a lock that another process gave away.
    pub(crate) fn adopt(state: &Path, lock: File) -> io::Result<Self> {
        let directory = state.join("tables");
        fs::create_dir_all(&directory)?;
        Ok(Self { directory, writing: Mutex::new(()), lock: Mutex::new(Some(lock)) })
    }

    /// A copy of the lock, for a successor. Refuses while a write hangs: it might end after the
    /// successor's first.
    pub(crate) fn lock(&self) -> io::Result<File> {
        if let Err(TryLockError::WouldBlock) = self.writing.try_lock() {
            return Err(io::Error::other("an earlier write still hangs"));
        }
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().ok_or_else(|| io::Error::other("the lock was given away"))?.try_clone()
    }

    /// The key that signs cohort cookies, made when there is none. Proxies that serve the same
    /// users are given the same file; one that is damaged is refused, because a new key would
    /// place every user anew.
    pub(crate) fn cohort_key(&self) -> io::Result<Key> {
        let path = self.directory.with_file_name("cohort.key");
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = bytes.as_slice().try_into();
                let damaged = || io::Error::other(format!("{} is damaged", path.display()));
                Ok(Key::new(bytes.map_err(|_length| damaged())?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes: [u8; Key::BYTES] = rand::random();
                let fresh = path.with_extension("new");
                let mut options = File::options();
                let mut file =
                    options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                // failpoint: cohort-key.rename.before
                fs::rename(&fresh, &path)?;
                // failpoint: cohort-key.rename.after
                let folder = path.parent().unwrap_or(&self.directory);
                File::open(folder)?.sync_all()?;
                Ok(Key::new(bytes))
            }
            Err(error) => Err(error),
        }
    }

    /// Leaves the directory to whoever has the lock as well.
    pub(crate) fn leave(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Makes a record durable: when this returns, a restart finds it, whatever happens.
    /// Refuses at once while an earlier write still hangs: threads must not pile up behind it.
    pub(crate) fn save(&self, record: &Record) -> io::Result<()> {
        let _writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("an earlier write still hangs"));
            }
        };
        let content = serde_json::to_string(record)?;
        let path = self.path(&record.service);
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        writeln!(file, "{}", hexadecimal(content.as_bytes()))?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        // failpoint: table.previous.before
        match fs::rename(&path, path.with_extension("previous")) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // failpoint: table.previous.after
        // A crash between the two renames leaves the previous version to be loaded, and the
        // fresh one was never acknowledged.
        // failpoint: table.rename.before
        fs::rename(&fresh, &path)?;
        // failpoint: table.rename.after
        File::open(&self.directory)?.sync_all()
    }

    /// Loads every service: its newest record, or the one before where the newest is damaged.
    pub(crate) fn load(&self) -> io::Result<Vec<Record>> {
        let mut newest = std::collections::BTreeSet::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if matches!(extension, Some("table" | "previous")) {
                newest.insert(path.with_extension("table"));
            }
        }
        let records = newest.iter().filter_map(|path| {
            let previous = path.with_extension("previous");
            [path, &previous].into_iter().find_map(|path| match read(path) {
                Ok(record) => Some(record),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "TG5019 damaged state file");
                    None
                }
            })
        });
        Ok(records.collect())
    }

    /// A name a person recognises and a hash that no other service shares.
    fn path(&self, service: &str) -> PathBuf {
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() { letter } else { '-' }
        };
        let words: String = service.chars().take(64).map(plain).collect();
        let hash: String = hexadecimal(service.as_bytes()).chars().take(16).collect();
        self.directory.join(format!("{words}.{hash}.table"))
    }
}

fn read(path: &Path) -> io::Result<Record> {
    if fs::metadata(path)?.len() > FILE_BYTES {
        return Err(io::Error::other("larger than any state file"));
    }
    let text = fs::read_to_string(path)?;
    let (checksum, content) = text.split_once('\n').ok_or_else(|| io::Error::other("cut short"))?;
    if checksum != hexadecimal(content.as_bytes()) {
        return Err(io::Error::other("checksum differs"));
    }
    Ok(serde_json::from_str(content)?)
}

fn hexadecimal(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
