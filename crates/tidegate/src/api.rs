//! The HTTP API: one file a resource, OpenAPI 3.1 of itself, errors as problem+json.
//! It must never decide: it turns requests into commands and states into answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::ACCEPT;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tidegate_audit::note::Signer;
use tidegate_engine::Engine;
use tidegate_engine::ports::{Ports, Trail};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::people::Directory;
use crate::problem::Problem;
use crate::server::anchor::Anchored;
use crate::server::network::Limits;
use crate::server::triggers::Triggers;
use crate::state_dir::StateDir;
use crate::view::service::Proxy;
use metrics::Measures;

pub(crate) mod ahead;
pub(crate) mod approvals;
mod asks;
pub(crate) mod audit;
pub(crate) mod backtest;
mod backups;
pub(crate) mod body;
pub(crate) mod browser;
pub(crate) mod calendar;
mod calls;
mod changes;
mod check;
mod checklists;
pub(crate) mod course;
pub(crate) mod decisions;
mod depict;
pub(crate) mod deployments;
mod describe;
mod duties;
pub(crate) mod entries;
mod errors;
mod etag;
mod events;
pub(crate) mod evidence;
pub(crate) mod gates;
mod gc;
mod health;
mod hooks;
pub(crate) mod incidents;
pub(crate) mod insights;
pub(crate) mod journal;
mod layers;
pub(crate) mod locate;
mod logs;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod narrate;
pub(crate) mod once;
pub(crate) mod people;
pub(crate) mod plans;
pub(crate) mod principal;
pub(crate) mod proxy;
mod reply;
pub(crate) mod report;
pub(crate) mod search;
pub(crate) mod server;
pub(crate) mod services;
mod steps;
mod traffic;
mod triggers;
pub(crate) mod verdicts;

pub(crate) use check::{context, look};
pub(crate) use narrate::Narrator;

/// Largest body of a request: a configuration is at most 256 KiB, JSON may double that.
const BODY_BYTES_MAX: usize = 640 * 1024;
/// An answer takes at most this long: a smoke suite asked for by hand has 10 minutes.
const ANSWER_WITHIN: Duration = Duration::from_mins(11);

/// A body that says nothing for this long is given up.
pub(crate) const BODY_SILENT_FOR: Duration = Duration::from_secs(20);

/// What every resource works with.
#[derive(Debug, Clone)]
pub(crate) struct Api(Arc<Parts>);

/// The parts of [`Api`].
#[derive(Debug)]
pub(crate) struct Parts {
    /// The engine.
    pub(crate) engine: Engine,
    /// Where everything is kept.
    pub(crate) dir: StateDir,
    /// Who people are.
    pub(crate) directory: Directory,
    /// When the server started.
    pub(crate) started_at: Timestamp,
    /// Cancelled when the server is to end.
    pub(crate) stop: CancellationToken,
    /// What the supervisor knows of the data plane.
    pub(crate) proxy: watch::Receiver<Proxy>,
    /// Where its pages are, `http://127.0.0.1:7000`, when it listens on the network.
    pub(crate) pages: Option<String>,
    /// The address that it listens on, when it does.
    pub(crate) listening: Option<std::net::SocketAddr>,
    /// The origin of its pages where that is not the address that was asked.
    pub(crate) origin: Option<String>,
    /// Whether `/status` answers everybody.
    pub(crate) status_page: bool,
    /// How often anybody on the network may ask.
    pub(crate) limits: Limits,
    /// What changes were answered.
    pub(crate) answers: once::Answers,
    /// The journal as auditors read it.
    pub(crate) trail: Arc<dyn Trail>,
    /// Signs the journal's head.
    pub(crate) signer: Arc<Signer>,
    /// What is known of the places that get checkpoints.
    pub(crate) anchors: watch::Receiver<Anchored>,
    /// What watches repositories.
    pub(crate) triggers: Triggers,
    /// What was counted.
    pub(crate) measures: Measures,
    /// Deployments that pages look at.
    pub(crate) looks: crate::ui::Looks,
    /// When people looked at approval sheets.
    pub(crate) visits: crate::ui::Visits,
}

impl Api {
    /// Makes the state of the resources.
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The world.
    pub(crate) fn ports(&self) -> &Ports {
        self.0.engine.ports()
    }

    /// The journal as auditors read it.
    pub(crate) fn trail(&self) -> &dyn Trail {
        &*self.0.trail
    }

    /// Who people are.
    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.ports().clock.now()
    }

    /// Cancelled when the server is to end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// The parts.
    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate",
        description = "Releases from their tag to watched production, and back. \
            Served on a unix socket whose file permissions are the authority.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Description;

