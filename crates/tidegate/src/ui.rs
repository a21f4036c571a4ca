//! The pages: HTML from templates, plain forms, one file a page. They read and change what the API
//! does, by the same functions. Must never let a form through that a page of this server did not send.

pub(crate) mod assets;
mod door;
mod guard;
pub(crate) mod pages;
mod viewer;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::api::{Api, BODY_SILENT_FOR, metrics};
use crate::problem::Problem;

pub(crate) use guard::with_headers;
pub(crate) use pages::{Looks, Visits};
pub(crate) use viewer::{Viewer, Visitor};

/// Largest form, bytes: a comment of some pages.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// All pages, ready to be served.
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/login", get(door::show_sign_in).post(door::sign_in))
        .route("/confirm", get(door::show_confirm).post(door::confirm))
        .route("/setup", get(door::show_set_up).post(door::set_up))
        .route("/logout", post(door::sign_out))
        .route("/assets/{digest}/{name}", get(assets::serve))
        .merge(pages::routes())
        .fallback(no_page)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), guard::guarded))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENT_FOR))
        .layer(middleware::from_fn(with_headers))
        .layer(middleware::from_fn_with_state(api.clone(), metrics::counted))
        .with_state(api)
}

/// What every page shows around its own words.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    /// The title of the page.
    pub(crate) title: &'static str,
    /// Who looks, when somebody signed in.
    pub(crate) viewer: Option<String>,
    /// The token that each form sends as `form_token`.
    pub(crate) form_token: String,
    /// How much waits for people.
    pub(crate) waiting: usize,
    /// The pages that who looks may see.
    pub(crate) pages: Vec<pages::Link>,
}

/// A page of a template.
pub(crate) fn page(status: StatusCode, template: &impl askama::Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A problem as a page.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

#[derive(askama::Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    shell: Shell,
    problem: Problem,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // What it says may come from a request: the template escapes it.
        let shell = Shell {
            title: "That did not work",
            viewer: None,
            form_token: String::new(),
            waiting: 0,
            pages: Vec::new(),
        };
        let wait = self.0.advice.retry_after_s;
        let mut response = page(status, &ProblemPage { shell, problem: self.0 });
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

async fn no_page(request: axum::extract::Request) -> Refusal {
    let path = crate::text::plain(request.uri().path());
    let problem = Problem::not_found("TG7002", format!("there is no page {path}"));
    std::future::ready(Refusal(problem.help("begin at /"))).await
}

async fn wrong_method(request: axum::extract::Request) -> Refusal {
    let what =
        format!("{} does not take {}", crate::text::plain(request.uri().path()), request.method());
    std::future::ready(Refusal(Problem::new(405, "TG7003", what).safe("nothing was changed"))).await
}
