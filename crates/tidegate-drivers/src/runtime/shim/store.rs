//! What a slot remembers on disk: the wish and the processes. Must never be read half-written
//! and never be taken for empty when it cannot be read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::proc::{self, Identity};

use super::wire::Wanted;

/// Largest record read, in bytes: a plan's environment is at most a small part of it.
const RECORD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The socket's file name.
const SOCKET: &str = "shim.sock";

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is there and unreadable.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// Which.
        path: String,
        /// How.
        why: String,
    },
    /// The file system said no.
    #[error("{path}: {source}")]
    Files {
        /// Which.
        path: String,
        /// What it said.
        source: io::Error,
    },
}

/// The wish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The highest epoch that ever wished.
    pub(crate) epoch: u64,
    /// What is meant to run.
    pub(crate) wanted: Option<Wanted>,
}

/// The processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The boot of the machine that the start times belong to.
    pub(crate) boot: String,
    /// The shim that wrote this.
    pub(crate) shim: Option<Identity>,
    /// Each instance.
    pub(crate) instances: Vec<KeptInstance>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptInstance {
    /// Its number in the slot, from 0.
    pub(crate) index: u32,
    /// Its process; `None` between two starts.
    pub(crate) process: Option<Identity>,
    /// Its port; `None` for a worker.
    pub(crate) port: Option<u16>,
    /// Whether it has ever accepted a connection on that port.
    pub(crate) listened: bool,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// How it last ended.
    pub(crate) last_exit: Option<String>,
    /// What it was started as.
    pub(crate) wanted: Wanted,
}

/// The directory of one slot.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    /// The slot in that directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes the slot for this process as long as the file is open; `None` when it is taken.
    pub(crate) fn lock(&self) -> Result<Option<File>, Error> {
        let path = self.directory.join("shim.lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| file_error(&path, source))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(file_error(&path, error.into())),
        }
    }

    /// The wish; the default when none was ever made.
    pub(crate) fn spec(&self) -> Result<Spec, Error> {
        self.read("spec.json")
    }

    /// Keeps the wish durably.
    pub(crate) fn put_spec(&self, spec: &Spec) -> Result<(), Error> {
        self.write("spec.json", spec)
    }

    /// The processes; the default when there never were any.
    pub(crate) fn kept(&self) -> Result<Kept, Error> {
        self.read("state.json")
    }

    /// Keeps the processes durably.
    pub(crate) fn put_kept(&self, kept: &Kept) -> Result<(), Error> {
        self.write("state.json", kept)
    }

    /// Where an instance's output goes.
    pub(crate) fn log(&self, index: u32) -> PathBuf {
        self.directory.join(format!("instance-{index}.log"))
    }

    /// The mark of an instance: this slot of this state directory, and the instance's number.
    pub(crate) fn mark(&self, index: u32) -> String {
        let path = self.directory.canonicalize().unwrap_or_else(|_| self.directory.clone());
        let digest = tidegate_core::digest::Digest::of(path.as_os_str().as_encoded_bytes());
        let short: String = digest.as_str().chars().take(16).collect();
        format!("{short}.{index}")
    }

    /// Processes that carry a mark of this slot, with the mark.
    pub(crate) fn marked(&self) -> Vec<(Identity, String)> {
        let any = self.mark(0);
        let slot = any.split('.').next().unwrap_or_default();
        proc::table()
            .into_iter()
            .filter_map(|stat| Some((stat.identity, proc::mark_of(stat.identity.pid)?)))
            .filter(|(_, mark)| mark.split('.').next() == Some(slot))
            .collect()
    }

    /// Opens the directory, to name the socket in it by a short path.
    pub(crate) fn open_directory(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.directory, flags, Mode::empty())?)
    }

    /// Forgets the socket of an earlier shim.
    pub(crate) fn remove_socket(&self) {
        let path = self.directory.join(SOCKET);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "could not remove a socket");
        }
    }

    /// Lets only the owner speak to the shim.
    pub(crate) fn protect_socket(&self) -> io::Result<()> {
        fs::set_permissions(self.directory.join(SOCKET), fs::Permissions::from_mode(0o600))
    }

    fn read<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Error> {
        let path = self.directory.join(name);
        let bytes = files::read_capped(&path, RECORD_BYTES_MAX);
        let Some(bytes) = bytes.map_err(|source| file_error(&path, source))? else {
            return Ok(T::default());
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::Damaged {
            path: path.display().to_string(),
            why: error.to_string(),
        })
    }

    fn write<T: Serialize>(&self, name: &str, record: &T) -> Result<(), Error> {
        let path = self.directory.join(name);
        let bytes = serde_json::to_vec_pretty(record).map_err(|error| Error::Damaged {
            path: path.display().to_string(),
            why: error.to_string(),
        })?;
        files::write_atomic(&path, &bytes).map_err(|source| file_error(&path, source))
    }
}

/// The socket in an open directory. A socket's path is limited to 107 bytes and a state directory
/// may lie deep; by way of the open directory the path is always short.
pub(crate) fn socket_by(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}

fn file_error(path: &Path, source: io::Error) -> Error {
    Error::Files { path: path.display().to_string(), source }
}
