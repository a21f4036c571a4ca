//! The journal as a whole: does it still say what it said?
//! Must never answer "verified" for anything but a full verification.

use axum::extract::State;

use super::Api;
use super::reply::Reply;
use crate::problem::Problem;
use crate::view::service::Verified;

/// Check every leaf, every sequence and every root against the stored events.
#[utoipa::path(
    get,
    path = "/v1/journal/verify",
    tag = "server",
    responses(
        (status = 200, body = Verified),
        (status = 500, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn verify(State(api): State<Api>) -> Reply<Verified> {
    let found = api.ports().journal.verify().await?;
    Ok(axum::Json(Verified {
        verified: true,
        events: found.events,
        streams: found.streams,
        root: found.root,
    }))
}
