//! `tidegate service`: the server as something that the machine starts and keeps running: a unit of
//! systemd, or a loop of our own where there is none.
//! Must never end applications or the proxy: they outlive every server.

mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use unit::{Scope, Unit};

/// Pause before a server that died is started again; each death in a row doubles it.
const PAUSE: Duration = Duration::from_secs(1);
/// And for how long at most.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A server that lived so long has not died in a row.
const WELL_AFTER: Duration = Duration::from_mins(1);

/// The verbs of the service.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Have systemd start the server at boot and keep it running
    Install(Where),
    /// Take the unit away; applications and proxy go on
    Uninstall(Where),
    /// Whether the unit is there, enabled and running
    Status(Where),
    /// Keep a server running from this terminal or another init system, without systemd
    Run,
}

/// Whose systemd.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Where {
    /// The machine's systemd instead of your own; needs root
    #[arg(long)]
    system: bool,
}

/// How the unit is doing.
#[derive(Debug, Serialize)]
struct Status {
    unit: &'static str,
    file: String,
    installed: bool,
    /// Whether the file is what this program would write.
    current: bool,
    enabled: String,
    active: String,
    server_answers: bool,
}

/// Runs the verb.
///
/// # Errors
/// TG9205 without systemd, TG9206 when systemd or the file refuses.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Install(place) => install(session, *place).await,
        Verb::Uninstall(place) => uninstall(session, *place),
        Verb::Status(place) => status(session, *place).await,
        Verb::Run => keep_running(session).await,
    }
}

fn scope(place: Where) -> Scope {
    if place.system { Scope::System } else { Scope::User }
}

async fn install(session: &Session, place: Where) -> Result<Exit, Failure> {
    let scope = scope(place);
    let unit = Unit::of(&session.dir, scope)?;
    if session.globals.dry_run {
        session.terminal.line(&format!("would write {}:", unit.file.display()))?;
        session.terminal.line(&unit.text)?;
        return Ok(Exit::Done);
    }
    find_systemd(scope)?;
    let is_ours = unit.file.exists();
    if !is_ours && session.client.answers().await {
        return Err(Failure::new(
            Exit::Conflict,
            "TG9206",
            "a server runs already that systemd did not start",
        )
        .safe("nothing was changed; that server goes on")
        .help("`tidegate server stop`, which no user notices, then the same again"));
    }
    unit.write().map_err(|error| refused(&format!("{}: {error}", unit.file.display())))?;
    systemctl(scope, &["daemon-reload"])?;
    systemctl(scope, &["enable", "--now", unit::NAME])?;
    session.terminal.line(&format!(
        "{} {}: systemd starts the server at boot and keeps it running",
        styled(Style::Good, "installed"),
        unit.file.display()
    ))?;
    if scope == Scope::User {
        session.terminal.say("  `loginctl enable-linger` lets it run while you are not signed in");
    }
    Ok(Exit::Done)
}

fn uninstall(session: &Session, place: Where) -> Result<Exit, Failure> {
    let scope = scope(place);
    let file = unit::file(scope)?;
    if session.globals.dry_run {
        session.terminal.line(&format!("would remove {}", file.display()))?;
        return Ok(Exit::Done);
    }
    if !file.exists() {
        session.terminal.line(&format!("{} is not there", file.display()))?;
        return Ok(Exit::Done);
    }
    find_systemd(scope)?;
    systemctl(scope, &["disable", "--now", unit::NAME])?;
    std::fs::remove_file(&file)
        .map_err(|error| refused(&format!("{}: {error}", file.display())))?;
    systemctl(scope, &["daemon-reload"])?;
    session.terminal.line(&format!(
        "removed {}; applications and proxy go on, the state directory stays",
        file.display()
    ))?;
    Ok(Exit::Done)
}

