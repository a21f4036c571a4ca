//! `tidegate config`: the configuration as it counts, its format, and changes of its text.
//! Must never need a server, and never write a file that reads as another one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidegate_spec::{Diagnostics, Shown};

use crate::api::context;
use crate::cli::project::{self, Loaded};
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};

/// The verbs of the configuration.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Every value as it counts, with the file and line it is from
    Show(Show),
    /// The format as a JSON Schema, for editors
    Schema,
    /// One value, or a section
    Get(Get),
    /// What differs between two files, or two environments of one
    Diff(Diff),
    /// Write the file in its usual form; comments stay
    Fmt(Change),
    /// Write the file in the newest format
    Migrate(Change),
}

/// Arguments of `config show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The file; by default tidegate.yaml, searched upward
    file: Option<PathBuf>,
    /// One file with nothing left to look up
    #[arg(long)]
    resolved: bool,
    /// The place that each value is from, and what it hides
    #[arg(long)]
    origin: bool,
}

/// Arguments of `config get`.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// Its path, `traffic.steps[2]`
    path: String,
}

/// Arguments of `config diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// A file, or an environment of this directory's file
    before: String,
    /// Another
    after: String,
    /// Exit with 20 when something differs
    #[arg(long)]
    exit_code: bool,
}

/// Arguments of verbs that change the text.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// The file; by default tidegate.yaml, searched upward
    file: Option<PathBuf>,
    /// Change nothing; exit with 20 when there would be something to change
    #[arg(long)]
    check: bool,
}

/// Runs the verb.
///
/// # Errors
/// TG7005 when a file cannot be read. Findings are printed and end with 3.
pub(crate) fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Show(args) => show(session, args),
        Verb::Schema => {
            let schema = tidegate_spec::schema();
            session.terminal.raw(pretty(&schema)?.as_bytes())?;
            Ok(Exit::Done)
        }
        Verb::Get(args) => get(session, &args.path),
        Verb::Diff(args) => diff(session, args),
        Verb::Fmt(args) => change(session, args, |text, name| {
            let formatted = tidegate_spec::fmt(text, name)?;
            Ok((formatted, Vec::new()))
        }),
        Verb::Migrate(args) => change(session, args, tidegate_spec::migrate),
    }
}

fn pretty(value: &serde_json::Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::local)?;
    Ok(text + "\n")
}

fn show(session: &Session, args: &Show) -> Result<Exit, Failure> {
    let file = named(session, args.file.as_deref())?;
    let shown = match resolved(&file, session.globals.environment.as_deref())? {
        Ok(shown) => shown,
        Err(found) => return refused(session, &found),
    };
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&shown)?;
        return Ok(Exit::Done);
    }
    if args.resolved && !args.origin {
        terminal.raw(shown.text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let width = shown.values.iter().map(|value| value.path.chars().count()).max().unwrap_or(0);
    for value in &shown.values {
        let hides = if value.hides.is_empty() {
            String::new()
        } else {
            format!(", hides {}", value.hides.join(", "))
        };
        let origin = format!("{}:{}{hides}", value.file, value.line);
        terminal.line(&format!(
            "{:width$}  {}  {}",
            value.path,
            value.value.replace('\n', " "),
            styled(Style::Faint, &origin)
        ))?;
    }
    Ok(Exit::Done)
}

fn get(session: &Session, path: &str) -> Result<Exit, Failure> {
    let file = named(session, None)?;
    let shown = match resolved(&file, session.globals.environment.as_deref())? {
        Ok(shown) => shown,
        Err(found) => return refused(session, &found),
    };
    let Some(value) = tidegate_spec::get(&shown, path) else {
        return Err(Failure::new(
            Exit::NotFound,
            "TG7026",
            format!("{} has no value at {path}", file.display()),
        )
        .help("`tidegate config show` lists all of them"));
    };
    if session.terminal.is_json() {
        session.terminal.json(&serde_json::json!({ "path": path, "value": value }))?;
    } else {
        session.terminal.line(value.trim_end())?;
    }
    Ok(Exit::Done)
}

fn diff(session: &Session, args: &Diff) -> Result<Exit, Failure> {
    let side = |name: &str| -> Result<Result<Shown, Diagnostics>, Failure> {
        let path = Path::new(name);
        if path.is_file() {
            return resolved(path, session.globals.environment.as_deref());
        }
        resolved(&named(session, None)?, Some(name))
    };
    let (before, after) = match (side(&args.before)?, side(&args.after)?) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(found), _) | (_, Err(found)) => return refused(session, &found),
    };
    let changes = tidegate_spec::changes(&before, &after);
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&changes)?;
    } else if changes.is_empty() {
        terminal.line("no value differs")?;
    } else {
        for change in &changes {
            let line = match (&change.before, &change.after) {
                (None, Some(after)) => format!("+ {}: {after}", change.path),
                (Some(before), None) => format!("- {}: {before}", change.path),
                (before, after) => format!(
                    "~ {}: {} -> {}",
                    change.path,
                    before.as_deref().unwrap_or_default(),
                    after.as_deref().unwrap_or_default()
                ),
            };
            terminal.line(&line)?;
        }
    }
    let changed = args.exit_code && !changes.is_empty();
    Ok(if changed { Exit::HasChanges } else { Exit::Done })
}

fn change(
    session: &Session,
    args: &Change,
    make: impl Fn(&str, &str) -> Result<(String, Vec<String>), Diagnostics>,
) -> Result<Exit, Failure> {
    let file = named(session, args.file.as_deref())?;
    let bytes = project::read(&file)?;
    let name = project::name_of(&file);
    let made = tidegate_spec::decode(&bytes, &name)
        .and_then(|text| make(text, &name).map(|(made, said)| (text != made, made, said)));
    let (changed, made, said) = match made {
        Ok(made) => made,
        Err(found) => return refused(session, &found),
    };
    if changed && !args.check && !session.globals.dry_run {
        project::replace(&file, &made)?;
    }
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&serde_json::json!({
            "file": file.display().to_string(),
            "changed": changed,
            "said": said,
            "text": made,
        }))?;
    } else if changed {
        for line in said {
            terminal.line(&line)?;
        }
        let word = if args.check || session.globals.dry_run { "would change" } else { "changed" };
        terminal.line(&format!("{}: {word}", file.display()))?;
    } else {
        terminal.line(&format!("{}: nothing to change", file.display()))?;
    }
    Ok(if changed && args.check { Exit::HasChanges } else { Exit::Done })
}

fn named(session: &Session, file: Option<&Path>) -> Result<PathBuf, Failure> {
    project::config(file.or(session.globals.config.as_deref())).ok_or_else(project::no_config)
}

/// The file and all that it is made of, as one.
fn resolved(file: &Path, environment: Option<&str>) -> Result<Result<Shown, Diagnostics>, Failure> {
    let Loaded { name, bytes, files } = project::load(file)?;
    let variables = BTreeMap::new();
    Ok(tidegate_spec::decode(&bytes, &name).and_then(|source| {
        tidegate_spec::show(source, &name, &context(environment, &files, &variables))
    }))
}

fn refused(session: &Session, found: &Diagnostics) -> Result<Exit, Failure> {
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
    } else {
        session.terminal.line(&found.to_string())?;
    }
    Ok(Exit::ConfigInvalid)
}
