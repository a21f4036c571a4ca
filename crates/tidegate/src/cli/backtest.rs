//! `tidegate backtest`: recorded deployments through a changed policy.
//! Must never call one policy better where the recordings do not tell.

use std::path::{Path, PathBuf};

use tidegate_engine::backtest::sham::{Shams, Trials};
use tidegate_engine::backtest::{Case, Difference, Outcome, Report, Share, Truth};

use crate::api::backtest;
use crate::cli::project;
use crate::cli::session::{Session, service_path};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::text::count;
use crate::view::judged::Backtested;
use crate::view::request;

mod ticks;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tidegate.yaml with the changed policy; by default the one here
    policy: Option<PathBuf>,
    /// Replay ticks of a CSV file instead of recorded deployments: time, version, instance,
    /// requests, errors, histogram
    #[arg(long, value_name = "FILE")]
    ticks: Option<PathBuf>,
    /// Sham canaries
    #[arg(long, value_name = "COUNT", default_value_t = request::SHAMS)]
    shams: u32,
    /// Rollouts of each grafted fault
    #[arg(long, value_name = "COUNT", default_value_t = request::FAULTS)]
    faults: u32,
    /// The same seed gives the same result
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when the policy or the ticks cannot be read, or no server answers.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let named = args.policy.as_deref().or(session.globals.config.as_deref());
    let file = project::config(named).ok_or_else(project::no_config)?;
    let source = source(&file)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let asked = request::Backtest {
        source,
        name: name.unwrap_or_else(|| request::DEFAULT_CONFIG.to_owned()),
        shams: args.shams,
        faults: args.faults,
        seed: args.seed,
    };
    let tested = match &args.ticks {
        Some(ticks) => elsewhere(session, ticks, &asked)?,
        None => {
            let named = session.service().await?;
            session.client.post(&service_path(&named, "backtest"), &asked).await?
        }
    };
    if session.terminal.is_json() {
        session.terminal.json(&tested)?;
        return Ok(Exit::Done);
    }
    print(session, &tested, args.ticks.is_some())?;
    Ok(Exit::Done)
}

fn source(file: &Path) -> Result<String, Failure> {
    let bytes = project::read(file)?;
    let name = file.display().to_string();
    let decoded = tidegate_spec::decode(&bytes, &name);
    decoded.map(ToOwned::to_owned).map_err(|found| {
        Failure::new(Exit::ConfigInvalid, "TG7031", format!("{name} is no text: {found}"))
            .help("`tidegate check` says everything that is wrong with it")
    })
}

/// Ticks that somebody else recorded, without a server.
fn elsewhere(
    session: &Session,
    ticks: &Path,
    asked: &request::Backtest,
) -> Result<Backtested, Failure> {
    let environment = session.globals.environment.as_deref();
    let plan = super::simulate::plan(&asked.source, &asked.name, environment)?;
    let recordings = ticks::read(ticks, &plan)?;
    let trials: Trials = asked.trials();
    backtest::test(&recordings, &plan.traffic, trials).map_err(|error| {
        Failure::new(Exit::Unexpected, "TG6402", format!("{}: {error}", ticks.display()))
    })
}

fn print(session: &Session, tested: &Backtested, elsewhere: bool) -> Result<(), Failure> {
    let terminal = &session.terminal;
    let report = &tested.report;
    if report.cases.is_empty() {
        terminal.line("no recorded deployment of this service has ended yet")?;
    }
    for case in &report.cases {
        terminal.line(&case_line(case, elsewhere))?;
    }
    for line in summary(report, elsewhere) {
        terminal.line(&line)?;
    }
    match &tested.shams {
        Some(shams) => {
            for line in sham_lines(shams) {
                terminal.line(&line)?;
            }
        }
        None => {
            terminal.line("no sham canaries: less than a minute of the live side is on record")?
        }
    }
    for left_out in &tested.left_out {
        terminal.complain(&format!("left out: {left_out}"));
    }
    Ok(())
}

fn case_line(case: &Case, elsewhere: bool) -> String {
    let truth = match case.truth {
        Truth::Bad => "bad",
        Truth::Good => "good",
        Truth::Unknown => "unknown",
    };
    let words = |outcome: &Outcome| match outcome.rollback_after_s {
        Some(seconds) => format!("back after {seconds:.0} s, {} failed", count(outcome.failed)),
        None => {
            let more = if outcome.steps_unpassed > 0 { " or more" } else { "" };
            format!("passes, {:+.1} min{more}", outcome.minutes_added)
        }
    };
    let (icon, style) = match (case.truth, case.after.rollback_after_s) {
        (Truth::Bad, Some(_)) => ("caught", Style::Good),
        (Truth::Bad, None) => ("missed", Style::Bad),
        (Truth::Good, Some(_)) => ("false alarm", Style::Bad),
        (Truth::Good, None) => ("passed", Style::Good),
        (Truth::Unknown, _) => ("-", Style::Faint),
    };
    let verdict = styled(style, &format!("{icon:12}"));
    let after = words(&case.after);
    if elsewhere {
        return format!("{:24} {truth:8} {verdict} {after}", case.name);
    }
    format!(
        "{:24} {truth:8} {verdict} {after} (recorded policy: {})",
        case.name,
        words(&case.before)
    )
}

fn summary(report: &Report, elsewhere: bool) -> Vec<String> {
    let mut lines = vec![
        format!("caught        {}", share(&report.caught)),
        format!("missed        {}", share(&report.missed)),
        format!("false alarms  {}", share(&report.false_alarms)),
    ];
    if elsewhere {
        return lines;
    }
    let line = |name: &str, unit: &str, difference: &Difference| {
        let interval = match (difference.low, difference.high) {
            (Some(low), Some(high)) => format!(" ({low:+.1} to {high:+.1})"),
            _ => String::new(),
        };
        let pairs = difference.pairs;
        format!("{name:13} {:+.1} {unit}{interval}, {pairs} pairs", difference.mean)
    };
    lines.push(line("time added", "min", &report.minutes_added));
    lines.push(line("caught later", "s", &report.seconds_later));
    lines.push(line("failed more", "requests", &report.failed_more));
    lines.push(report.sentence.clone());
    lines
}

fn sham_lines(shams: &Shams) -> Vec<String> {
    let rate = share(&shams.false_rollbacks);
    let mut lines =
        vec![format!("measured false-rollback rate of this policy: {rate}, shams of requests")];
    if let Some(rate) = &shams.false_rollbacks_of_instances {
        let rate = share(rate);
        lines.push(format!("the same with half of live's instances as candidate: {rate}"));
    }
    for found in &shams.detection {
        let median = match (found.median_s, found.median_failed) {
            (Some(seconds), Some(failed)) => {
                format!(", median {seconds:.0} s and {} failed requests", count(failed))
            }
            _ => String::new(),
        };
        lines.push(format!("  {:14} caught {}{median}", found.fault, share(&found.caught)));
    }
    lines
}

fn share(share: &Share) -> String {
    let percent = |value: f64| format!("{:.1}", value * 100.0);
    if share.of == 0 {
        return "none of none".to_owned();
    }
    format!(
        "{} of {} ({} to {} %)",
        count(share.count),
        count(share.of),
        percent(share.low),
        percent(share.high)
    )
}
