//! The sample application: a small web shop that can be told, by a file in its release, to be
//! bad at something. `tidegate demo shop` runs it as any application is run.
//!
//! It knows nothing of Tidegate: it reads `shop.json` in its working directory, listens on
//! `$PORT` and ends on SIGTERM. It must never be faulty in a way that its file does not say.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

mod fault;
mod pages;

/// The file that makes one release another.
pub(crate) const SHOP_FILE: &str = "shop.json";
/// Longest `shop.json`, in bytes: it has a handful of fields.
const SHOP_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Largest upload, in bytes.
const UPLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Uploads kept; the oldest makes room.
const UPLOADS_MAX: usize = 16;
/// Requests under way when SIGTERM comes may take this long.
const GRACE: Duration = Duration::from_secs(5);

/// What is for sale: name and price in cents.
pub(crate) const ITEMS: [(&str, u32); 6] = [
    ("Tide table, hand-drawn", 1_450),
    ("Brass lock key", 3_200),
    ("Rope, 12 m, three-strand", 1_990),
    ("Enamel mug with a heron", 1_200),
    ("Storm lantern", 5_400),
    ("Book of knots", 2_300),
];

/// What a release of the shop is bad at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// One answer in `one_in` is a 500.
    Errors { one_in: u64 },
    /// Every answer takes this much longer.
    Latency { delay_ms: u64 },
    /// The process dies.
    Crash,
    /// Every request keeps this much memory, up to a limit that spares the machine.
    Memory { mib_a_request: usize, mib_max: usize },
    /// `/health` answers 503, the pages go on.
    Health,
}

/// `shop.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShopFile {
    /// Which release this is, the number of `v3`.
    pub(crate) version: u8,
    /// What it is bad at.
    pub(crate) fault: Fault,
    /// Requests to pages that each instance answers well before that.
    pub(crate) fault_after_requests: u64,
}

/// One running instance.
#[derive(Debug)]
struct Shop {
    file: ShopFile,
    pages_asked: AtomicU64,
    faulty_since: OnceLock<Instant>,
    leaked: Mutex<Vec<Vec<u8>>>,
    uploads: Mutex<VecDeque<(u64, Vec<u8>)>>,
    uploads_seen: AtomicU64,
    crash: CancellationToken,
}

impl Shop {
    fn new(file: ShopFile) -> Self {
        Self {
            file,
            pages_asked: AtomicU64::new(0),
            faulty_since: OnceLock::new(),
            leaked: Mutex::default(),
            uploads: Mutex::default(),
            uploads_seen: AtomicU64::new(0),
            crash: CancellationToken::new(),
        }
    }

    /// Keeps an upload and says its number.
    fn keep(&self, bytes: Vec<u8>) -> u64 {
        let number = self.uploads_seen.fetch_add(1, Ordering::Relaxed) + 1;
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.len() == UPLOADS_MAX {
            uploads.pop_front();
        }
        uploads.push_back((number, bytes));
        number
    }

    fn kept(&self, number: u64) -> Option<Vec<u8>> {
        let uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.iter().find(|(own, _)| *own == number).map(|(_, bytes)| bytes.clone())
    }
}

fn router(shop: &Arc<Shop>) -> Router {
    let pages = Router::new()
        .route("/", get(pages::front))
        .route("/items", get(pages::items))
        .route("/items/{number}", get(pages::item))
        .route("/login", get(pages::login_form).post(pages::login))
        .route("/account", get(pages::account))
        .route("/upload", post(pages::upload))
        .route("/upload/{number}", get(pages::uploaded))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(shop), fault::strike));
    Router::new()
        .merge(pages)
        .route("/health", get(pages::health))
        .route("/health/detailed", get(pages::health_detailed))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(shop), fault::sign))
        .layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX))
        .with_state(Arc::clone(shop))
}

/// Runs the shop until SIGTERM or SIGINT.
///
/// # Errors
/// When `shop.json` or `$PORT` cannot be used, and when the release is told to crash.
pub(crate) async fn run() -> anyhow::Result<()> {
    let file = read_file()?;
    let port = std::env::var("PORT").context("PORT is not set: the shop needs a port")?;
    let port: u16 = port.parse().with_context(|| format!("PORT is {port:?}, not a port"))?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    serve(listener, file, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

fn read_file() -> anyhow::Result<ShopFile> {
    let size = std::fs::metadata(SHOP_FILE).with_context(|| format!("{SHOP_FILE} is missing"))?;
    if size.len() > SHOP_FILE_BYTES_MAX {
        bail!("{SHOP_FILE} has {} bytes, at most {SHOP_FILE_BYTES_MAX} are read", size.len());
    }
    let text = std::fs::read_to_string(SHOP_FILE)?;
    serde_json::from_str(&text).with_context(|| format!("{SHOP_FILE} does not make sense"))
}

async fn serve(
    listener: TcpListener,
    file: ShopFile,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let shop = Arc::new(Shop::new(file));
    let stopping = CancellationToken::new();
    let ask_to_stop = stopping.clone();
    let server = axum::serve(listener, router(&shop)).with_graceful_shutdown(async move {
        stop.await;
        ask_to_stop.cancel();
    });
    tokio::select! {
        served = server.into_future() => Ok(served?),
        // Under way for longer than the grace: the user has gone, or will get no answer.
        () = async { stopping.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        () = shop.crash.cancelled() => bail!("the shop died: its release is told to"),
    }
}

#[cfg(test)]
mod tests;
