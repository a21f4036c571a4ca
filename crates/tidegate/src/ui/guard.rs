//! What stands before every page: who it is by the cookie, that a form was sent by a page of ours,
//! and the headers that tell a browser what a page may do.
//! Must never let a change through without a token, whatever the page behind it forgets.

use std::net::IpAddr;

use axum::Form;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{FromRequest, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{FORM_BYTES_MAX, Refusal, Visitor};
use crate::api::Api;
use crate::api::browser::{self, Jar};
use crate::api::principal::{self, Peer};
use crate::problem::Problem;

/// What a page may load and do: what this server sends, nothing inline, in no frame.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; font-src 'self'; form-action 'self'; frame-ancestors 'none'; \
     base-uri 'none'; require-trusted-types-for 'script'",
);
/// Two years, as browsers' preload lists ask for.
const TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=63072000");
/// Headers of every answer that a browser may show.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Not `no-referrer`: with it browsers hide the origin of our own forms as well.
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=(), payment=()"),
    ),
];

/// Puts the headers on every answer, refusals included.
pub(crate) async fn with_headers(request: Request, next: Next) -> Response {
    let (encrypted, _) = way_of(&request);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    if encrypted {
        headers.insert(STRICT_TRANSPORT_SECURITY, TRANSPORT);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether TLS protects the way of a request, and from where it comes.
fn way_of(request: &Request) -> (bool, Option<IpAddr>) {
    match request.extensions().get::<ConnectInfo<Peer>>() {
        Some(ConnectInfo(Peer::Network { address, encrypted })) => (*encrypted, Some(*address)),
        Some(ConnectInfo(Peer::Socket { .. })) | None => (false, None),
    }
}

/// Finds out who visits, and refuses a change that no page of ours sent.
pub(super) async fn guarded(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (encrypted, address) = way_of(&request);
    let headers = request.headers();
    let session = Jar::Session
        .of(headers, encrypted)
        .and_then(|cookie| principal::of_cookie(&api, &cookie).map(|who| (cookie, who)));
    // Before there is a session, a cookie of no worth holds the form together.
    let (principal, cookie, fresh) = match (session, Jar::Form.of(headers, encrypted)) {
        (Some((cookie, who)), _) => (Some(who), cookie, false),
        (None, Some(cookie)) => (None, cookie, false),
        (None, None) => (None, crate::people::random_text(), true),
    };
    let request = if browser::only_looks(request.method()) {
        request
    } else if fresh {
        return Refusal(no_cookie()).into_response();
    } else {
        match checked(request, &cookie, encrypted).await {
            Ok(request) => request,
            Err(problem) => return Refusal(problem).into_response(),
        }
    };
    let mut request = request;
    let form_token = browser::form_token(&cookie);
    request.extensions_mut().insert(Visitor { principal, form_token, encrypted, address });
    let mut response = next.run(request).await;
    if fresh && let Some(line) = Jar::Form.set(Some(&cookie), encrypted) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    response
}

fn no_cookie() -> Problem {
    Problem::new(403, "TG7051", "the browser sent no cookie with the form")
        .safe("nothing was changed")
        .help("allow cookies of this server, load the page again and send it from there")
}

/// The field that every form has.
#[derive(Deserialize)]
struct Token {
    form_token: Option<String>,
}

/// The request again, once its form has shown that it is ours.
async fn checked(request: Request, cookie: &str, encrypted: bool) -> Result<Request, Problem> {
    browser::sent_by_us(request.headers(), encrypted)?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, FORM_BYTES_MAX).await.map_err(|_long| {
        Problem::new(413, "TG7004", "the form is larger than 64 KiB").safe("nothing was changed")
    })?;
    let shown = parts.headers.get(browser::TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let token = match shown {
        Some(token) => Some(token.to_owned()),
        None => {
            let form = Request::from_parts(parts.clone(), Body::from(body.clone()));
            let read = Form::<Token>::from_request(form, &()).await;
            read.ok().and_then(|Form(form)| form.form_token)
        }
    };
    browser::token_fits(cookie, token.as_deref())?;
    Ok(Request::from_parts(parts, Body::from(body)))
}
