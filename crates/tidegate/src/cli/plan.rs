//! `tidegate plan [VERSION]`: everything that a deployment would do, with clock times.
//! Must never begin anything.

use crate::cli::session::Session;
use crate::cli::{deploy, gate};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, styled};
use crate::view::approval::Difference;
use crate::view::plan::{Call, Delta, Dependency, Foreseen, WayBack};
use crate::view::request::Foresee;

/// Most entries of one list on a terminal; `--json` has all of them.
const LISTED_MAX: usize = 12;

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
        tighten: named.tighten,
        requests_per_second: args.rate,
    };
    let plan: Foreseen = session.client.post("/v1/plans", &asked).await?;
    let terminal = &session.terminal;
    if terminal.is_json() {
        terminal.json(&plan)?;
    } else if args.markdown {
        terminal.raw(markdown(&plan).as_bytes())?;
    } else {
        for line in lines(&plan, terminal) {
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

/// What keeps `deploy` from it.
fn obstacles(plan: &Foreseen) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(current) = &plan.in_flight {
        lines.push(format!("{current} is in flight and ends first, or is superseded"));
    } else if let Some(why) = &plan.refused {
        lines.push(format!("it would not begin: {why}"));
    }
    if !plan.door.open {
        lines.push(plan.door.sentence());
    }
    if !plan.deployable {
        let why = if plan.unserved.is_empty() {
            "questions are open".to_owned()
        } else {
            format!("not served yet: {}", plan.unserved.join(", "))
        };
        lines.push(format!("`deploy` refuses it: {why}"));
    }
    lines
}

/// What it is bound to.
fn digests(plan: &Foreseen) -> Vec<String> {
    let binding = match &plan.binding {
        Some(binding) => format!("D {binding}"),
        None => "D is known once the artifact is built".to_owned(),
    };
    vec![format!("declared {}", plan.declared), binding]
}

fn back(back: &WayBack) -> String {
    let Some(to) = &back.to else {
        return "nothing is live: a failure stops it, and there is no way back".to_owned();
    };
    let measured = match &back.measured {
        Some(last) => {
            format!("the last one took {:.1} s ({}, {:.0})", last.seconds, last.deployment, last.at)
        }
        None => "none was measured here yet: try one with `tidegate simulate`".to_owned(),
    };
    format!("brings back {to} in {} calls; {measured}", back.calls.len())
}

fn exposed(plan: &Foreseen) -> String {
    match &plan.rate {
        Some(rate) => format!("counted by {:.1} requests/s ({})", rate.per_second, rate.from),
        None => "requests are not counted: say `--rate`, or declare `load`".to_owned(),
    }
}

/// A list with its first entries, and how many more there are.
fn some<T>(all: &[T], line: impl Fn(&T) -> String) -> Vec<String> {
    let mut lines: Vec<String> = all.iter().take(LISTED_MAX).map(line).collect();
    if all.len() > LISTED_MAX {
        lines.push(format!("and {} more: `--json` has all of them", all.len() - LISTED_MAX));
    }
    lines
}

fn differs(change: &Difference) -> String {
    let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    format!("{}: {} -> {}", change.place, side(&change.before), side(&change.after))
}

fn depends(dependency: &Dependency) -> String {
    let Dependency { name, before, after, file } = dependency;
    match (before.is_empty(), after.is_empty()) {
        (true, _) => format!("+ {name} {} ({file})", after.join(", ")),
        (_, true) => format!("- {name} {} ({file})", before.join(", ")),
        _ => format!("~ {name} {} -> {} ({file})", before.join(", "), after.join(", ")),
    }
}

/// What changed, each group with its heading.
fn changed(change: Option<&Delta>) -> Vec<(String, Vec<String>)> {
    let Some(change) = change else {
        return vec![("everything is new: nothing is live".to_owned(), Vec::new())];
    };
    let mut groups = vec![
        (
            format!("{} commits", change.commit_count),
            some(&change.commits, |c| format!("{} {}: {}", c.name, c.author, c.subject)),
        ),
        (
            format!("{} files", change.paths),
            some(&change.owned, |owned| {
                let whose = if owned.owners.is_empty() {
                    "nobody\'s".to_owned()
                } else {
                    owned.owners.join(", ")
                };
                format!("{} of {whose}: {}", owned.paths, owned.path)
            }),
        ),
        (
            format!("{} values of the configuration", change.configuration.len()),
            some(&change.configuration, differs),
        ),
        (
            format!("{} dependencies", change.dependencies.len()),
            some(&change.dependencies, depends),
        ),
    ];
    if !change.migrations.is_empty() {
        let files = some(&change.migrations, Clone::clone);
        groups.push((format!("{} changes of the database", change.migrations.len()), files));
    }
    for plan in &change.infrastructure {
        let lost = plan.replace.iter().map(|at| format!("-/+ {at}"));
        let lost = lost.chain(plan.delete.iter().map(|at| format!("- {at}")));
        let lost: Vec<String> = lost.collect();
        let counts = format!(
            "infrastructure ({}): +{} ~{} -/+{} -{}",
            plan.gate,
            plan.create,
            plan.update,
            plan.replace.len(),
            plan.delete.len()
        );
        groups.push((counts, some(&lost, Clone::clone)));
    }
    groups.extend(change.unread.iter().map(|what| (format!("not read: {what}"), Vec::new())));
    groups
}

fn clock(call: &Call) -> String {
    call.at.strftime("%H:%M:%SZ").to_string()
}

fn call(call: &Call) -> String {
    format!("{} {:9} {}", clock(call), call.phase, call.does)
}

fn lines(plan: &Foreseen, terminal: &Terminal) -> Vec<String> {
    let title = |text: &str| styled(Style::Strong, text);
    let mut lines = vec![title(&heading(plan))];
    lines.extend(obstacles(plan).into_iter().map(|line| format!("  {line}")));
    lines.extend(plan.phases.iter().map(|row| format!("  {:10} {}", row.phase, row.does)));
    lines.push(title(&format!("gates  {}", plan.gates_sentence)));
    lines.extend(
        plan.gates.iter().flat_map(|one| gate::lines(one, terminal)).map(|line| indented(&line)),
    );
    for layer in &plan.layers {
        lines.push(format!("  {} ({}) adds: {}", layer.layer, layer.from, layer.adds.join("; ")));
    }
    lines.push(title("changes"));
    for (what, entries) in changed(plan.change.as_ref()) {
        lines.push(format!("  {what}"));
        lines.extend(entries.into_iter().map(|entry| format!("    {entry}")));
    }
    lines.push(title(&format!("risk  {}", plan.risk.level)));
    let reasons = plan.risk.reasons.iter();
    lines.extend(reasons.map(|reason| format!("  {:7} {}", reason.level, reason.what)));
    lines.push(title(&format!("traffic  {}", exposed(plan))));
    for step in &plan.steps {
        let exposed =
            step.exposed.map_or_else(String::new, |count| format!(", about {count} requests"));
        lines.push(format!("  {:>7} %  {:.0} to {:.0}{exposed}", step.percent, step.from, step.to));
    }
    lines.push(format!("  over at the earliest at {:.0}", plan.ends_at));
    lines.push(title("calls"));
    lines.extend(plan.calls.iter().map(call).map(|line| indented(&line)));
    lines.push(title(&format!("rollback  {}", back(&plan.rollback))));
    lines.extend(plan.rollback.calls.iter().map(call).map(|line| indented(&line)));
    if !plan.feasibility.is_empty() {
        lines.push(title("feasibility"));
    }
    for found in plan.feasibility.iter().chain(&plan.diagnostics) {
        lines.push(format!("  {}[{}] {}", found.severity.name(), found.code, found.message));
    }
    lines.extend(digests(plan));
    lines
}

fn indented(line: &str) -> String {
    format!("  {line}")
}

/// Text in a cell of a table: what would end the cell is put out of action.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn markdown(plan: &Foreseen) -> String {
    let mut text = format!("### {}\n\n", cell(&heading(plan)));
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for line in obstacles(plan) {
        add(format!("> {}", cell(&line)));
    }
    add(format!("\n**Gates**: {}\n", cell(&plan.gates_sentence)));
    if !plan.gates.is_empty() {
        add("| gate | result | |\n|---|---|---|".to_owned());
    }
    for gate in &plan.gates {
        add(format!("| {} | {} | {} |", cell(&gate.name), gate.result, cell(&gate.sentence)));
    }
    for layer in &plan.layers {
        let adds = cell(&layer.adds.join("; "));
        add(format!("\n{} ({}) adds: {adds}", layer.layer, cell(&layer.from)));
    }
    add(format!("\n**Risk**: {}\n", plan.risk.level));
    for reason in &plan.risk.reasons {
        add(format!("- {}: {}", reason.level, cell(&reason.what)));
    }
    add("\n**Changes**\n".to_owned());
    for (what, entries) in changed(plan.change.as_ref()) {
        add(format!("- {}", cell(&what)));
        for entry in entries {
            add(format!("  - {}", cell(&entry)));
        }
    }
    add(format!("\n**Traffic**, {}\n", exposed(plan)));
    add("| share | from | to | requests |\n|---|---|---|---|".to_owned());
    for step in &plan.steps {
        let exposed = step.exposed.map_or_else(|| "-".to_owned(), |count| count.to_string());
        add(format!("| {} % | {:.0} | {:.0} | {exposed} |", step.percent, step.from, step.to));
    }
    add(format!("\n**Rollback** {}\n", cell(&back(&plan.rollback))));
    add("<details><summary>Calls</summary>\n\n| at | phase | call |\n|---|---|---|".to_owned());
    for call in plan.calls.iter().chain(&plan.rollback.calls) {
        add(format!("| {} | {} | {} |", clock(call), call.phase, cell(&call.does)));
    }
    add("\n</details>\n".to_owned());
    for found in plan.feasibility.iter().chain(&plan.diagnostics) {
        let (severity, code) = (found.severity.name(), &found.code);
        add(format!("- {severity} `{code}`: {}", cell(&found.message)));
    }
    for line in digests(plan) {
        add(format!("- `{line}`"));
    }
    text
}
