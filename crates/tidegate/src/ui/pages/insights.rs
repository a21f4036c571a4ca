//! Numbers of delivery, each with what is counted. Must never rank people.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::show;
use crate::api::body::Query;
use crate::api::{Api, insights};
use crate::ui::{Refusal, Shell, Viewer, page};
use crate::view::history::Insights;

/// Spans that the page offers, in days.
const SPANS: [u16; 4] = [7, 30, 90, 365];

#[derive(Template)]
#[template(path = "insights.html")]
struct InsightsPage {
    shell: Shell,
    i: Insights,
    days: u16,
    spans: [u16; 4],
    bars: Vec<Bar>,
}

/// A way back as a bar.
struct Bar {
    deployment: String,
    version: String,
    safe: String,
    /// Of 100.
    width: String,
    words: String,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    days: Option<u16>,
}

/// The page.
pub(crate) async fn show(
    State(api): State<Api>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let days = asked.days.unwrap_or(30);
    let wanted = insights::Asked { days: Some(days), ..insights::Asked::default() };
    let i = show::plain(insights::show(State(api.clone()), Query(wanted)).await?.0);
    let shell = super::shell(&api, &viewer, "Insights");
    Ok(page(StatusCode::OK, &InsightsPage { shell, bars: bars(&i), i, days, spans: SPANS }))
}

fn bars(i: &Insights) -> Vec<Bar> {
    let timed = i.rollbacks.iter().filter_map(|back| Some((back, back.safe_ms?)));
    let longest = timed.clone().map(|(_, ms)| ms).max().unwrap_or(1).max(1);
    timed
        .take(20)
        .map(|(back, ms)| {
            let safe = show::span_ms(ms);
            Bar {
                deployment: back.deployment.clone(),
                version: format!("{} {}", back.service, back.version),
                words: format!("{} of {}: {safe}", back.deployment, back.service),
                safe,
                // Lengths of rollbacks are far below what is exact.
                width: format!("{:.1}", (ms as f64 / longest as f64 * 100.0).max(1.0)),
            }
        })
        .collect()
}
