//! `tidegate policy`: the rules of a process, tried on cases that a team writes down.
//! Must never touch a server: what is tried is what the file says, on evidence that is given.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::project;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};

mod cases;
mod table;

/// Where cases are looked for, beside the configuration.
const DEFAULT_TABLE: &str = "tidegate.test.yaml";

/// The verbs of policies.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Try tidegate.yaml on a table of cases: given evidence, expected verdict
    Test {
        /// The table; by default tidegate.test.yaml beside the configuration
        table: Option<PathBuf>,
        /// Only cases whose name contains this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
}

/// A table that was tried.
#[derive(Debug, Serialize)]
struct Tried {
    /// Cases that came out as expected.
    passed: usize,
    /// Cases that did not.
    failed: usize,
    cases: Vec<cases::Tried>,
}

/// Runs the verb.
///
/// # Errors
/// TG7005 without a configuration or table, TG7031 when the configuration has errors, TG7120 when
/// the table cannot be read.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Test { table, only } = verb;
    let config = project::config(session.globals.config.as_deref());
    let beside = config.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new("."));
    let path = table.clone().unwrap_or_else(|| beside.join(DEFAULT_TABLE));
    let read = table::read(&path)?;
    let directory = path.parent().unwrap_or_else(|| Path::new(".")).to_owned();
    let config = match (&session.globals.config, &read.config) {
        (None, Some(named)) => directory.join(named),
        _ => config.ok_or_else(project::no_config)?,
    };
    let wanted = read
        .cases
        .into_iter()
        .filter(|case| only.as_deref().is_none_or(|words| case.name.contains(words)));
    let environment = session.globals.environment.as_deref();
    let mut tried = Vec::new();
    for case in wanted {
        tried.push(cases::run(&config, &directory, environment, case).await?);
    }
    if tried.is_empty() {
        return Err(table::unreadable(&path, "no case is to be tried"));
    }
    let failed = tried.iter().filter(|case| !case.problems.is_empty()).count();
    let all = Tried { passed: tried.len() - failed, failed, cases: tried };
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&all)?;
    } else {
        for case in &all.cases {
            let (word, style) =
                if case.problems.is_empty() { ("ok", Style::Good) } else { ("not ok", Style::Bad) };
            terminal.line(&format!("{} {}", styled(style, &format!("{word:6}")), case.name))?;
            for problem in &case.problems {
                terminal.line(&format!("       {problem}"))?;
            }
        }
        terminal.line(&format!(
            "{} of {} cases came out as expected",
            all.passed,
            all.cases.len()
        ))?;
    }
    Ok(if all.failed == 0 { Exit::Done } else { Exit::Stopped })
}
