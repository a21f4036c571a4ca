//! The copy that is made before anything changes, as declared.
//! Must never hold a password: a connection names a user, and the password comes from the file of
//! passwords of the server's user.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// What is copied before a deployment, and how it is shown to be good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// What is copied, and by which means.
    pub of: BackupOf,
    /// The folder that copies are kept in; `None` is the state directory's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// One that is younger serves as well; zero makes a new one for every deployment.
    pub newer_than: SignedDuration,
    /// Whether it is restored into scratch and compared, before it counts.
    pub drill: bool,
    /// The database server on which it is restored for that; `None` is the one it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_at: Option<String>,
    /// How long it is kept.
    pub keep: SignedDuration,
    /// Making it, and restoring it, must each end within this.
    pub timeout: SignedDuration,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupOf {
    /// A PostgreSQL database.
    Postgres {
        /// How it is reached, without a password: `postgres://user@host/name`.
        url: String,
    },
    /// A `SQLite` database in a file.
    Sqlite {
        /// Its absolute path.
        path: String,
    },
    /// A folder with all that is in it.
    Files {
        /// Its absolute path.
        path: String,
    },
    /// Whatever a command copies.
    Exec {
        /// Writes the copy to the file `TIDEGATE_BACKUP`.
        make: Vec<String>,
        /// Restores the file `TIDEGATE_BACKUP` into the folder `TIDEGATE_SCRATCH`, and exits with
        /// 0 when what it finds there is whole.
        restore: Option<Vec<String>>,
        /// The variables that both see.
        env: BTreeMap<String, String>,
    },
}

impl BackupOf {
    /// The word in configuration and output.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Sqlite { .. } => "sqlite",
            Self::Files { .. } => "files",
            Self::Exec { .. } => "exec",
        }
    }

    /// What is copied, in one line.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Postgres { url } => url.clone(),
            Self::Sqlite { path } | Self::Files { path } => path.clone(),
            Self::Exec { make, .. } => make.join(" "),
        }
    }
}
