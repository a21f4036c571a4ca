//! `tidegate list`: deployments, newest first.
//! Must never show less than asked without saying so.

use crate::cli::session::{Session, rows_path};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{cut_columns, styled};
use crate::text::{ago, span};
use crate::view::{Row, Rows};

use crate::words::{state_icon, state_words};

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Of every service, not only of the one here
    #[arg(short, long)]
    all: bool,
    /// Only those that began before this one did
    #[arg(long, value_name = "DEPLOYMENT")]
    before: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let here = if args.all { None } else { session.service_here() };
    let (service, environment) = match &here {
        Some(named) => (Some(named.service.as_str()), named.environment.as_deref()),
        None => (None, session.globals.environment.as_deref()),
    };
    let before = args.before.as_deref().map(|id| format!("&before={}", encode(id)));
    let path = rows_path(service, environment, args.limit) + &before.unwrap_or_default();
    let rows: Rows = session.client.get(&path).await?;
    if session.terminal.is_json() {
        session.terminal.json(&rows)?;
        return Ok(Exit::Done);
    }
    if rows.deployments.is_empty() {
        let of = here.map_or_else(String::new, |named| format!(" of {}", named.service));
        session.terminal.say(&format!("no deployments{of} yet: `tidegate deploy` starts one"));
    }
    let (width, _) = session.terminal.size();
    for row in &rows.deployments {
        let line = line(session, row);
        let line = if session.terminal.is_screen() { cut_columns(&line, width) } else { line };
        session.terminal.line(&line)?;
    }
    if let Some(next) = &rows.next {
        session.terminal.say(&format!("there may be more: `tidegate list --before {next}`"));
    }
    Ok(Exit::Done)
}

fn line(session: &Session, row: &Row) -> String {
    let now = jiff::Timestamp::now();
    let (icon, style) = state_icon(&row.state, session.terminal.unicode());
    let took = match row.ended_at {
        Some(ended) => format!("took {}", span(ended.duration_since(row.started_at))),
        None => format!("for {}", span(now.duration_since(row.started_at))),
    };
    format!(
        "{} {:8} {}/{} {}  {} by {}, {took}: {}",
        styled(style, icon),
        row.id,
        row.service,
        row.environment,
        row.version,
        ago(row.started_at, now),
        row.started_by,
        if row.ended_at.is_some() {
            row.sentence.clone()
        } else {
            format!("{}: {}", state_words(&row.state), row.sentence)
        },
    )
}
