//! What makes a release of the shop bad, in front of its pages.
//! It must never strike before the number of good answers that the file promises.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Fault, Shop};
use crate::cli::demo::load::{FAULT_HEADER, VERSION_HEADER};

const MIB: usize = 1024 * 1024;

/// Says on every answer which release gave it and for how long it has been faulty.
pub(super) async fn sign(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(version) = HeaderValue::try_from(format!("v{}", shop.file.version)) {
        headers.insert(VERSION_HEADER, version);
    }
    if let Some(since) = shop.faulty_since.get() {
        let age = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        headers.insert(FAULT_HEADER, age.into());
    }
    response
}

/// Lets the fault of the release strike, if it has one and its time has come.
pub(super) async fn strike(
    State(shop): State<Arc<Shop>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = shop.pages_asked.fetch_add(1, Ordering::Relaxed) + 1;
    let strikes = asked.checked_sub(shop.file.fault_after_requests + 1);
    let (Some(strikes), false) = (strikes, shop.file.fault == Fault::None) else {
        return next.run(request).await;
    };
    shop.faulty_since.get_or_init(Instant::now);
    match shop.file.fault {
        Fault::Errors { one_in } if strikes.is_multiple_of(one_in.max(1)) => {
            let words = "the basket fell into the water\n";
            return (StatusCode::INTERNAL_SERVER_ERROR, words).into_response();
        }
        Fault::Latency { delay_ms } => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        Fault::Crash => {
            shop.crash.cancel();
            // Nobody is left to answer.
            std::future::pending::<()>().await;
        }
        Fault::Memory { mib_a_request, mib_max } => shop.leak(mib_a_request, mib_max),
        Fault::None | Fault::Errors { .. } | Fault::Health => {}
    }
    next.run(request).await
}

impl Shop {
    /// Keeps memory for ever. Each byte is written, or the kernel would not give the pages.
    pub(super) fn leak(&self, mib: usize, mib_max: usize) {
        let mut leaked = self.leaked.lock().unwrap_or_else(PoisonError::into_inner);
        if leaked.len() * mib < mib_max {
            leaked.push(vec![1; mib * MIB]);
        }
    }
}
