//! The data plane about itself: its process, what it serves, its certificates.
//! Must never change a route table.

use axum::extract::State;
use jiff::Timestamp;
use tidegate_drivers::traffic::{Served, inspect};

use super::Api;
use super::principal::Principal;
use super::reply::Reply;
use crate::view::proxy::{Certificate, ProxyStatus, ServedPart};

/// The proxy, every part that it serves, and the certificates of each.
#[utoipa::path(
    get,
    path = "/v1/proxy",
    tag = "server",
    responses((status = 200, body = ProxyStatus))
)]
pub(crate) async fn show(State(api): State<Api>, _principal: Principal) -> Reply<ProxyStatus> {
    let parts = api.parts();
    let proxy = parts.proxy.borrow().clone();
    let now = api.now();
    let (parts, unknown) = match inspect(&parts.dir.proxy_socket()).await {
        Ok(served) => (served.into_iter().map(|served| part(served, now)).collect(), None),
        Err(failure) => (Vec::new(), Some(format!("{} {}", failure.code, failure.what))),
    };
    Ok(axum::Json(ProxyStatus { proxy, parts, unknown }))
}

fn part(served: Served, now: Timestamp) -> ServedPart {
    let Served { scope, part, status } = served;
    ServedPart {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        part: part.to_string(),
        generation: status.generation,
        listening: status.listening,
        persisted: status.persisted,
        in_flight: status.revisions.iter().map(|revision| revision.in_flight).sum(),
        tunnels: status.revisions.iter().map(|revision| revision.tunnels).sum(),
        certificates: status
            .certificates
            .into_iter()
            .map(|held| Certificate::new(held, now))
            .collect(),
    }
}
