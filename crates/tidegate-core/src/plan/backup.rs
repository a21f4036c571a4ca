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
    /// Where copies are kept.
    #[serde(default)]
    pub to: Place,
    /// One that is younger serves as well; zero makes a new one for every deployment.
    pub newer_than: SignedDuration,
    /// Whether it is restored into scratch and compared, before it counts.
    pub drill: bool,
    /// The database server on which it is restored for that; `None` is the one it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_at: Option<String>,
    /// Whom its bytes are encrypted to; `None` keeps them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypt: Option<Encryption>,
    /// How long it is kept.
    pub keep: SignedDuration,
    /// Making it, and restoring it, must each end within this.
    pub timeout: SignedDuration,
    /// How much may be lost, and how long it may take to be back.
    #[serde(default)]
    pub targets: Targets,
}

/// What recovery must reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Targets {
    /// How much time may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<SignedDuration>,
    /// How long being back may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<SignedDuration>,
}

/// Whom copies are encrypted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// The recipient, `age1...`.
    pub to: String,
    /// The absolute path of the file with its key, which a drill needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Where copies are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The state directory's own folder.
    #[default]
    Own,
    /// A folder, by its absolute path.
    Folder(String),
    /// A bucket of an object store.
    Bucket(Bucket),
}

/// A bucket of an object store that speaks the API of S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the names of its objects begin with; may be empty.
    pub prefix: String,
    /// Its server, `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// Its region, which signatures contain.
    pub region: String,
    /// The reference to its credentials, never they themselves.
    pub credentials: String,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupOf {
    /// A PostgreSQL database, as a dump.
    Postgres {
        /// How it is reached, without a password: `postgres://user@host/name`.
        url: String,
    },
    /// A `MySQL` or `MariaDB` database, as a dump.
    Mysql {
        /// How it is reached, without a password: `mysql://user@host/name`.
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
            Self::Mysql { .. } => "mysql",
            Self::Sqlite { .. } => "sqlite",
            Self::Files { .. } => "files",
            Self::Exec { .. } => "exec",
        }
    }

    /// What is copied, in one line.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Postgres { url } | Self::Mysql { url } => url.clone(),
            Self::Sqlite { path } | Self::Files { path } => path.clone(),
            Self::Exec { make, .. } => make.join(" "),
        }
    }
}
