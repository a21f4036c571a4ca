//! The state directory: where a server keeps everything, and the names of what is in it.
//! Must never be usable by another user of the machine: its permissions are the authority.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest path of a unix socket that the kernel takes, without its closing zero.
const SOCKET_PATH_MAX: usize = 107;

/// The journal's database.
const JOURNAL: &str = "journal.sqlite";
/// What exists only because a journal said so: the proxy's tables and the slots.
const LED_BY_THE_JOURNAL: [&str; 2] = ["proxy/tables", "slots"];

/// A state directory by its absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateDir(PathBuf);

/// Why a directory cannot hold the state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No place was named and none can be derived.
    #[error("no state directory: neither --state-dir, XDG_STATE_HOME nor HOME is set")]
    Nowhere,
    /// It cannot be made or looked at.
    #[error("{path} cannot be used as the state directory: {source}")]
    Unusable {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Others can look into it.
    #[error("{path} is open to other users (mode {mode:o}): it must be 0700")]
    TooOpen {
        /// Which.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to user {owner}, not to user {me}")]
    NotMine {
        /// Which.
        path: String,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        me: u32,
    },
}

impl StateDir {
    /// The directory that was named, else the XDG one: `~/.local/state/tidegate`.
    ///
    /// # Errors
    /// [`Error::Nowhere`] when there is no home to derive it from.
    pub(crate) fn locate(named: Option<&Path>) -> Result<Self, Error> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => xdg_state().ok_or(Error::Nowhere)?.join("tidegate"),
        };
        let absolute = std::path::absolute(&path)
            .map_err(|source| Error::Unusable { path: path.display().to_string(), source })?;
        Ok(Self(absolute))
    }

    /// Makes it with mode 0700 when it is missing, and refuses one that others can use.
    ///
    /// # Errors
    /// [`Error`] names the directory and what is wrong with it.
    pub(crate) fn create(&self) -> Result<(), Error> {
        let unusable = |source| Error::Unusable { path: self.0.display().to_string(), source };
        if let Some(parent) = self.0.parent() {
            std::fs::create_dir_all(parent).map_err(unusable)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.0) {
            // The umask may have taken bits away, never added any.
            Ok(()) => std::fs::set_permissions(&self.0, Permissions::from_mode(0o700))
                .map_err(unusable)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(error)),
        }
        self.check()
    }

    /// Refuses a directory that others can use.
    ///
    /// # Errors
    /// [`Error`] names the directory and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let found = std::fs::metadata(&self.0)
            .map_err(|source| Error::Unusable { path: self.0.display().to_string(), source })?;
        let path = || self.0.display().to_string();
        let me = rustix::process::geteuid().as_raw();
        if found.uid() != me {
            return Err(Error::NotMine { path: path(), owner: found.uid(), me });
        }
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::TooOpen { path: path(), mode });
        }
        Ok(())
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether tables or slots are here and the journal that they follow from is not.
    pub(crate) fn lost_its_journal(&self) -> bool {
        let has_some = |place: &str| {
            std::fs::read_dir(self.0.join(place)).is_ok_and(|mut found| found.next().is_some())
        };
        !self.0.join(JOURNAL).exists() && LED_BY_THE_JOURNAL.into_iter().any(has_some)
    }

    /// Where the server answers.
    pub(crate) fn server_socket(&self) -> PathBuf {
        self.0.join("server.sock")
    }

    /// Where the proxy is controlled.
    pub(crate) fn proxy_socket(&self) -> PathBuf {
        self.0.join("proxy.sock")
    }

    /// The book of accounts.
    pub(crate) fn people(&self) -> PathBuf {
        self.0.join("people.json")
    }

    /// The key that signs checkpoints of the journal.
    pub(crate) fn audit_key(&self) -> PathBuf {
        self.0.join("audit.key")
    }

    /// The settings of the server, if there are any.
    pub(crate) fn settings(&self) -> PathBuf {
        self.0.join("server.yaml")
    }

    /// What the server says about its work.
    pub(crate) fn server_log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// Whether the sockets in here have names that the kernel takes.
    pub(crate) fn sockets_fit(&self) -> bool {
        self.server_socket().as_os_str().len() <= SOCKET_PATH_MAX
    }
}

fn xdg_state() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}
