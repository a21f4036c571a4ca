//! `tidegate server`: run it in the foreground, look at it, stop it.
//! Must never stop the applications or the proxy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_drivers::recordings;
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
    /// Days that what the judge heard is kept, for `verdict show` and `backtest`
    #[arg(
        long,
        env = "TIDEGATE_TICKS_DAYS",
        value_name = "DAYS",
        default_value_t = 90,
        value_parser = clap::value_parser!(u16).range(1..=3_650),
    )]
    ticks_days: u16,
    /// MiB of it at most; beyond that the oldest goes
    #[arg(
        long,
        env = "TIDEGATE_TICKS_MIB",
        value_name = "MIB",
        default_value_t = 1_024,
        value_parser = clap::value_parser!(u32).range(16..=1_048_576),
    )]
    ticks_mib: u32,
}

impl Run {
    /// How much of what the judge heard is kept.
    fn kept(&self, state_dir: &Path) -> recordings::Config {
        recordings::Config {
            state_dir: state_dir.to_owned(),
            kept_for: Duration::from_secs(u64::from(self.ticks_days) * 24 * 3_600),
            bytes_max: u64::from(self.ticks_mib) << 20,
        }
    }
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
            let kept = args.kept(session.dir.path());
            let terminal = (!args.detached).then_some(&session.terminal);
            server::run(session.dir.clone(), settings, kept, terminal).await?;
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
    while server::sole::alive(stopping.pid) {
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use clap::Parser;
    use tidegate_core::ids::{DeploymentId, EnvironmentName, PartName, Scope, ServiceName};
    use tidegate_drivers::recordings::RecordingFiles;
    use tidegate_engine::ports::{RecordingName, Recordings as _};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    fn kept(flags: &[&str], state_dir: &Path) -> recordings::Config {
        let line = Line::try_parse_from(["run"].iter().chain(flags)).unwrap();
        line.run.kept(state_dir)
    }

    fn name(deployment: &str) -> RecordingName {
        RecordingName {
            scope: Scope {
                service: ServiceName::new("shop").unwrap(),
                environment: EnvironmentName::new("production").unwrap(),
            },
            deployment: DeploymentId::new(deployment).unwrap(),
            part: PartName::new("web").unwrap(),
        }
    }

    /// Recordings of so many MiB each, the first of them the oldest, and what is left of them when
    /// the next deployment begins.
    async fn left(flags: &[&str], days_old: [u64; 3], mib: u64) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let files = RecordingFiles::new(kept(flags, dir.path()));
        for (at, days) in days_old.iter().enumerate() {
            files.create(&name(&format!("d-{at}")), b"x").await.unwrap();
            let path = dir.path().join(format!("recordings/shop/production/d-{at}@web.ticks"));
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(mib << 20).unwrap();
            let age = Duration::from_secs(days * 24 * 3_600 + 60);
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        files.create(&name("d-new"), b"x").await.unwrap();
        let names = fs::read_dir(dir.path().join("recordings/shop/production")).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().to_string_lossy().replace("@web.ticks", ""))
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_the_judge_heard_is_kept_as_long_and_as_much_as_the_flags_say() {
        // Nothing was said: 90 days and a GiB.
        assert_eq!(left(&[], [90, 89, 1], 1).await, ["d-1", "d-2", "d-new"]);
        assert_eq!(left(&["--ticks-days", "7"], [8, 7, 6], 1).await, ["d-2", "d-new"]);
        let plenty = ["--ticks-mib", "64"];
        assert_eq!(left(&plenty, [3, 2, 1], 20).await, ["d-0", "d-1", "d-2", "d-new"]);
        assert_eq!(left(&["--ticks-mib", "16"], [3, 2, 1], 12).await, ["d-2", "d-new"]);
    }

    #[test]
    fn a_retention_that_keeps_nothing_is_refused() {
        for wrong in [["--ticks-days", "0"], ["--ticks-days", "3651"], ["--ticks-mib", "15"]] {
            let said = Line::try_parse_from(["run"].iter().chain(&wrong)).unwrap_err();
            assert!(said.to_string().contains(wrong[0]), "{said}");
        }
    }
}
