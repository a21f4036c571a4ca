//! The copy that is made before anything changes, as declared.
//! Must never hold a password: a connection names a user, or the file that holds its secret.

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
    /// How long it is kept.
    pub keep: SignedDuration,
    /// Making it, and restoring it, must each end within this.
    pub timeout: SignedDuration,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupOf {
    /// A PostgreSQL database: `postgres://user@host/name`.
    Postgres {
        /// How it is reached; a password comes from the file that `PGPASSFILE` of the server
        /// names, never from here.
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
    /// Whatever a command writes.
    Exec {
        /// Writes the copy to standard output.
        make: Vec<String>,
        /// Reads it from standard input and restores it into the folder `TIDEGATE_SCRATCH`.
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
}
