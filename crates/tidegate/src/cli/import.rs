//! `tidegate import KIND FILE`: a description of a process, made by people or for another tool,
//! becomes a draft. Must never overwrite a file, and never drop a line without saying so.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use tidegate_spec::{How, Imported, Tool};

use crate::cli::project;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the file is
    kind: Kind,
    /// The file
    file: PathBuf,
    /// Write the draft to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print the draft in place of the report
    #[arg(long)]
    draft: bool,
}

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A runbook in Markdown: boxes, tables, limits, pictures, scripts.
    Runbook,
    /// An Argo Rollout, with its AnalysisTemplates.
    ArgoRollout,
    /// A Flagger Canary.
    Flagger,
    /// Kamal's deploy.yml.
    Kamal,
    /// Alert rules of Prometheus, which Alertmanager sends.
    Alerts,
    /// An OpenSLO objective.
    Openslo,
    /// A workflow of GitHub Actions.
    GithubWorkflow,
    /// A picture that `export mermaid` drew, or another flowchart.
    Mermaid,
}

/// Runs the verb.
///
/// # Errors
/// TG7005 when the file cannot be read, TG7009 when the draft's file exists.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let bytes = read(&args.file)?;
    let text = String::from_utf8_lossy(&bytes);
    let name = project::name_of(&args.file);
    let imported = match args.kind {
        Kind::Runbook => tidegate_spec::runbook(&text, &name),
        Kind::ArgoRollout => tidegate_spec::tool(Tool::ArgoRollout, &text, &name),
        Kind::Flagger => tidegate_spec::tool(Tool::Flagger, &text, &name),
        Kind::Kamal => tidegate_spec::tool(Tool::Kamal, &text, &name),
        Kind::Alerts => tidegate_spec::tool(Tool::Alerts, &text, &name),
        Kind::Openslo => tidegate_spec::tool(Tool::Openslo, &text, &name),
        Kind::GithubWorkflow => tidegate_spec::tool(Tool::GithubWorkflow, &text, &name),
        Kind::Mermaid => tidegate_spec::drawing(&text, &name),
    };
    if let Some(file) = &args.write {
        write_new(file, &imported.draft)?;
    }
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&imported)?;
    } else if args.draft {
        terminal.raw(imported.draft.as_bytes())?;
    } else {
        for line in report(&imported, args.write.as_deref()) {
            terminal.line(&line)?;
        }
    }
    Ok(Exit::Done)
}

/// Reads a document, which may be as large as a configuration.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = project::read(file)?;
    if bytes.len() > tidegate_spec::SOURCE_BYTES_MAX {
        return Err(Failure::new(
            Exit::Usage,
            "TG1001",
            format!("{} has more than {} bytes", file.display(), tidegate_spec::SOURCE_BYTES_MAX),
        )
        .help("import the chapter that describes the deployment"));
    }
    Ok(bytes)
}

pub(super) fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let mut created =
        OpenOptions::new().write(true).create_new(true).open(file).map_err(|error| {
            Failure::new(
                Exit::Conflict,
                "TG7009",
                format!("{} cannot be made: {error}", file.display()),
            )
            .safe("nothing was overwritten")
            .help("name a file that does not exist, or `--draft` to print it")
        })?;
    created.write_all(text.as_bytes()).map_err(Failure::local)
}

fn report(imported: &Imported, wrote: Option<&Path>) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &imported.entries {
        let style = match entry.how {
            How::Exact => Style::Good,
            How::Approximated => Style::Doubtful,
            How::NeedsAnswer => Style::Strong,
            How::Dropped => Style::Faint,
        };
        lines.push(format!(
            "{:>4}  {}  {}",
            entry.line,
            styled(style, &format!("{:15}", entry.how.word())),
            entry.text
        ));
        let to = entry.to.join(", ");
        let said = [to.as_str(), entry.value.as_str(), entry.why.as_str()];
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        lines.push(format!("      {}", styled(Style::Faint, &said.join("; "))));
        lines.extend(entry.findings.iter().map(|finding| format!("      ! {finding}")));
    }
    lines.push(format!(
        "boxes: {} of {} bound; numbers: {} of {} bound",
        imported.boxes.bound, imported.boxes.all, imported.numbers.bound, imported.numbers.all
    ));
    let words = [How::Exact, How::Approximated, How::NeedsAnswer, How::Dropped];
    let counts = words.map(|how| format!("{} {}", imported.count(how), how.word()));
    lines.push(format!("lines: {}", counts.join(", ")));
    if imported.repaired + imported.lost > 0 {
        lines.push(format!(
            "the encoding was broken: {} places repaired, in {} something is lost",
            imported.repaired, imported.lost
        ));
    }
    match wrote {
        Some(file) => {
            lines.push(format!("wrote {}", file.display()));
            lines.push(format!("next: tidegate check {}", file.display()));
        }
        None => lines.push("next: the same with `--write tidegate.yaml`".to_owned()),
    }
    lines
}
