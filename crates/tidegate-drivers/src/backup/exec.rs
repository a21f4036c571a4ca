//! Backups by a command of the user's own.
//! Must never take an exit code of 0 for a copy: an empty one is none.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate_engine::ports::Failure;

use crate::hidden::Hidden;
use crate::once::{self, End, Once};
use crate::text;

/// Lines of output in a message.
const LINES_MAX: usize = 3;

/// Writes the copy.
pub(super) async fn make(
    argv: &[String],
    env: &BTreeMap<String, String>,
    file: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let mut env = env.clone();
    env.insert("TIDEGATE_BACKUP".to_owned(), file.to_string_lossy().into_owned());
    program(argv, env, file.parent().unwrap_or(file), limit).await.map(drop)
}

/// Restores it into a folder.
pub(super) async fn restore(
    argv: Option<&[String]>,
    env: &BTreeMap<String, String>,
    file: &Path,
    scratch: &Path,
    limit: Duration,
) -> Result<(), Failure> {
    let Some(argv) = argv else {
        let what = "its command has no `restore`, so nobody can say what is in it";
        return Err(Failure::permanent("TG6622", what.to_owned()));
    };
    let mut env = env.clone();
    env.insert("TIDEGATE_BACKUP".to_owned(), file.to_string_lossy().into_owned());
    env.insert("TIDEGATE_SCRATCH".to_owned(), scratch.to_string_lossy().into_owned());
    program(argv, env, scratch, limit).await.map(drop)
}

/// Runs a program to its end.
///
/// # Errors
/// What it said, when it did not exit with 0 in time.
pub(super) async fn program(
    argv: &[String],
    env: BTreeMap<String, String>,
    directory: &Path,
    limit: Duration,
) -> Result<Vec<u8>, Failure> {
    let name = argv.first().cloned().unwrap_or_default();
    let once = Once {
        argv,
        directory,
        env,
        timeout: limit,
        log: None,
        thorough: true,
        mark: None,
        input: None,
        hidden: Hidden::default(),
    };
    let ran =
        once::run(once).await.map_err(|error| Failure::permanent("TG6620", error.to_string()))?;
    let said = text::last_lines(&ran.tail, LINES_MAX);
    match ran.end {
        End::Exited(status) if status.success() => Ok(ran.tail),
        End::Exited(status) => {
            let what = format!("{name} {}: {said}", once::words(status));
            Err(Failure::permanent("TG6620", what))
        }
        End::TimedOut => Err(Failure::retryable(
            "TG6620",
            format!("{name} did not end within {limit:?}: {said}"),
        )),
    }
}
