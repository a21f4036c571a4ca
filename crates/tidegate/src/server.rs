//! The server process: opens the state directory, starts the engine, serves the API on its socket
//! and looks after the data plane, until it is told to stop.
//! It must never end what serves users, and never answer before the engine runs.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::middleware;
use jiff::Timestamp;
use tidegate_drivers::recordings;
use tidegate_engine::{Engine, StartError};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::metrics::Measures;
use crate::api::once::Answers;
use crate::api::{self, Api, Parts, principal};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;
use crate::terminal::Terminal;
use crate::ui;
use crate::view::service::Proxy;
use crate::wire;
use network::Limits;
use settings::Settings;

pub(crate) mod anchor;
pub(crate) mod background;
mod listen;
pub(crate) mod logging;
pub(crate) mod network;
pub(crate) mod settings;
mod signing;
pub(crate) mod sole;
pub(crate) mod supervisor;
mod tls;
pub(crate) mod triggers;

/// Requests in progress get this long when the server stops; streams of events are cut.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the server in this process until SIGTERM, SIGINT or a request to stop; `kept` says how much
/// of what the judge hears stays.
///
/// # Errors
/// [`Failure`] with a code when it cannot start; nothing in the world was touched then.
pub(crate) async fn run(
    dir: StateDir,
    settings: Settings,
    kept: recordings::Config,
    terminal: Option<&Terminal>,
) -> Result<(), Failure> {
    prepare(&dir, terminal).await?;
    let reached = Arc::new(OnceLock::new());
    let outside = wire::Outside::of(&settings, &reached);
    let graph = wire::graph(&dir, kept, outside).await?;
    let signer = Arc::new(signing::signer(&dir)?);
    let places = wire::anchors(&dir, &settings.audit, &signer);
    let (mut anchors, anchored) =
        anchor::Anchors::new(graph.journal.clone(), Arc::clone(&signer), places);
    anchors.compare().await?;
    let holder = format!("pid {}", std::process::id());
    let engine = Engine::start(graph.ports.clone(), &holder).await.map_err(|error| {
        let StartError::Journal(error) = error;
        held(&dir, &error)
    })?;
    let network = listen::bind(&settings).await?;
    let pages = network.as_ref().map(|door| door.url.clone());
    let listening = network.as_ref().map(|door| door.address);
    // Messages go out from the first turn on: those before this line have no link.
    if let Some(pages) = settings.url.clone().or_else(|| pages.clone()) {
        reached.get_or_init(|| pages);
    }
    let listener = open_socket(&dir.server_socket())?;
    let stop = CancellationToken::new();
    graph.directory.entitle_triggers(settings.triggers.iter().map(|it| it.name.as_str()));
    let triggers = triggers::Triggers::new(settings.triggers.clone());
    let (proxy, proxy_seen) = watch::channel(Proxy::default());
    let supervisor = tokio::spawn(supervisor::run(graph.supervised, proxy, stop.clone()));
    let anchoring = tokio::spawn(anchors.run(stop.clone()));
    let api = Api::new(Parts {
        engine: engine.clone(),
        dir: dir.clone(),
        directory: graph.directory,
        started_at: Timestamp::now(),
        stop: stop.clone(),
        proxy: proxy_seen,
        pages: pages.clone(),
        listening,
        origin: settings.url.clone(),
        status_page: settings.status_page,
        limits: Limits::default(),
        answers: Answers::default(),
        trail: graph.journal.clone(),
        triggers: triggers.clone(),
        signer,
        anchors: anchored,
        measures: Measures::default(),
        looks: ui::Looks::default(),
        visits: ui::Visits::default(),
    });
    triggers.run(&api, &graph.tags, &stop);
    if let Some(pages) = &pages {
        tracing::info!(%pages, "listening");
        invite_the_first(&api, pages, terminal);
    }
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::debug!(%error, "nobody waits for this server");
    }
    tracing::info!(pid = std::process::id(), epoch = engine.epoch(), dir = %dir.path().display(), "ready");
    let ended = serve(listener, network, api, &stop).await;
    tracing::info!("stopping; applications and proxy go on");
    engine.stop().await;
    // The supervisor has seen the same token; what it does is cut short without harm.
    supervisor.abort();
    anchoring.abort();
    remove_socket(&dir.server_socket());
    if let Err(error) = graph.journal.close().await {
        tracing::warn!(%error, "the journal did not close; every answered event is on disk");
    }
    ended
}

/// Everything that can be refused before the journal is opened.
async fn prepare(dir: &StateDir, terminal: Option<&Terminal>) -> Result<(), Failure> {
    dir.create().map_err(|error| refused_dir(&error))?;
    if !dir.sockets_fit() {
        return Err(Failure::new(
            Exit::Usage,
            "TG6113",
            format!("{} is too long for a socket", dir.server_socket().display()),
        )
        .safe("nothing was started")
        .help("choose a shorter --state-dir"));
    }
    logging::start(dir, terminal.is_some_and(|terminal| !terminal.quiet)).map_err(|error| {
        Failure::new(Exit::Unexpected, "TG6111", format!("the log cannot be written: {error}"))
    })?;
    sole::refuse_second(dir).await?;
    refuse_to_forget(dir)
}

