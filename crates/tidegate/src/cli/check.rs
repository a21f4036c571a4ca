//! `tidegate check [FILE]`: everything that is wrong with a configuration, without a server.
//! Must never stop at the first finding.

use std::path::{Path, PathBuf};

use tidegate_spec::Severity;

use crate::api::look;
use crate::cli::project;
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
}

/// Runs the verb.
///
/// # Errors
/// TG7005 when there is no file. Findings are printed, and errors among them end with 3.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let named = args.file.as_deref().or(session.globals.config.as_deref());
    let file = project::config(named).ok_or_else(project::no_config)?;
    let checked = check(&file, session.globals.environment.as_deref())?;
    let terminal = &session.terminal;
    if terminal.is_json() {
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
pub(crate) fn check(file: &Path, environment: Option<&str>) -> Result<Checked, Failure> {
    let bytes = project::read(file)?;
    let name = file
        .file_name()
        .map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
    Ok(match tidegate_spec::decode(&bytes, &name) {
        Ok(source) => look(source, &name, environment),
        Err(found) => Checked { valid: false, service: None, diagnostics: found.0 },
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
    let word =
        if checked.valid { styled(Style::Good, "valid") } else { styled(Style::Bad, "invalid") };
    format!("{}: {word}, {}", file.display(), counts.join(", "))
}
