//! The server about itself, and its end.
//! Must never stop what serves users: only this process ends.

use axum::extract::State;

use super::Api;
use super::principal::Principal;
use super::reply::Reply;
use crate::view::service::{Server, Stopping};

/// Version, process, state directory, data plane.
#[utoipa::path(
    get,
    path = "/v1/server",
    tag = "server",
    responses((status = 200, body = Server))
)]
pub(crate) async fn show(State(api): State<Api>, principal: Principal) -> Reply<Server> {
    let parts = api.parts();
    Ok(axum::Json(Server {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: parts.started_at,
        now: api.now(),
        state_dir: parts.dir.path().display().to_string(),
        epoch: api.engine().epoch(),
        services: api.engine().scopes().len(),
        you: principal.name,
        pages: parts.pages.clone(),
        proxy: parts.proxy.borrow().clone(),
    }))
}

/// End this process. Applications, the proxy and its last table go on.
#[utoipa::path(
    post,
    path = "/v1/server/stop",
    tag = "server",
    responses((status = 200, body = Stopping))
)]
pub(crate) async fn stop(State(api): State<Api>, principal: Principal) -> Reply<Stopping> {
    tracing::info!(by = %principal.name, "stop asked for");
    api.stopping().cancel();
    Ok(axum::Json(Stopping {
        pid: std::process::id(),
        keeps: "the applications and the proxy go on as they are".to_owned(),
    }))
}
