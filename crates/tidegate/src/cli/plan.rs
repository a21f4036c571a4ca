//! `tidegate plan [VERSION]`: everything that a deployment would do, with clock times.
//! Must never begin anything.

use crate::cli::deploy;
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::view::plan::Foreseen;
use crate::view::request::Foresee;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tag; by default the one of the checked-out commit
    version: Option<String>,
    #[command(flatten)]
    from: deploy::From,
    /// Requests a second that users make, to count those that would meet the candidate
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Print Markdown, for a pull request
    #[arg(long)]
    markdown: bool,
    /// Exit with 20 when something else is live
    #[arg(long)]
    exit_code: bool,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or the configuration of the tag has errors.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let named = deploy::request(session, args.version.as_deref(), &args.from)?;
    let asked = Foresee {
        repository: named.repository,
        version: named.version,
        config: named.config,
        environment: named.environment,
        variables: named.variables,
        requests_per_second: args.rate,
    };
    let plan: Foreseen = session.client.post("/v1/plans", &asked).await?;
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&plan)?;
    } else if args.markdown {
        terminal.raw(markdown(&plan).as_bytes())?;
    } else {
        for line in lines(&plan) {
            terminal.line(&line)?;
        }
    }
    let changes = args.exit_code && plan.live.as_deref() != Some(plan.version.as_str());
    Ok(if changes { Exit::HasChanges } else { Exit::Done })
}

fn heading(plan: &Foreseen) -> String {
    format!(
        "{} {} -> {} in {}",
        plan.service,
        plan.live.as_deref().unwrap_or("nothing"),
        plan.version,
        plan.environment
    )
}

/// What keeps `deploy` from it, and what brings it back.
fn closing(plan: &Foreseen) -> Vec<String> {
    let mut lines = Vec::new();
    match &plan.live {
        Some(live) => lines.push(format!("rollback brings back {live}")),
        None => {
            lines.push("nothing is live: a failure stops it, and there is no way back".to_owned())
        }
    }
    if let Some(current) = &plan.in_flight {
        lines.push(format!("{current} is in flight and ends first, or is superseded"));
    }
    if !plan.deployable {
        let why = if plan.unserved.is_empty() {
            "questions are open".to_owned()
        } else {
            format!("not served yet: {}", plan.unserved.join(", "))
        };
        lines.push(format!("`deploy` refuses it: {why}"));
    }
    lines.push(format!("declared {}", plan.declared));
    lines
}

fn lines(plan: &Foreseen) -> Vec<String> {
    let mut lines = vec![styled(Style::Strong, &heading(plan))];
    lines.extend(plan.phases.iter().map(|row| format!("  {:10} {}", row.phase, row.does)));
    for step in &plan.steps {
        let exposed =
            step.exposed.map_or_else(String::new, |count| format!(", about {count} requests"));
        lines.push(format!("  {:>7} %  {:.0} to {:.0}{exposed}", step.percent, step.from, step.to));
    }
    lines.push(format!("  over at the earliest at {:.0}", plan.ends_at));
    lines.extend(closing(plan));
    lines.extend(
        plan.diagnostics
            .iter()
            .map(|found| format!("{}[{}] {}", found.severity.name(), found.code, found.message)),
    );
    lines
}

fn markdown(plan: &Foreseen) -> String {
    let mut text = format!("### {}\n\n| phase | does |\n|---|---|\n", heading(plan));
    text.extend(plan.phases.iter().map(|row| format!("| {} | {} |\n", row.phase, row.does)));
    text.push_str("\n| share | from | to | requests |\n|---|---|---|---|\n");
    for step in &plan.steps {
        let exposed = step.exposed.map_or_else(|| "-".to_owned(), |count| count.to_string());
        text.extend([format!(
            "| {} % | {:.0} | {:.0} | {exposed} |\n",
            step.percent, step.from, step.to
        )]);
    }
    text.push('\n');
    text.extend(closing(plan).into_iter().map(|line| format!("- {line}\n")));
    text.extend(
        plan.diagnostics.iter().map(|found| {
            format!("- {} `{}`: {}\n", found.severity.name(), found.code, found.message)
        }),
    );
    text
}
