//! What the server counted since it began, in the words of OpenMetrics.
//! Must never have a label that a caller can make up: routes are those that matched.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Api;
use crate::problem::Problem;

/// Media type of the text.
const TEXT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper edges of the durations, seconds: a read takes milliseconds, a smoke suite minutes.
const BUCKETS_SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

/// By what requests are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    route: String,
    method: String,
    status: u16,
}

/// What is counted.
#[derive(Debug, Clone)]
pub(crate) struct Measures {
    requests: Family<Kind, Counter>,
    seconds: Histogram,
    refused: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Histogram::new(BUCKETS_SECONDS),
            refused: Family::default(),
        }
    }
}

impl Measures {
    fn count(&self, kind: &Kind, took: Duration) {
        let why = match kind.status {
            401 => Some("unknown"),
            403 => Some("denied"),
            429 => Some("too_often"),
            _ => None,
        };
        if let Some(why) = why {
            self.refused.get_or_create(&[("why", why)]).inc();
        }
        self.requests.get_or_create(kind).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

/// Counts a request by the route that matched.
pub(crate) async fn counted(
    State(api): State<Api>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let route = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    // Methods that nobody knows are one, or a caller could make labels up.
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;
    let status = response.status().as_u16();
    api.parts().measures.count(&Kind { route, method, status }, begun.elapsed());
    response
}

/// Everything in OpenMetrics.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn show(State(api): State<Api>) -> Result<Response, Problem> {
    let text = text(&api).map_err(|error| Problem::new(500, "TG7014", error.to_string()))?;
    std::future::ready(Ok(([(CONTENT_TYPE, TEXT_TYPE)], text).into_response())).await
}

fn text(api: &Api) -> Result<String, std::fmt::Error> {
    let parts = api.parts();
    let mut registry = Registry::with_prefix("tidegate_server");
    registry.register(
        "requests",
        "Requests by route, method and status",
        parts.measures.requests.clone(),
    );
    registry.register(
        "request_seconds",
        "Time to the head of an answer",
        parts.measures.seconds.clone(),
    );
    registry.register(
        "refused",
        "Requests that were refused, by why",
        parts.measures.refused.clone(),
    );
    let scopes = api.engine().scopes();
    let states: Vec<_> = scopes.iter().filter_map(|scope| api.engine().state(scope)).collect();
    let in_flight = states.iter().filter(|state| state.current.is_some()).count();
    let proxy = parts.proxy.borrow().clone();
    let up = api.now().duration_since(parts.started_at).as_secs();
    let amount = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for (name, help, value) in [
        ("epoch", "The epoch that it writes with", number(api.engine().epoch())),
        ("services", "Services that it knows", amount(scopes.len())),
        ("deployments_in_flight", "Deployments that have not ended", amount(in_flight)),
        ("proxy_up", "1 while the proxy answers", i64::from(proxy.running)),
        ("proxy_starts", "How often it started the proxy", number(proxy.starts)),
        ("up_seconds", "Since it started", up),
    ] {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
