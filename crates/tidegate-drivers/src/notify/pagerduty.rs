//! PagerDuty, Events API v2: a page is triggered, acknowledged and resolved under one key; what is
//! only news is a change event.
//!
//! It needs the integration key of one service there; a page is closed by hand in its list.
//! Must never open a second page for one key: the same message sent twice has the same key.

use serde::Deserialize;
use serde_json::json;
use tidegate_core::message::{Delivery, Signal};

use super::{Outgoing, http, shorten};

/// Longest key of a page, bytes.
const KEY_BYTES_MAX: usize = 255;
/// Longest summary, characters.
const SUMMARY_CHARS_MAX: usize = 1_024;
/// Severities that it knows.
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Integration key, a reference.
    routing_key: String,
    /// Where its API is.
    #[serde(default = "api")]
    url: String,
}

fn api() -> String {
    "https://events.pagerduty.com/v2".to_owned()
}

pub(super) async fn send(
    config: &Config,
    outgoing: &Outgoing<'_>,
) -> Result<Option<String>, Delivery> {
    let message = outgoing.message;
    let routing_key = outgoing.secret(&config.routing_key)?;
    let summary = shorten(&format!("{}: {}", message.title, message.text), SUMMARY_CHARS_MAX);
    let details: serde_json::Map<String, serde_json::Value> =
        outgoing.facts().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let links: Vec<_> =
        outgoing.link.iter().map(|link| json!({"href": link, "text": "Tidegate"})).collect();
    let action = match message.signal {
        Signal::Note => {
            let body = json!({
                "routing_key": routing_key,
                "payload": {
                    "summary": summary,
                    "timestamp": outgoing.letter.at.to_string(),
                    "source": outgoing.scope.to_string(),
                    "custom_details": details,
                },
                "links": links,
            });
            let url = format!("{}/change/enqueue", config.url);
            http::ask("pagerduty", outgoing.http.post(url).json(&body)).await?;
            return Ok(None);
        }
        Signal::Trigger => "trigger",
        Signal::Acknowledge => "acknowledge",
        Signal::Resolve => "resolve",
    };
    let address = message.to.address.as_str();
    let severity = if SEVERITIES.contains(&address) { address } else { "critical" };
    let body = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": key(outgoing),
        "client": "Tidegate",
        "payload": {
            "summary": summary,
            "timestamp": outgoing.letter.at.to_string(),
            "severity": severity,
            "source": outgoing.scope.to_string(),
            "component": outgoing.scope.service.as_str(),
            "group": outgoing.scope.environment.as_str(),
            "class": message.on.word(),
            "custom_details": details,
        },
        "links": links,
    });
    let url = format!("{}/enqueue", config.url);
    let answer = http::ask("pagerduty", outgoing.http.post(url).json(&body)).await?;
    Ok(answer["dedup_key"].as_str().map(str::to_owned))
}

/// The name of the page, of this service alone. Its pieces are names of at most 64 bytes.
fn key(outgoing: &Outgoing<'_>) -> String {
    let mut key = format!("{}/{}", outgoing.scope, outgoing.message.page);
    key.truncate(KEY_BYTES_MAX);
    key
}