async fn status(session: &Session, place: Where) -> Result<Exit, Failure> {
    let scope = scope(place);
    find_systemd(scope)?;
    let unit = Unit::of(&session.dir, scope)?;
    let written = std::fs::read_to_string(&unit.file).ok();
    let asked = |verb: &str| ask(scope, &[verb, unit::NAME]);
    let status = Status {
        unit: unit::NAME,
        file: unit.file.display().to_string(),
        installed: written.is_some(),
        current: written.as_deref() == Some(unit.text.as_str()),
        enabled: asked("is-enabled"),
        active: asked("is-active"),
        server_answers: session.client.answers().await,
    };
    let is_well = status.installed && status.active == "active" && status.server_answers;
    if session.terminal.is_json() {
        session.terminal.json(&status)?;
    } else {
        let word = if is_well {
            styled(Style::Good, "running")
        } else if status.installed {
            styled(Style::Bad, "not running")
        } else {
            styled(Style::Faint, "not installed")
        };
        let answers = if status.server_answers { "answers" } else { "does not answer" };
        session.terminal.line(&format!(
            "{word} {}: {}, {}; the server {answers}",
            status.unit, status.enabled, status.active
        ))?;
        if status.installed && !status.current {
            session.terminal.line("the unit is not what this program would write: `tidegate service install` writes it anew")?;
        }
    }
    Ok(if is_well { Exit::Done } else { Exit::Unexpected })
}

fn refused(what: &str) -> Failure {
    Failure::new(Exit::Unexpected, "TG9206", format!("the service could not be changed: {what}"))
        .safe("applications and proxy go on as they are")
        .help("tidegate service status")
}

/// Whether a systemd answers there.
fn find_systemd(scope: Scope) -> Result<(), Failure> {
    let answers = command(scope, &["show", "--property=Version"]).output();
    if answers.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let whose = if scope == Scope::System { "of this machine" } else { "of this user" };
    Err(Failure::new(Exit::Conflict, "TG9205", format!("no systemd {whose} answers"))
        .safe("nothing was changed")
        .help("`tidegate service run` keeps the server running from here, or from another init system"))
}

fn command(scope: Scope, arguments: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    if scope == Scope::User {
        command.arg("--user");
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn systemctl(scope: Scope, arguments: &[&str]) -> Result<(), Failure> {
    let output = command(scope, arguments)
        .output()
        .map_err(|error| refused(&format!("systemctl: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = crate::text::plain(said.trim());
    Err(refused(&format!("systemctl {}: {} {said}", arguments.join(" "), output.status)))
}

/// What systemd says in one word.
fn ask(scope: Scope, arguments: &[&str]) -> String {
    let output = command(scope, arguments).stderr(Stdio::null()).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.ok().filter(|word| !word.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Starts a server, and again when it died, until it is asked to end: by a signal here, or by
/// `server stop`. An end that would be the same the next time is passed on.
async fn keep_running(session: &Session) -> Result<Exit, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::local)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::local)?;
    let program = std::env::current_exe().map_err(Failure::local)?;
    let mut pause = PAUSE;
    loop {
        let began = Instant::now();
        let mut server = start(&program, session.dir.path()).map_err(Failure::local)?;
        let ended = tokio::select! {
            ended = server.wait() => ended.map_err(Failure::local)?,
            _signal = terminate.recv() => return end(server).await,
            _signal = interrupt.recv() => return end(server).await,
        };
        if let Some(exit) = is_final(ended) {
            return Ok(exit);
        }
        if began.elapsed() >= WELL_AFTER {
            pause = PAUSE;
        }
        session.terminal.complain(&format!(
            "the server died ({ended}); it is started again in {} s",
            pause.as_secs()
        ));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _signal = terminate.recv() => return Ok(Exit::Done),
            _signal = interrupt.recv() => return Ok(Exit::Done),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn start(program: &Path, state_dir: &Path) -> std::io::Result<tokio::process::Child> {
    let mut command = tokio::process::Command::new(program);
    command.args(["server", "run", "--state-dir"]).arg(state_dir).stdin(Stdio::null());
    command.spawn()
}

/// Has it end as it would at a signal of its own, and waits: it drains for ten seconds at most.
async fn end(mut server: tokio::process::Child) -> Result<Exit, Failure> {
    let pid = server.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself in this moment.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    server.wait().await.map_err(Failure::local)?;
    Ok(Exit::Done)
}

/// An end that is no death: it was asked for, or nothing but a person changes it.
fn is_final(ended: ExitStatus) -> Option<Exit> {
    let finals = [Exit::Done, Exit::Usage, Exit::ConfigInvalid, Exit::NotAllowed, Exit::Conflict];
    finals.into_iter().find(|exit| ended.code() == Some(i32::from(exit.code())))
}

/// Where a file of the user's systemd is kept.
fn config_home() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
}
