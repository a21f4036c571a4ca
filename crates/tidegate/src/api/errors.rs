//! The page of an error code, at the address that problems carry as their type.
//! Must never serve a page from disk: they are part of the binary.

use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::codes;
use crate::problem::Problem;

/// What an error code means.
#[utoipa::path(
    get,
    path = "/v1/errors/{code}",
    tag = "server",
    params(("code" = String, Path, description = "TGxxxx")),
    responses(
        (status = 200, body = String, content_type = "text/markdown"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn page(Path(code): Path<String>) -> Result<Response, Problem> {
    match codes::page(&code) {
        Some(page) => Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], page).into_response()),
        None => Err(Problem::not_found(
            "TG7015",
            format!("there is no error code {}", crate::text::plain(&code)),
        )),
    }
}
