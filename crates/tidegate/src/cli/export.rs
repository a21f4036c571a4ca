//! `tidegate export KIND [FILE]`: the process as a picture, or written for another tool.
//! Must never overwrite a file, and never leave a value out without saying so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tidegate_spec::{Exported, How, Target};

use crate::api::context;
use crate::cli::import;
use crate::cli::project::{self, Loaded};
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is written as
    kind: Kind,
    /// The configuration; by default tidegate.yaml, searched upward
    file: Option<PathBuf>,
    /// Write it to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print what became of every value in place of the text
    #[arg(long)]
    report: bool,
}

/// What a process can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A Mermaid flowchart, which `import mermaid` reads back as the same process.
    Mermaid,
    /// A workflow of GitHub Actions, which has Tidegate carry the process out.
    GithubWorkflow,
    /// An Argo Rollout, with an AnalysisTemplate.
    ArgoRollout,
}

/// Runs the verb.
///
/// # Errors
/// TG7005 when there is no configuration, TG7009 when the file exists. What is wrong with the
/// configuration is printed and ends with 3.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let named = args.file.as_deref().or(session.globals.config.as_deref());
    let file = project::config(named).ok_or_else(project::no_config)?;
    let Loaded { name, bytes, files } = project::load(&file)?;
    let target = match args.kind {
        Kind::Mermaid => Target::Mermaid,
        Kind::GithubWorkflow => Target::GithubWorkflow,
        Kind::ArgoRollout => Target::ArgoRollout,
    };
    let none = BTreeMap::new();
    let context = context(session.globals.environment.as_deref(), &files, &none);
    let exported = tidegate_spec::decode(&bytes, &name)
        .and_then(|source| tidegate_spec::export(target, source, &name, &context));
    let terminal = &session.terminal;
    let exported = match exported {
        Ok(exported) => exported,
        Err(found) => {
            for finding in &found.0 {
                terminal.line(&finding.to_string())?;
            }
            return Ok(Exit::ConfigInvalid);
        }
    };
    if let Some(file) = &args.write {
        import::write_new(file, &exported.text)?;
    }
    if terminal.is_json() {
        terminal.json(&exported)?;
    } else if args.report {
        for line in report(&exported) {
            terminal.line(&line)?;
        }
    } else if args.write.is_none() {
        terminal.raw(exported.text.as_bytes())?;
    }
    terminal.say(&format!("values: {}; `--report` names each", counts(&exported)));
    Ok(Exit::Done)
}

fn counts(exported: &Exported) -> String {
    let words = [How::Exact, How::Approximated, How::NeedsAnswer, How::Dropped];
    words.map(|how| format!("{} {}", exported.count(how), how.word())).join(", ")
}

fn report(exported: &Exported) -> Vec<String> {
    let lines = exported.entries.iter().map(|entry| {
        let style = match entry.how {
            How::Exact => Style::Good,
            How::Approximated => Style::Doubtful,
            How::NeedsAnswer => Style::Strong,
            How::Dropped => Style::Faint,
        };
        let how = styled(style, &format!("{:15}", entry.how.word()));
        let why = if entry.why.is_empty() { String::new() } else { format!(" ({})", entry.why) };
        format!("{how}  {}: {}{why}", entry.path, entry.value)
    });
    lines.collect()
}
