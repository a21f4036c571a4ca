//! `tidegate proxy`: run the data plane in this process, or ask the server how it is.
//! Must never change a route table.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server::{logging, refused_dir};
use crate::view::service::Server;

use super::server::proxy_words;

/// The verbs of the data plane.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Run the proxy in this terminal (the server starts one by itself)
    Run,
    /// Whether it runs
    Status,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when it cannot start, or no server answers.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Run => serve(session).await,
        Verb::Status => status(session).await,
    }
}

async fn serve(session: &Session) -> Result<Exit, Failure> {
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
    let config =
        tidegate_proxy::Config::new(session.dir.path().join("proxy"), session.dir.proxy_socket());
    match tidegate_proxy::serve(config, stop).await {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(refused(&error)),
    }
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

async fn status(session: &Session) -> Result<Exit, Failure> {
    let shown: Server = session.client.get("/v1/server").await?;
    if session.terminal.is_json() {
        session.terminal.json(&shown.proxy)?;
    } else {
        session.terminal.line(&proxy_words(&shown))?;
    }
    Ok(if shown.proxy.running { Exit::Done } else { Exit::Unexpected })
}
