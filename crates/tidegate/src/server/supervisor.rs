//! Keeps the data plane and the shims running: looks each second, starts what died.
//! Must never stop anything, and never take a slow answer for a dead process.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_drivers::runtime::ProcessRuntime;
use tidegate_drivers::traffic::ProxyProcess;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::view::service::Proxy;

/// How often the supervisor looks: a dead proxy is back within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Shims are looked after every so many looks.
const LOOKS_A_TEND: u32 = 4;

/// What is looked after.
#[derive(Debug)]
pub(crate) struct Supervised {
    /// The proxy's process.
    pub(crate) proxy: ProxyProcess,
    /// The slots, whose shims are started again when they died.
    pub(crate) runtime: Arc<ProcessRuntime>,
}

/// Looks after everything until the server stops.
pub(super) async fn run(
    supervised: Supervised,
    seen: watch::Sender<Proxy>,
    stop: CancellationToken,
) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks: u32 = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _tick = look.tick() => {}
        }
        look_at_proxy(&supervised, &seen).await;
        if looks.is_multiple_of(LOOKS_A_TEND) {
            tend(&supervised).await;
        }
        looks = looks.wrapping_add(1);
    }
}

async fn look_at_proxy(supervised: &Supervised, seen: &watch::Sender<Proxy>) {
    let found = supervised.proxy.ensure_running().await;
    seen.send_if_modified(|proxy| {
        let before = proxy.clone();
        proxy.asked_at = Some(Timestamp::now());
        match &found {
            Ok(running) => {
                proxy.running = true;
                proxy.pid = Some(running.pid);
                proxy.starts += u64::from(running.started);
                proxy.problem = None;
            }
            Err(failure) => {
                proxy.running = false;
                proxy.pid = None;
                proxy.problem = Some(format!("{} {}", failure.code, failure.what));
            }
        }
        let changed = before.running != proxy.running
            || before.pid != proxy.pid
            || before.problem != proxy.problem;
        if changed {
            match &proxy.problem {
                Some(problem) => tracing::error!(%problem, "the proxy does not run"),
                None => tracing::info!(pid = ?proxy.pid, starts = proxy.starts, "the proxy runs"),
            }
        }
        true
    });
}

async fn tend(supervised: &Supervised) {
    match supervised.runtime.tend().await {
        Ok(started) => {
            for place in started {
                tracing::warn!(%place, "its shim had died and was started again");
            }
        }
        Err(failure) => {
            tracing::warn!(code = failure.code, what = %failure.what, "a shim cannot be started");
        }
    }
}
