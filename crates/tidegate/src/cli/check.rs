//! `tidegate check [FILE]`: everything that is wrong with a configuration, without a server.
//! Must never stop at the first finding.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidegate_spec::Severity;

use crate::api::{context, look};
use crate::cli::project::{self, Loaded};
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::service::Checked;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file; by default tidegate.yaml, searched upward
    file: Option<PathBuf>,
    /// How to print the findings
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// A value for a declared variable, `NAME=VALUE`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = project::assignment)]
    variables: Vec<(String, String)>,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// Runs the verb.
///
/// # Errors
/// TG7005 when there is no file. Findings are printed, and errors among them end with 3.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let named = args.file.as_deref().or(session.globals.config.as_deref());
    let file = project::config(named).ok_or_else(project::no_config)?;
    let variables = args.variables.iter().cloned().collect();
    let checked = check(&file, session.globals.environment.as_deref(), &variables)?;
    let terminal = &session.terminal;
    if args.output == Output::Sarif {
        let sarif = tidegate_spec::sarif(&checked.diagnostics, env!("CARGO_PKG_VERSION"));
        let text = serde_json::to_string_pretty(&sarif).map_err(Failure::local)?;
        terminal.line(&text)?;
    } else if terminal.is_json() {
        terminal.json(&checked)?;
    } else {
        for found in &checked.diagnostics {
            terminal.line(&found.to_string())?;
        }
        terminal.line(&summary(&file, &checked))?;
    }
    Ok(if checked.valid { Exit::Done } else { Exit::ConfigInvalid })
}

/// Reads and checks a file.
///
/// # Errors
/// TG7005 when it cannot be read.
pub(crate) fn check(
    file: &Path,
    environment: Option<&str>,
    variables: &BTreeMap<String, String>,
) -> Result<Checked, Failure> {
    let Loaded { name, bytes, files } = project::load(file)?;
    Ok(match tidegate_spec::decode(&bytes, &name) {
        Ok(source) => look(source, &name, &context(environment, &files, variables)),
        Err(found) => {
            Checked { valid: false, service: None, diagnostics: found.0, unserved: Vec::new() }
        }
    })
}

fn summary(file: &Path, checked: &Checked) -> String {
    let count = |severity| checked.diagnostics.iter().filter(|d| d.severity == severity).count();
    let counts = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
        (count(Severity::Note), "note"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, word)| *count > 0 || *word == "error")
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    let accepted = checked.diagnostics.iter().filter(|d| d.accepted.is_some()).count();
    let accepted = if accepted > 0 { format!(" ({accepted} accepted)") } else { String::new() };
    let deployable = if checked.unserved.is_empty() || !checked.valid {
        String::new()
    } else {
        format!("; `deploy` refuses it: {} keys are not served yet", checked.unserved.len())
    };
    let word =
        if checked.valid { styled(Style::Good, "valid") } else { styled(Style::Bad, "invalid") };
    format!("{}: {word}, {}{accepted}{deployable}", file.display(), counts.join(", "))
}
