//! Looks at a configuration without using it.
//! Must never touch the world: it reads the text that was sent.

use axum::extract::State;
use tidegate_core::plan::Release;

use super::Api;
use super::body::Body;
use super::reply::Reply;
use crate::view::request;
use crate::view::service::Checked;

/// Parse and lint a `tidegate.yaml`.
#[utoipa::path(
    post,
    path = "/v1/check",
    tag = "server",
    request_body = request::Check,
    responses((status = 200, body = Checked))
)]
pub(crate) async fn check(
    State(_api): State<Api>,
    Body(asked): Body<request::Check>,
) -> Reply<Checked> {
    Ok(axum::Json(look(&asked.source, &asked.name, asked.environment.as_deref())))
}

/// Parses and lints; the same on the command line and over the API.
pub(crate) fn look(source: &str, name: &str, environment: Option<&str>) -> Checked {
    // A check has no release yet; nothing that is found depends on which one it will be.
    let release =
        Release { version: "v0".to_owned(), repository: ".".to_owned(), commit: "0".repeat(40) };
    match tidegate_spec::parse(source, name, release, environment) {
        Ok(parsed) => Checked {
            valid: true,
            service: Some(parsed.plan.scope.service.to_string()),
            diagnostics: parsed.notes,
        },
        Err(found) => Checked { valid: false, service: None, diagnostics: found.0 },
    }
}
