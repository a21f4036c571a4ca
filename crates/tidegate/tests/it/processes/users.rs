//! Users of the application while things die: an open loop, so that whoever waits for an answer
//! delays nobody else. Each request is another user. Must never ask again for one that failed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::harness::{PATIENCE, wait};

/// Time between two users.
const EVERY: Duration = Duration::from_millis(20);
/// A user who waits longer than this has got no answer.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// A request that was not answered with 200.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    /// When it was sent.
    pub(crate) sent: Instant,
    /// When its user knew.
    pub(crate) over: Instant,
    /// The status of the answer; `None` without an answer.
    pub(crate) status: Option<u16>,
    /// Body of the answer, or why there is none.
    pub(crate) words: String,
}

/// What the users got.
#[derive(Default)]
pub(crate) struct Tally {
    /// Good answers by their body, which is the version.
    pub(crate) served: BTreeMap<String, u64>,
    /// All others.
    pub(crate) failed: Vec<Failed>,
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "served {:?}, failed {}", self.served, self.failed.len())?;
        let Some(first) = self.failed.iter().map(|failed| failed.sent).min() else { return Ok(()) };
        for failed in &self.failed {
            let (sent, over) = (failed.sent - first, failed.over - first);
            write!(f, "\n  {sent:?} to {over:?}: {:?} {}", failed.status, failed.words.trim())?;
        }
        Ok(())
    }
}

/// Users who come until this is finished or dropped.
pub(crate) struct Users {
    tally: Arc<Mutex<Tally>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Users {
    /// Sends users to the front page at this address, and waits for the first who is served.
    #[track_caller]
    pub(crate) fn of(address: &str) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (stop, stopped) = oneshot::channel();
        let (told, uri) = (Arc::clone(&tally), format!("http://{address}/").parse().unwrap());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(come(uri, told, stopped));
        });
        let users = Self { tally, stop: Some(stop), thread: Some(thread) };
        users.wait_for_more(1);
        users
    }

    /// Waits until so many more were served, by whichever version.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: u64) {
        let served = || lock(&self.tally).served.values().sum::<u64>();
        let enough = served() + count;
        wait("users are served", || (served() >= enough).then_some(()));
    }

    /// Nobody else comes; those who wait get their answers. What all of them got.
    pub(crate) fn finish(mut self) -> Tally {
        self.end();
        std::mem::take(&mut *lock(&self.tally))
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- users: {:?}", lock(&self.tally));
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn come(uri: hyper::Uri, tally: Arc<Mutex<Tally>>, mut stopped: oneshot::Receiver<()>) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut next = interval(EVERY);
    // Those who were late come all the same.
    next.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut users = JoinSet::new();
    loop {
        tokio::select! {
            _told = &mut stopped => break,
            _tick = next.tick() => {}
        }
        users.spawn(visit(client.clone(), uri.clone(), Arc::clone(&tally)));
        while users.try_join_next().is_some() {}
    }
    let last = async { while users.join_next().await.is_some() {} };
    timeout(PATIENCE, last).await.expect("every user gives up in time");
}

async fn visit(
    client: Client<HttpConnector, Empty<Bytes>>,
    uri: hyper::Uri,
    tally: Arc<Mutex<Tally>>,
) {
    let sent = Instant::now();
    let answer = async {
        let response = client.get(uri).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    let answer = timeout(GIVE_UP_AFTER, answer).await;
    let answer = answer.unwrap_or_else(|_elapsed| Err("no answer in time".to_owned()));
    let mut tally = lock(&tally);
    let (status, words) = match answer {
        Ok((200, version)) => {
            *tally.served.entry(version).or_default() += 1;
            return;
        }
        Ok((status, words)) => (Some(status), words),
        Err(words) => (None, words),
    };
    tally.failed.push(Failed { sent, over: Instant::now(), status, words });
}
