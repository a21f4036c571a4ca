//! Whether the server lives and whether it can do its work, for load balancers and init systems.
//! Must never tell a stranger more than that.

use axum::extract::State;
use tidegate_core::ids::Scope;

use super::Api;
use super::reply::Reply;
use crate::problem::Problem;
use crate::view::service::Health;

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = Health)))]
pub(crate) async fn alive() -> Reply<Health> {
    std::future::ready(Ok(axum::Json(Health { ok: true }))).await
}

/// The journal can be read, and the server is not about to end.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    responses(
        (status = 200, body = Health),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ready(State(api): State<Api>) -> Reply<Health> {
    let not_ready = |code: &str, what: &str| {
        Problem::new(503, code, what).safe("traffic is as it was; the proxy needs no server")
    };
    if api.stopping().is_cancelled() {
        return Err(not_ready("TG6112", "the server is stopping"));
    }
    let streams: Vec<(Scope, u64)> = api.ports().journal.streams().await.map_err(|error| {
        tracing::warn!(%error, "not ready");
        not_ready("TG7054", "the journal cannot be read")
    })?;
    tracing::trace!(streams = streams.len(), "ready");
    Ok(axum::Json(Health { ok: true }))
}
