//! `tidegate simulate [SCENARIO]`: this configuration against one fault, on a virtual clock.
//! Must never touch a server, a slot or a split: the world is made up, the decisions are not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::Serialize;
use tidegate_core::plan::{Plan, Release};
use tidegate_engine::simulate::{self, Course, SCENARIOS, Scenario, Setting, Users};
use tidegate_spec::{Context, Parsed, Purpose};

use crate::api::Narrator;
use crate::cli::project::{self, Loaded};
use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::text::{count, span};
use crate::view::Line;

mod picture;

/// Most requests a second: more would take longer than it saves.
const RATE_MAX: i64 = 10_000;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What goes wrong; `--list` names them all
    #[arg(default_value = "errors")]
    scenario: String,
    /// Name every scenario
    #[arg(long)]
    list: bool,
    /// Requests a second over both versions
    #[arg(long, value_name = "COUNT", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    rate: u32,
    /// Percent of requests that fail on a good day
    #[arg(long, value_name = "PERCENT", default_value_t = 0.05)]
    errors: f64,
    /// Median latency on a good day, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 80.0)]
    median: f64,
    /// The same seed gives the same run
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Draw the run into this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A run as JSON.
#[derive(Debug, Serialize)]
struct Simulated {
    scenario: String,
    about: String,
    /// Always true: nothing of this happened.
    simulated: bool,
    /// Keys that nobody carries out: the simulation answered for them, `deploy` refuses them.
    answered_for: Vec<String>,
    ending: Option<String>,
    why: Option<String>,
    /// Seconds of the virtual clock.
    took_s: Option<f64>,
    fault_at_s: Option<f64>,
    decided_at_s: Option<f64>,
    /// Seconds from the fault to the decision to go back.
    detected_after_s: Option<f64>,
    exposed_requests: u64,
    failed_requests: u64,
    timeline: Vec<Line>,
}

/// Runs the verb.
///
/// # Errors
/// TG7005 without a configuration, TG7031 when it has errors, TG7033 for an unknown scenario.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let terminal = &session.terminal;
    if args.list {
        for scenario in SCENARIOS {
            terminal.line(&format!("{:10} {}", scenario.name, scenario.about))?;
        }
        return Ok(Exit::Done);
    }
    let setting = setting(args)?;
    let file = project::config(session.globals.config.as_deref()).ok_or_else(project::no_config)?;
    let Parsed { plan, unserved, .. } = read(&file, session.globals.environment.as_deref())?;
    // Minutes of numbers: the terminal's signals are answered meanwhile.
    let work = tokio::task::spawn_blocking(move || {
        simulate::simulate(&plan, &setting).map(|course| (course, plan, setting))
    });
    let (course, plan, setting) = work
        .await
        .map_err(|error| stuck(&error.to_string()))?
        .map_err(|error| stuck(&error.to_string()))?;
    if let Some(file) = &args.svg {
        let drawn = picture::svg(&course, &plan, &setting.scenario);
        std::fs::write(file, drawn).map_err(Failure::local)?;
    }
    let mut run = simulated(&course, &setting.scenario);
    run.answered_for = unserved.into_iter().map(|unserved| unserved.path).collect();
    if terminal.is_json() {
        terminal.json(&run)?;
        return Ok(Exit::Done);
    }
    for line in &run.timeline {
        let at = line.at.duration_since(course.began_at);
        terminal.line(&format!("{:>9}  {}", clock(at), line.text))?;
    }
    for line in picture::lines(&course, terminal.unicode()) {
        terminal.line(&line)?;
    }
    for line in summary(&run) {
        terminal.line(&line)?;
    }
    Ok(Exit::Done)
}

fn setting(args: &Args) -> Result<Setting, Failure> {
    let Some(scenario) = Scenario::named(&args.scenario) else {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let what =
            format!("there is no scenario `{}`; there are {}", args.scenario, names.join(", "));
        return Err(Failure::new(Exit::Usage, "TG7033", what).help("`tidegate simulate --list`"));
    };
    let sound = (0.0..=100.0).contains(&args.errors) && (0.1..=60_000.0).contains(&args.median);
    if !sound {
        let what = "errors are 0 to 100 percent, a median is 0.1 to 60,000 ms";
        return Err(Failure::new(Exit::Usage, "TG7033", what).help("`tidegate simulate --help`"));
    }
    let users = Users {
        rate: args.rate,
        errors: args.errors / 100.0,
        median_ms: args.median,
        ..Users::default()
    };
    Ok(Setting { scenario, users, seed: args.seed })
}