fn resources() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(deployments::create, deployments::list))
        .routes(routes!(deployments::show))
        .routes(routes!(plans::create))
        .routes(routes!(events::list))
        .routes(routes!(verdicts::list))
        .routes(routes!(verdicts::show))
        .routes(routes!(logs::show))
        .routes(routes!(decisions::hold))
        .routes(routes!(decisions::resume))
        .routes(routes!(decisions::advance))
        .routes(routes!(decisions::abort))
        .routes(routes!(steps::settle))
        .routes(routes!(approvals::approve))
        .routes(routes!(approvals::withdraw))
        .routes(routes!(approvals::attest))
        .routes(routes!(approvals::reject))
        .routes(routes!(approvals::sheet))
        .routes(routes!(approvals::inbox))
        .routes(routes!(checklists::show))
        .routes(routes!(people::whoami))
        .routes(routes!(people::list))
        .routes(routes!(people::set))
        .routes(routes!(people::invite))
        .routes(routes!(people::set_up))
        .routes(routes!(people::sign_in))
        .routes(routes!(people::confirm))
        .routes(routes!(people::sign_out))
        .routes(routes!(people::link))
        .routes(routes!(people::tokens, people::make_token))
        .routes(routes!(people::revoke))
        .routes(routes!(services::list))
        .routes(routes!(services::slots))
        .routes(routes!(services::targets))
        .routes(routes!(services::rollback))
        .routes(routes!(backtest::run))
        .routes(routes!(traffic::show))
        .routes(routes!(asks::probes))
        .routes(routes!(asks::suites))
        .merge(grounds())
        .routes(routes!(gates::weigh))
        .routes(routes!(gates::waive))
        .routes(routes!(calendar::show))
        .routes(routes!(calendar::freeze))
        .routes(routes!(calendar::thaw))
        .routes(routes!(hooks::ring))
        .routes(routes!(triggers::list))
        .routes(routes!(triggers::look))
        .merge(telling())
        .routes(routes!(journal::verify))
        .routes(routes!(entries::list))
        .routes(routes!(search::search))
        .routes(routes!(insights::show))
        .routes(routes!(report::show))
        .routes(routes!(audit::search))
        .routes(routes!(audit::checkpoint))
        .routes(routes!(audit::root))
        .routes(routes!(audit::prove))
        .routes(routes!(server::show))
        .routes(routes!(proxy::show))
        .routes(routes!(server::stop))
        .routes(routes!(gc::collect))
        .routes(routes!(check::check))
        .routes(routes!(errors::page))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::show))
}

/// What a release rests on: evidence, backups, drills and duties.
fn grounds() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(evidence::add))
        .routes(routes!(evidence::open))
        .routes(routes!(evidence::list))
        .routes(routes!(evidence::verify))
        .routes(routes!(duties::list))
        .routes(routes!(duties::done))
        .routes(routes!(backups::list, backups::create))
        .routes(routes!(backups::verify))
        .routes(routes!(backups::drill))
        .routes(routes!(backups::restore))
        .routes(routes!(backups::hold))
}

/// What people are told, and what they do about what went wrong.
fn telling() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(incidents::list, incidents::open))
        .routes(routes!(incidents::show, incidents::handle))
        .routes(routes!(messages::list))
        .routes(routes!(messages::handle))
        .routes(routes!(messages::attempt))
}

/// The API's description of itself.
#[cfg(test)]
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    describe::complete(resources().split_for_parts().1)
}

/// All routes, ready to be served.
pub(crate) fn router(api: Api) -> Router {
    let (router, description) = resources().split_for_parts();
    let description = axum::Json(describe::complete(description));
    router
        .route(
            "/v1/openapi.json",
            axum::routing::get(move || std::future::ready(description.clone())),
        )
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(etag::tagged))
        .layer(middleware::from_fn_with_state(api.clone(), once::once))
        .layer(middleware::from_fn_with_state(api.clone(), principal::known))
        .layer(middleware::from_fn(in_time))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENT_FOR))
        .layer(middleware::from_fn_with_state(api.clone(), metrics::counted))
        .with_state(api)
}

/// Ends a request that takes longer than any may; a stream of events has no end of its own.
async fn in_time(request: Request, next: Next) -> Response {
    let streams = request
        .headers()
        .get(ACCEPT)
        .is_some_and(|accept| accept.as_bytes() == events::STREAM_TYPE.as_bytes());
    if streams {
        return next.run(request).await;
    }
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            Problem::new(504, "TG7011", "the server did not finish this in 11 minutes")
                .safe("whether it took effect is in the journal")
                .help("`tidegate status`")
                .into_response()
        }
    }
}

async fn unknown_path(request: Request) -> Problem {
    Problem::not_found("TG7002", format!("{} is not a resource of this API", request.uri().path()))
        .help("its resources are listed at /v1/openapi.json")
}

async fn wrong_method(request: Request) -> Problem {
    no_such_method(request.method().as_str(), request.uri().path())
}

/// A path that exists and is not asked so.
fn no_such_method(method: &str, path: &str) -> Problem {
    Problem::new(405, "TG7003", format!("{path} does not answer {method}"))
        .safe("nothing was changed")
        .help("its methods are listed at /v1/openapi.json")
}
