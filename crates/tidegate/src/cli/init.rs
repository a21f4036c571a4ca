//! `tidegate init`: look at the application here and write a tidegate.yaml for it.
//! Must never overwrite a file, and never hide a guess.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use tidegate_spec::{Detected, FACT_FILES, Facts};

use crate::cli::project;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::request::DEFAULT_CONFIG;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the file in place of writing it
    #[arg(long)]
    print: bool,
}

/// Runs the verb.
///
/// # Errors
/// TG7009 when there is a file already.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let here = std::env::current_dir().map_err(Failure::local)?;
    let repository = project::repository(&here);
    let root = repository.as_ref().unwrap_or(&here);
    let mut detected = tidegate_spec::detect(&facts(root));
    if let Some(name) = &session.globals.service {
        detected.service.clone_from(name);
    }
    let text = tidegate_spec::template(&detected);
    if args.print || session.globals.dry_run {
        session.terminal.raw(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let file = root.join(DEFAULT_CONFIG);
    write_new(&file, &text)?;
    if session.terminal.is_json() {
        session.terminal.json(&serde_json::json!({
            "wrote": file.display().to_string(),
            "service": detected.service,
            "found": detected.found,
            "questions": detected.questions,
        }))?;
        return Ok(Exit::Done);
    }
    for line in told(&detected, &file, repository.is_ok()) {
        session.terminal.line(&line)?;
    }
    Ok(Exit::Done)
}

/// Reads the files that say something about an application.
fn facts(root: &Path) -> Facts {
    let directory = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let limit = u64::try_from(tidegate_spec::SOURCE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut files = BTreeMap::new();
    for name in FACT_FILES {
        let Ok(file) = std::fs::File::open(root.join(name)) else { continue };
        let mut text = String::new();
        // A file that cannot be read as text says nothing.
        if file.take(limit).read_to_string(&mut text).is_ok() {
            files.insert(name.to_owned(), text);
        }
    }
    Facts { directory: directory.unwrap_or_default(), files }
}

fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let created = OpenOptions::new().write(true).create_new(true).open(file);
    let mut created = match created {
        Ok(created) => created,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Failure::new(
                Exit::Conflict,
                "TG7009",
                format!("{} exists", file.display()),
            )
            .safe("it was not touched")
            .help(
                "`tidegate check` reads it; `tidegate init --print` shows what would be written",
            ));
        }
        Err(error) => {
            return Err(Failure::local(format!("{} cannot be written: {error}", file.display())));
        }
    };
    created.write_all(text.as_bytes()).map_err(Failure::local)
}

fn told(detected: &Detected, file: &Path, in_repository: bool) -> Vec<String> {
    let found = if detected.found.is_empty() {
        "found nothing that says how it is started".to_owned()
    } else {
        format!("found {}", detected.found.join(", "))
    };
    let mut lines = vec![
        found,
        format!(
            "wrote {} for the service {}",
            file.display(),
            styled(Style::Strong, &detected.service)
        ),
    ];
    lines.extend(
        detected.questions.iter().enumerate().map(|(n, text)| format!("  ?{} {text}", n + 1)),
    );
    let first = if in_repository { "" } else { "git init && " };
    lines.push("next:".to_owned());
    lines.push("  tidegate check".to_owned());
    lines.push(format!(
        "  {first}git add {DEFAULT_CONFIG} && git commit -m 'How it gets to production' && git tag v1"
    ));
    lines.push("  tidegate deploy v1".to_owned());
    lines
}
