//! `ETag`: who looks at the same again is told in a head alone that nothing changed.
//! Must never hold a stream back, nor answer a change.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use tidegate_core::digest::Digest;

/// Largest answer that gets a tag, bytes; a report is sent as it comes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Puts the digest of an answer on it, and leaves out what the reader has.
pub(super) async fn tagged(request: Request, next: Next) -> Response {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    if !looks || response.status() != StatusCode::OK || !is_json {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    if length.is_none_or(|length| length > ANSWER_BYTES_MAX) {
        return Response::from_parts(head, body);
    }
    let Ok(body) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{}\"", Digest::of(&body).as_str());
    if let Ok(value) = HeaderValue::from_str(&tag) {
        head.headers.insert(ETAG, value);
    }
    if known.is_some_and(|known| names(&known, &tag)) {
        let mut headers = HeaderMap::new();
        headers.extend(head.headers.remove(ETAG).map(|value| (ETAG, value)));
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    Response::from_parts(head, Body::from(body))
}

/// Whether a list of tags has this one; a weak tag is as good to a reader.
fn names(list: &HeaderValue, tag: &str) -> bool {
    let Ok(list) = list.to_str() else { return false };
    list.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
