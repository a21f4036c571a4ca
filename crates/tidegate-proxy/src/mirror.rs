//! Copies of safe requests for a revision that is to be looked at before it serves anybody.
//!
//! A copy must never delay or change the answer of its original, never count in the statistics of
//! user traffic, and never be made of a request that may change something.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Method, Request};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::body::Upload;
use crate::route::RevisionView;
use crate::upstream::{Answer, Waits, copy_head, exchange};

/// Copies in progress in the whole proxy; more are dropped and counted.
const IN_PROGRESS: usize = 256;
/// A copy's whole answer must be there by then: its connection is worth no more.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Tells an application that nobody reads its answer. Strangers cannot send it.
static MARK: HeaderName = HeaderName::from_static("x-tidegate-mirror");

/// What became of the copies of one service.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Copies that were answered.
    pub(crate) answered: AtomicU64,
    /// Copies without a whole answer.
    pub(crate) failed: AtomicU64,
    /// Copies that were not made because too many were in progress.
    pub(crate) dropped: AtomicU64,
}

/// Places for copies.
#[derive(Clone, Debug)]
pub(crate) struct Mirrors(Arc<Semaphore>);

impl Default for Mirrors {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(IN_PROGRESS)))
    }
}

/// Whether copying a request changes nothing: by its method, and without a body to repeat.
pub(crate) fn may_copy(request: &Request<Upload>) -> bool {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    is_safe && matches!(request.body(), Upload::Empty)
}

impl Mirrors {
    /// Sends a copy and drops its answer. Returns at once.
    pub(crate) fn send(
        &self,
        to: &RevisionView,
        counts: &Arc<Counts>,
        request: &Request<Upload>,
        waits: Waits,
    ) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut copy = copy_head(request);
        copy.headers_mut().insert(MARK.clone(), HeaderValue::from_static("1"));
        let (endpoints, counts) = (Arc::clone(&to.endpoints), Arc::clone(counts));
        tokio::spawn(async move {
            let answered = timeout(ANSWER_WITHIN, async {
                let exchanged = exchange(&endpoints, copy, waits).await.ok()?;
                let Answer { response, mut link } = exchanged;
                let mut body = response.into_body();
                while let Some(frame) = poll_fn(|at| link.poll_frame(&mut body, at)).await {
                    drop(frame.ok()?);
                }
                link.give_back();
                Some(())
            });
            let is_whole = answered.await.is_ok_and(|answered| answered.is_some());
            let counter = if is_whole { &counts.answered } else { &counts.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            drop(place);
        });
    }
}
