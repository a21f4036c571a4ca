//! `tidegate proxy`: run the data plane in this process, put another in its place, or ask how it
//! is. Must never change a route table.

use std::net::SocketAddr;

use jiff::SignedDuration;
use tidegate_drivers::traffic::ProxyProcess;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server::{logging, refused_dir};
use crate::terminal::{Style, Terminal, styled};
use crate::text::span;
use crate::view::proxy::{Certificate, ProxyStatus, ServedPart};
use crate::wire;

use super::server::proxy_words;

/// The verbs of the data plane.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Run the proxy in this terminal (the server starts one by itself)
    Run(Run),
    /// Put this program in the place of the proxy that runs; no request is lost
    Upgrade(Upgrade),
    /// Whether it runs, what it serves, and how long its certificates last
    Status,
    /// What it counted since it began, as OpenMetrics text
    Metrics,
}

/// Arguments of `proxy run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Take the place of the proxy that runs on this state directory (used by `upgrade`)
    #[arg(long)]
    take_over: bool,
    #[command(flatten)]
    drain: Drain,
    /// Where `GET /metrics` is answered for a Prometheus
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_PROXY_METRICS")]
    metrics: Option<SocketAddr>,
    /// Threads that carry requests, 1 to 64 [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: Option<u8>,
}

/// Arguments of `proxy upgrade`.
#[derive(Debug, clap::Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    drain: Drain,
}

/// How long an old proxy may live.
#[derive(Debug, clap::Args)]
struct Drain {
    /// How long requests and tunnels on the old proxy may go on, at most 10m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = drain_time)]
    drain: SignedDuration,
}

/// The proxy allows no more.
fn drain_time(text: &str) -> Result<SignedDuration, String> {
    let time: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let allowed = SignedDuration::ZERO..=SignedDuration::from_mins(10);
    if allowed.contains(&time) { Ok(time) } else { Err("0s to 10m are allowed".to_owned()) }
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when it cannot start, or no server answers.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(run) => serve(session, run).await,
        Verb::Upgrade(upgrade) => replace(session, upgrade).await,
        Verb::Status => status(session).await,
        Verb::Metrics => metrics(session).await,
    }
}

async fn serve(session: &Session, run: &Run) -> Result<Exit, Failure> {
    session.dir.create().map_err(|error| refused_dir(&error))?;
    logging::to_stderr();
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::local)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::local)?;
    let waits = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _signal = terminate.recv() => {}
            _signal = interrupt.recv() => {}
        }
        waits.cancel();
    });
    let mut config =
        tidegate_proxy::Config::new(session.dir.path().join("proxy"), session.dir.proxy_socket());
    config.sockets = given_sockets()?;
    config.metrics = run.metrics;
    if let Some(workers) = run.workers {
        config.workers = workers.into();
    }
    if run.take_over {
        config.take_over = Some(run.drain.drain.unsigned_abs());
    }
    match tidegate_proxy::serve(config, stop, tell_system).await {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(refused(&error)),
    }
}

/// Listening sockets that systemd gave to this process.
fn given_sockets() -> Result<Vec<std::net::TcpListener>, Failure> {
    let mut given = listenfd::ListenFd::from_env();
    let taken = (0..given.len()).map(|index| given.take_tcp_listener(index));
    let sockets: Result<Vec<_>, _> = taken.collect();
    let sockets = sockets.map_err(|error| {
        Failure::new(Exit::Usage, "TG5043", format!("a socket of systemd is not for TCP: {error}"))
            .safe("nothing was started; a proxy that runs goes on with its last table")
            .help("`ListenStream=` of the socket unit must name an address and a port")
    })?;
    Ok(sockets.into_iter().flatten().collect())
}

/// Tells systemd that the proxy serves, and that the service is this process from now on.
fn tell_system(elder: Option<u32>) {
    let mut words = vec![sd_notify::NotifyState::Ready];
    if let Some(elder) = elder {
        tracing::info!(elder, "took the place of another proxy, which drains");
        words.push(sd_notify::NotifyState::MainPid(std::process::id()));
    }
    // Without systemd nobody listens, and that is no error.
    if let Err(error) = sd_notify::notify(&words) {
        tracing::warn!(%error, "systemd was not told");
    }
}

