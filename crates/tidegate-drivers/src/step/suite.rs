//! A smoke suite in YAML: HTTP steps against one instance, in order, with what each must answer.
//!
//! ```yaml
//! steps:
//!   - name: sign in
//!     post: /login
//!     form: {user: ada, password: "${password}"}      # or json:, body:, files: {field: path}
//!     expect: {status: 200, header: {x-app: shop}, body: welcome, json: {/user/name: Ada}, within: 2s}
//!     capture: {token: {json: /token}, tag: {header: etag}, id: {after: 'id="', before: '"'}}
//!   - delete: /session/${token}
//!     cleanup: true                                    # also after a failure
//! ```
//! Declared variables of the part can be named like captured ones. Cookies are kept.
//!
//! Must never ask anything but the instance it was given, never let a step that was not asked
//! count, and never print a secret.

mod ask;
mod file;

use std::io::Write;
use std::time::Duration;

use tidegate_core::verdict::Outcome;
use tidegate_engine::ports::CheckReport;
use tokio::time::Instant;

use crate::files;
use crate::text;

use super::{Suite, report};
use ask::{Asker, Refused};
use file::{Step, Steps};

/// Longest suite file, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The part of the time that is kept for cleaning up, at most.
const CLEANUP_MAX: Duration = Duration::from_secs(10);
/// Longest summary, in characters.
const SUMMARY_CHARS_MAX: usize = 500;

/// Runs the suite of a file in the artifact.
pub(crate) async fn run(suite: &Suite<'_>, file: &str) -> CheckReport {
    let steps = match read(suite, file) {
        Ok(steps) => steps,
        Err(what) => return report(Outcome::NoData, format!("{file}: {what} [TG4201]")),
    };
    let asker = match Asker::new(suite) {
        Ok(asker) => asker,
        Err(what) => return report(Outcome::NoData, format!("{what} [TG4201]")),
    };
    let mut log = Log::open(suite);
    let result = in_order(suite, &steps, asker, &mut log).await;
    log.line(&format!("{}: {}", result.outcome.word(), result.summary));
    result
}

fn read(suite: &Suite<'_>, file: &str) -> Result<Steps, String> {
    let path = file::inside(suite.artifact, file)?;
    let bytes = files::read_capped(&path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or("there is no such file in the release")?;
    let text = String::from_utf8(bytes).map_err(|_odd| "it is not UTF-8")?;
    file::parse(&text)
}

async fn in_order(
    suite: &Suite<'_>,
    steps: &[Step],
    mut asker: Asker<'_>,
    log: &mut Log,
) -> CheckReport {
    let begun = Instant::now();
    let reserve = (suite.timeout / 10).min(CLEANUP_MAX);
    let end = begun + suite.timeout;
    let mut passed = 0_usize;
    let mut failed: Option<CheckReport> = None;
    for (number, step) in steps.iter().enumerate() {
        if failed.is_some() && !step.cleanup {
            continue;
        }
        let deadline = if step.cleanup { end } else { end - reserve };
        let name = step.title(number, steps.len());
        let asked = Instant::now();
        let result = tokio::time::timeout_at(deadline, asker.ask(step)).await;
        let took = asked.elapsed().as_millis();
        let (outcome, what) = match result {
            Ok(Ok(())) => {
                passed += 1;
                log.line(&format!("ok {name}, {} {} ({took} ms)", step.method, step.path));
                continue;
            }
            Ok(Err(Refused { what, excerpt })) => {
                log.line(&format!("failed {name} ({took} ms): {what}\n{excerpt}"));
                (Outcome::Fail, format!("{name}: {what} [TG4202]"))
            }
            Err(_elapsed) => {
                log.line(&format!("failed {name} ({took} ms): the time of the suite is up"));
                let limit = suite.timeout;
                (Outcome::NoData, format!("{name}: not answered within {limit:?} [TG4205]"))
            }
        };
        // The first failure is the reason; what cleaning up meets afterwards is only logged.
        let summary = text::printable(&what, SUMMARY_CHARS_MAX);
        failed.get_or_insert_with(|| report(outcome, summary));
    }
    failed.unwrap_or_else(|| {
        if passed == 0 {
            report(Outcome::NoData, "the suite has no steps [TG4206]")
        } else {
            report(Outcome::Pass, format!("{passed}/{} steps", steps.len()))
        }
    })
}

// Keeping the log is not what the suite is for: without it the result still counts.
#[derive(Debug)]
struct Log(Option<std::fs::File>);

impl Log {
    fn open(suite: &Suite<'_>) -> Self {
        let directory = suite.log.parent().unwrap_or(suite.log);
        let opened = files::make_private(directory)
            .and_then(|()| std::fs::OpenOptions::new().append(true).create(true).open(suite.log));
        Self(opened.map_err(|error| tracing::warn!(%error, "a suite has no log")).ok())
    }

    fn line(&mut self, line: &str) {
        if let Some(file) = &mut self.0
            && let Err(error) = writeln!(file, "{line}")
        {
            tracing::warn!(%error, "the log of a suite could not be written");
            self.0 = None;
        }
    }
}