/// A file and all that it uses, for a release that does not exist.
///
/// # Errors
/// TG7005 when it cannot be read, TG7031 with the findings when it has errors.
fn read(file: &Path, environment: Option<&str>) -> Result<Parsed, Failure> {
    let Loaded { name, bytes, files } = project::load(file)?;
    let source = tidegate_spec::decode(&bytes, &name).map_err(|found| refused(&found))?;
    let context = Context { environment, files: &files, ..context() };
    tidegate_spec::read_with(source, &name, &context).map_err(|found| refused(&found))
}

/// The plan of a file for a release that does not exist.
///
/// # Errors
/// TG7031 with the findings when the file has errors.
pub(crate) fn plan(source: &str, name: &str, environment: Option<&str>) -> Result<Plan, Failure> {
    let files = BTreeMap::new();
    let context = Context { environment, files: &files, purpose: Purpose::Deploy, ..context() };
    let parsed = tidegate_spec::read_with(source, name, &context);
    parsed.map(|parsed| parsed.plan).map_err(|found| refused(&found))
}

/// What a file is read with when nothing is deployed.
fn context() -> Context<'static> {
    static NOTHING: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    static NO_VALUES: BTreeMap<String, String> = BTreeMap::new();
    Context {
        release: Release {
            version: "next".to_owned(),
            repository: ".".to_owned(),
            commit: "0".repeat(40),
        },
        environment: None,
        files: &NOTHING,
        variables: &NO_VALUES,
        today: None,
        purpose: Purpose::Check,
    }
}

fn refused(found: &tidegate_spec::Diagnostics) -> Failure {
    Failure::new(Exit::ConfigInvalid, "TG7031", found.to_string())
        .safe("nothing was run and nothing was changed")
        .help("`tidegate check` says everything that is wrong with it")
}

fn stuck(what: &str) -> Failure {
    Failure::new(Exit::Unexpected, "TG7034", format!("the simulation ended early: {what}"))
        .safe("nothing was changed: it runs without a server")
        .help("`tidegate check`")
}

fn simulated(course: &Course, scenario: &Scenario) -> Simulated {
    let seconds = |at: jiff::Timestamp| at.duration_since(course.began_at).as_secs_f64();
    let detected = course
        .fault_at
        .zip(course.decided_at)
        .map(|(fault, decided)| decided.duration_since(fault).as_secs_f64());
    let mut narrator = Narrator::default();
    Simulated {
        scenario: scenario.name.to_owned(),
        about: scenario.about.to_owned(),
        simulated: true,
        answered_for: Vec::new(),
        ending: course.ending.as_ref().map(|(ending, ..)| ending.words().to_owned()),
        why: course.ending.as_ref().map(|(_, why, _)| why.clone()),
        took_s: course.ending.as_ref().map(|(.., at)| seconds(*at)),
        fault_at_s: course.fault_at.map(seconds),
        decided_at_s: course.decided_at.map(seconds),
        detected_after_s: detected,
        exposed_requests: course.exposed,
        failed_requests: course.failed,
        timeline: course.events.iter().map(|recorded| narrator.line(recorded)).collect(),
    }
}

fn summary(run: &Simulated) -> Vec<String> {
    let ending = run.ending.as_deref().unwrap_or("no end within two days");
    let style = if run.detected_after_s.is_some() { Style::Doubtful } else { Style::Good };
    let why = run.why.as_ref().map(|why| format!(". {why}")).unwrap_or_default();
    let first = format!("{} in a simulation of `{}`: {}{why}", ending, run.scenario, run.about);
    let mut lines = vec![styled(style, &first)];
    let served = count(run.exposed_requests);
    let failed = count(run.failed_requests);
    lines.push(match run.detected_after_s {
        Some(seconds) => format!(
            "the way back was decided {seconds:.0} s after the fault began; the new version served \
             {served} requests and failed {failed}"
        ),
        None => format!("the new version served {served} requests and failed {failed}"),
    });
    if !run.answered_for.is_empty() {
        lines.push(format!(
            "the simulation answered for what nobody carries out, and `deploy` refuses: {}",
            run.answered_for.join(", ")
        ));
    }
    lines
}

fn clock(since: SignedDuration) -> String {
    format!("+{}", span(since))
}