/// A new journal would begin with an epoch that the proxy and the slots refuse, and would know
/// nothing of what serves users.
fn refuse_to_forget(dir: &StateDir) -> Result<(), Failure> {
    if !dir.lost_its_journal() {
        return Ok(());
    }
    let what = format!(
        "{} has slots and route tables, but the journal that they follow from is gone",
        dir.path().display()
    );
    Err(Failure::new(Exit::Unexpected, "TG6116", what)
        .safe("nothing was changed; the proxy serves its last table")
        .help("put journal.sqlite and journal.checkpoint back from a copy; `tidegate rollback --emergency` needs neither"))
}

/// What the journal says when it cannot be had.
pub(crate) fn held(dir: &StateDir, error: &tidegate_engine::ports::JournalError) -> Failure {
    use tidegate_engine::ports::JournalError;
    match error {
        JournalError::Held { holder } => Failure::new(
            Exit::Conflict,
            "TG6110",
            format!("{} is held by another server: {holder}", dir.path().display()),
        )
        .safe("nothing was changed; that server goes on")
        .help("`tidegate server status` shows it, `tidegate server stop` ends it"),
        JournalError::Damaged { code, what } | JournalError::Unavailable { code, what } => {
            Failure::new(Exit::Unexpected, code, what.clone())
                .safe("nothing was changed; the proxy serves its last table")
                .help(format!("`tidegate explain {code}`"))
        }
        JournalError::Conflict { .. } | JournalError::Fenced { .. } => {
            Failure::new(Exit::Conflict, "TG6110", error.to_string())
                .safe("nothing was changed")
                .help("another server took over: `tidegate server status`")
        }
    }
}

/// What to say about a directory that cannot hold the state.
pub(crate) fn refused_dir(error: &crate::state_dir::Error) -> Failure {
    use crate::state_dir::Error;
    let help = match error {
        Error::Nowhere => "name one with `--state-dir`".to_owned(),
        Error::Unusable { .. } => "name another with `--state-dir`".to_owned(),
        Error::TooOpen { path, .. } => format!("chmod 700 {path}"),
        Error::NotMine { .. } => {
            "run it as that user, or name another with `--state-dir`".to_owned()
        }
    };
    let exit = match error {
        Error::TooOpen { .. } | Error::NotMine { .. } => Exit::NotAllowed,
        Error::Nowhere | Error::Unusable { .. } => Exit::Unexpected,
    };
    Failure::new(exit, "TG6111", error.to_string()).safe("nothing was started").help(help)
}

/// Binds the socket with mode 0600. A socket file without a server behind it is replaced: the
/// journal's lock, which is held by now, proves that nobody else is in charge.
fn open_socket(path: &Path) -> Result<UnixListener, Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            Exit::Unexpected,
            "TG6113",
            format!("the socket {} cannot be opened: {error}", path.display()),
        )
        .safe("nothing was changed")
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // The directory is 0700 from before, so that nobody meets the socket between the two calls.
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "the socket was gone");
    }
}

/// A server without an administrator prints a link that makes one, once. It is not logged.
fn invite_the_first(api: &Api, pages: &str, terminal: Option<&Terminal>) {
    match (api.directory().first_link(api.now()), terminal) {
        (Ok(Some(code)), Some(terminal)) => terminal.complain(&format!(
            "no administrator yet: within an hour, once, {pages}/setup?code={code}"
        )),
        (Ok(_), _) => {}
        (Err(refused), _) => tracing::warn!(%refused, "no link to set up an administrator"),
    }
}

async fn serve(
    listener: UnixListener,
    network: Option<listen::Door>,
    api: Api,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let signals = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::local)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::local)?;
    let waits = tokio::spawn(async move {
        tokio::select! {
            _signal = terminate.recv() => {}
            _signal = interrupt.recv() => {}
            () = signals.cancelled() => {}
        }
        signals.cancel();
    });
    let on_network = network.map(|door| {
        let routes = api::router(api.clone()).layer(middleware::from_fn(ui::with_headers));
        let answers = listen::Answers { api: routes, pages: ui::router(api.clone()) };
        tokio::spawn(listen::serve(door, answers, stop.clone()))
    });
    let service = api::router(api).into_make_service_with_connect_info::<principal::Peer>();
    let graceful = stop.clone();
    let serving = async {
        let ended = axum::serve(listener, service)
            .with_graceful_shutdown(async move { graceful.cancelled().await })
            .await;
        if let Some(on_network) = on_network {
            // It only fails by a panic, which has been logged.
            let _ended = on_network.await;
        }
        ended
    };
    let cut = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let ended = tokio::select! {
        ended = serving => ended.map_err(Failure::local),
        () = cut => {
            tracing::warn!("requests were still in progress; they are cut");
            Ok(())
        }
    };
    waits.abort();
    ended
}
