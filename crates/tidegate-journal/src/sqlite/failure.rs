//! What SQLite said, in the words of the port.
//! Must never turn an error into a success, nor "unknown" into "not done".

use sqlx::error::Error;
use sqlx::migrate::MigrateError;
use tidegate_engine::ports::JournalError;

use crate::codes;

/// The primary result codes of SQLite that have a page of their own.
mod result {
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

/// The error of a statement.
#[expect(clippy::needless_pass_by_value, reason = "it is the end of a `map_err`")]
pub(super) fn of(error: Error) -> JournalError {
    let code = error.as_database_error().and_then(|e| e.code()?.parse::<u32>().ok());
    // The low byte is the primary code, the rest says where it came from.
    let code = match code.map(|extended| extended & 0xff) {
        Some(result::CORRUPT | result::NOTADB) => {
            return JournalError::Damaged {
                code: codes::MALFORMED,
                what: format!("the journal's file is damaged: {error}"),
            };
        }
        Some(result::FULL) => codes::DISK_FULL,
        Some(result::READONLY | result::CANTOPEN) => codes::NOT_OPENED,
        _ => codes::NO_ANSWER,
    };
    JournalError::Unavailable { code, what: format!("the journal: {error}") }
}

/// The error of bringing the layout up to this build.
pub(super) fn of_migration(error: MigrateError) -> JournalError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => of(error),
        MigrateError::VersionMissing(number) => JournalError::Unavailable {
            code: codes::NEWER_LAYOUT,
            what: format!("the journal has layout {number}, which this build does not know"),
        },
        other => JournalError::Damaged {
            code: codes::MALFORMED,
            what: format!("the journal's layout: {other}"),
        },
    }
}

/// No answer within the time that is given to it.
pub(super) fn late(what: &str) -> JournalError {
    JournalError::Unavailable {
        code: codes::NO_ANSWER,
        what: format!("the journal has not answered in time: {what}"),
    }
}