async fn replace(session: &Session, upgrade: &Upgrade) -> Result<Exit, Failure> {
    let drain = format!("{}s", upgrade.drain.drain.as_secs());
    if session.globals.dry_run {
        session.terminal.line(&format!(
            "would start `tidegate proxy run --take-over --drain {drain}` on {}",
            session.dir.path().display()
        ))?;
        return Ok(Exit::Done);
    }
    let mut command = wire::proxy_command(&session.dir)?;
    command.extend(["--take-over", "--drain", &drain].map(Into::into));
    let process = ProxyProcess::new(session.dir.proxy_socket(), command, session.dir.path());
    let replaced = process.replace().await.map_err(|failure| {
        Failure::new(Exit::Unexpected, failure.code, failure.what)
            .safe("a proxy that runs goes on with its last table")
            .help(format!("look at {}", session.dir.path().join("proxy.log").display()))
    })?;
    if session.terminal.is_json() {
        let words = serde_json::json!({
            "before": replaced.before,
            "now": replaced.now,
            "drain_ms": upgrade.drain.drain.as_millis(),
        });
        session.terminal.json(&words)?;
    } else {
        session.terminal.line(&format!(
            "{} pid {} serves; pid {} ends with its last request, in {} at the latest",
            styled(Style::Good, "upgraded:"),
            replaced.now,
            replaced.before,
            span(upgrade.drain.drain)
        ))?;
    }
    Ok(Exit::Done)
}

/// The proxy's errors begin with their code.
fn refused(error: &tidegate_proxy::Error) -> Failure {
    let text = error.to_string();
    let (code, what) = text.split_once(' ').unwrap_or(("TG7020", text.as_str()));
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    let exit = match error {
        tidegate_proxy::Error::Held { .. } => Exit::Conflict,
        _ => Exit::Unexpected,
    };
    Failure::new(exit, code, format!("{what}{}", source.unwrap_or_default()))
        .safe("a proxy that runs goes on with its last table")
}

async fn metrics(session: &Session) -> Result<Exit, Failure> {
    let socket = session.dir.proxy_socket();
    let text = tidegate_drivers::traffic::metrics(&socket).await.map_err(|failure| {
        Failure::new(Exit::Unreachable, failure.code, failure.what)
            .safe("nothing was asked of the proxy but its counts")
            .help("`--state-dir` names the directory of the proxy that is meant")
    })?;
    session.terminal.line(text.trim_end())?;
    Ok(Exit::Done)
}

async fn status(session: &Session) -> Result<Exit, Failure> {
    let shown: ProxyStatus = session.client.get("/v1/proxy").await?;
    if session.terminal.is_json() {
        session.terminal.json(&shown)?;
    } else {
        session.terminal.line(&proxy_words(&shown.proxy))?;
        if let Some(unknown) = &shown.unknown {
            let words = format!("what it serves is not known: {unknown}");
            session.terminal.line(&styled(Style::Bad, &words))?;
        }
        for part in &shown.parts {
            for line in part_words(part, &session.terminal) {
                session.terminal.line(&line)?;
            }
        }
    }
    Ok(if shown.proxy.running { Exit::Done } else { Exit::Unexpected })
}

fn part_words(part: &ServedPart, terminal: &Terminal) -> Vec<String> {
    let mut first = format!(
        "{}@{}/{}  generation {}, {} in flight, {} tunnels",
        part.service, part.environment, part.part, part.generation, part.in_flight, part.tunnels
    );
    if !part.listening {
        first.push_str(", not listening [TG5006]");
    }
    if !part.persisted {
        first.push_str(", not on disk yet [TG5007]");
    }
    let mut lines = vec![first];
    for certificate in &part.certificates {
        lines.push(format!("  {}", certificate_words(certificate, terminal)));
        if certificate.names.len() > 1 {
            lines.push(format!("    names   {}", certificate.names.join(", ")));
        }
        lines.push(format!("    source  {} {}", certificate.source, certificate.place));
        if let Some(problem) = &certificate.problem {
            let told = styled(Style::Doubtful, problem);
            lines.push(format!("    newer   {told}"));
        }
    }
    lines
}

/// State as icon and word, and when it ends.
fn certificate_words(certificate: &Certificate, terminal: &Terminal) -> String {
    let (icon, plain, style) = match certificate.state.as_str() {
        "valid" => ("✓", "+", Style::Good),
        "ending" => ("!", "!", Style::Doubtful),
        _ => ("✗", "x", Style::Bad),
    };
    let icon = terminal.icon(icon, plain);
    let state = styled(style, &format!("{icon} {}", certificate.state));
    let end = match (certificate.not_after, certificate.days_left) {
        (Some(end), Some(days)) => format!(
            "until {} ({} {})",
            end.strftime("%F"),
            days.abs(),
            if days < 0 { "days ago" } else { "days left" }
        ),
        _ => "nothing to show in a handshake".to_owned(),
    };
    format!("certificate {}  {state}, {end}", certificate.name)
}
