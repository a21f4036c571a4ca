//! `tidegate server`: run it in the foreground, look at it, stop it.
//! Must never stop the applications or the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server;
use crate::server::settings::Settings;
use crate::terminal::{Style, styled};
use crate::text::span;
use crate::view::service::{Proxy, Server, Stopping};

/// The server ends within this after it was asked to: it drains for 10 s at most.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Time between two looks at a server that stops.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The verbs of the server.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Run the server in this terminal, until Ctrl-C
    Run(Run),
    /// Whether it runs, since when, where it keeps everything
    Status,
    /// End it; applications, proxy and traffic go on as they are
    Stop,
}

/// Arguments of `server run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Serve API and pages here as well; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_LISTEN")]
    listen: Option<SocketAddr>,
    /// The settings; by default server.yaml in the state directory
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SETTINGS")]
    settings: Option<PathBuf>,
    /// Leave the terminal and its signals behind (used by `deploy`)
    #[arg(long, hide = true)]
    detached: bool,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when it cannot start, or none answers.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(args) => {
            if args.detached {
                // EPERM means that this process leads a session or group already.
                let _leads = rustix::process::setsid();
            } else {
                session.terminal.say(&format!(
                    "server on {}; Ctrl-C ends it, applications and proxy go on",
                    session.dir.path().display()
                ));
            }
            let mut settings = Settings::read(args.settings.as_deref(), &session.dir)?;
            settings.listen = args.listen.or(settings.listen);
            let terminal = (!args.detached).then_some(&session.terminal);
            server::run(session.dir.clone(), settings, terminal).await?;
            Ok(Exit::Done)
        }
        Verb::Status => status(session).await,
        Verb::Stop => stop(session).await,
    }
}

async fn status(session: &Session) -> Result<Exit, Failure> {
    let shown: Server = session.client.get("/v1/server").await?;
    if session.terminal.is_json() {
        session.terminal.json(&shown)?;
        return Ok(Exit::Done);
    }
    let up = span(shown.now.duration_since(shown.started_at));
    for line in [
        format!(
            "{} tidegate {} pid {}, up {up}",
            styled(Style::Good, "running"),
            shown.version,
            shown.pid
        ),
        format!("state     {} (epoch {})", shown.state_dir, shown.epoch),
        format!("services  {}", shown.services),
        format!("you are   {}", shown.you),
        format!("pages     {}", shown.pages.as_deref().unwrap_or("none: only the socket")),
        format!("proxy     {}", proxy_words(&shown.proxy)),
    ] {
        session.terminal.line(&line)?;
    }
    Ok(Exit::Done)
}

/// The data plane in words.
pub(crate) fn proxy_words(proxy: &Proxy) -> String {
    match (proxy.running, proxy.pid, &proxy.problem) {
        (true, Some(pid), _) => format!("running, pid {pid}, started {} times here", proxy.starts),
        (_, _, Some(problem)) => format!("not running: {problem}"),
        _ => "not asked yet".to_owned(),
    }
}

async fn stop(session: &Session) -> Result<Exit, Failure> {
    let stopping: Option<Stopping> =
        session.change("/v1/server/stop", &serde_json::json!({})).await?;
    let Some(stopping) = stopping else { return Ok(Exit::Done) };
    let deadline = Instant::now() + STOP_WITHIN;
    let mut look = tokio::time::interval(LOOK_EVERY);
    while alive(stopping.pid) {
        if Instant::now() >= deadline {
            return Err(Failure::new(
                Exit::Unexpected,
                "TG6115",
                format!("the server (pid {}) did not end in 20 s", stopping.pid),
            )
            .safe("applications and proxy go on as they are")
            .help(format!("look at {}", session.dir.server_log().display())));
        }
        look.tick().await;
    }
    if session.terminal.is_json() {
        session.terminal.json(&stopping)?;
    } else {
        session.terminal.line(&format!("stopped (pid {}); {}", stopping.pid, stopping.keeps))?;
    }
    Ok(Exit::Done)
}

/// Whether a process lives. One that ended and was not waited for by its parent does not.
fn alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name before the state is in brackets and may hold anything.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}
