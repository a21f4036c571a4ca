//! The question that a command answers by its exit code. It runs in the artifact.
//! It sees what the instance sees: the declared variables and the port. Must never see more.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::hidden::Hidden;
use crate::once::{self, End, Once};
use crate::text;

use super::Answer;

/// Runs the command with these variables besides the inherited ones.
pub(super) async fn ask(
    argv: &[String],
    artifact: &Path,
    env: BTreeMap<String, String>,
    limit: Duration,
) -> Answer {
    let once = Once {
        argv,
        directory: artifact,
        env,
        timeout: limit,
        log: None,
        thorough: false,
        mark: None,
        input: None,
        hidden: Hidden::default(),
    };
    let ran = once::run(once).await.map_err(|error| format!("{error} [TG4103]"))?;
    if ran.succeeded() {
        return Ok(());
    }
    let said = text::last_line(&ran.tail).map_or_else(String::new, |line| format!(": {line}"));
    match ran.end {
        End::Exited(status) => {
            let found = once::words(status);
            Err(format!("expected exit code 0, found that it {found}{said} [TG4103]"))
        }
        End::TimedOut => Err(format!("it did not end within {limit:?}{said} [TG4106]")),
    }
}
