//! `tidegate diff A B`: what lies between two tags of this repository.
//! Must never look at the work tree: a release is its tag.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_spec::{Change, Shown};

use crate::api::context;
use crate::cli::project;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::DEFAULT_CONFIG;

/// Most commits that are listed; the number of all is said.
const COMMITS_MAX: usize = 50;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A tag
    before: String,
    /// Another
    after: String,
}

/// What lies between.
#[derive(Debug, Serialize)]
struct Between {
    before: String,
    after: String,
    commits: Vec<String>,
    files: Vec<String>,
    configuration: Vec<Change>,
}

/// Runs the verb.
///
/// # Errors
/// TG7006 outside of a repository, TG7002 when a tag does not exist.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let here = std::env::current_dir().map_err(Failure::local)?;
    let root = project::repository(&here)?;
    let git = |arguments: &[&str]| project::git(&root, arguments);
    for tag in [&args.before, &args.after] {
        let name = format!("refs/tags/{tag}^{{commit}}");
        git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).map_err(
            |_unknown| {
                Failure::new(
                    Exit::NotFound,
                    "TG7002",
                    format!("{tag} is not a tag of this repository"),
                )
                .help(format!("newest tags: {}", project::newest_tags(&root).join(", ")))
            },
        )?;
    }
    let range = format!("refs/tags/{}..refs/tags/{}", args.before, args.after);
    let list = |said: Result<String, String>| -> Vec<String> {
        said.unwrap_or_default().lines().map(str::to_owned).collect()
    };
    let environment = session.globals.environment.as_deref();
    let config = |tag: &str| -> Option<Shown> {
        let source = git(&["show", &format!("refs/tags/{tag}:{DEFAULT_CONFIG}")]).ok()?;
        let mut files = BTreeMap::new();
        for path in tidegate_spec::wanted(&source, &files) {
            let text = git(&["show", &format!("refs/tags/{tag}:{path}")]).unwrap_or_default();
            files.insert(path, text.into_bytes());
        }
        let variables = BTreeMap::new();
        tidegate_spec::show(&source, DEFAULT_CONFIG, &context(environment, &files, &variables)).ok()
    };
    let configuration = match (config(&args.before), config(&args.after)) {
        (Some(before), Some(after)) => tidegate_spec::changes(&before, &after),
        _ => Vec::new(),
    };
    let between = Between {
        before: args.before.clone(),
        after: args.after.clone(),
        commits: list(git(&["log", "--format=%h %an: %s", &range])),
        files: list(git(&["diff", "--stat=100", &range])),
        configuration,
    };
    if session.terminal.is_json() {
        session.terminal.json(&between)?;
        return Ok(Exit::Done);
    }
    for line in lines(&between) {
        session.terminal.line(&line)?;
    }
    Ok(Exit::Done)
}

fn lines(between: &Between) -> Vec<String> {
    let mut lines = vec![format!(
        "{} commits from {} to {}",
        between.commits.len(),
        between.before,
        between.after
    )];
    lines.extend(between.commits.iter().take(COMMITS_MAX).map(|commit| format!("  {commit}")));
    lines.extend(between.files.iter().map(|file| format!(" {file}")));
    lines.push(format!("{} values of {DEFAULT_CONFIG} differ", between.configuration.len()));
    for change in &between.configuration {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        lines.push(format!(
            "  {}: {} -> {}",
            change.path,
            side(&change.before),
            side(&change.after)
        ));
    }
    lines
}
