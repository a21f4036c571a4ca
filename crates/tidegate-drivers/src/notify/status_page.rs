//! Statuspage: an incident that customers read, created, updated and resolved.
//!
//! It needs an API key of the page's account; an incident is taken back by hand in its list. A
//! create whose answer was lost is found again by the name that it was given, so that customers
//! never read of one thing twice.
//! Must never be given what people have to write first: the core holds that back.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::message::{Delivery, Signal};

use super::{Outgoing, http, refused};

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Id of the page.
    page: String,
    /// API key, a reference.
    token: String,
    /// Components that an incident is about.
    #[serde(default)]
    components: Vec<String>,
    /// Where its API is.
    #[serde(default = "api")]
    url: String,
}

fn api() -> String {
    "https://api.statuspage.io/v1".to_owned()
}

pub(super) async fn send(
    config: &Config,
    outgoing: &Outgoing<'_>,
) -> Result<Option<String>, Delivery> {
    let token = format!("OAuth {}", outgoing.secret(&config.token)?);
    let place = format!("{}/pages/{}/incidents", config.url, config.page);
    let opens = outgoing.message.signal == Signal::Trigger && outgoing.follows.is_none();
    if opens {
        // Whether an attempt before this one was taken is asked first.
        if outgoing.letter.attempt > 1 {
            let request = outgoing.http.get(format!("{place}/unresolved"));
            let open = http::ask("statuspage", request.header("authorization", &token)).await?;
            if let Some(id) = named(&open, &outgoing.name) {
                return Ok(Some(id));
            }
        }
        let mut body = incident(config, outgoing, "investigating", "partial_outage");
        body["incident"]["name"] = json!(outgoing.title());
        body["incident"]["metadata"] = json!({"tidegate": {"message": outgoing.name}});
        let request = outgoing.http.post(place).header("authorization", token).json(&body);
        let made = http::ask("statuspage", request).await?;
        return Ok(made["id"].as_str().map(str::to_owned));
    }
    let Some(id) = outgoing.follows else {
        return Err(refused("TG7161: statuspage has no incident that this belongs to".to_owned()));
    };
    let body = match outgoing.message.signal {
        Signal::Resolve => incident(config, outgoing, "resolved", "operational"),
        _ => incident(config, outgoing, "identified", "partial_outage"),
    };
    let request = outgoing.http.patch(format!("{place}/{id}"));
    http::ask("statuspage", request.header("authorization", token).json(&body)).await?;
    Ok(Some(id.to_owned()))
}

fn incident(config: &Config, outgoing: &Outgoing<'_>, status: &str, component: &str) -> Value {
    let components: serde_json::Map<String, Value> =
        config.components.iter().map(|id| (id.clone(), json!(component))).collect();
    json!({"incident": {
        "status": status,
        "body": outgoing.text(),
        "component_ids": config.components,
        "components": components,
    }})
}

/// The open incident that was made by a message.
fn named(open: &Value, name: &str) -> Option<String> {
    let ours = |incident: &&Value| incident["metadata"]["tidegate"]["message"] == json!(name);
    open.as_array()?.iter().find(ours)?["id"].as_str().map(str::to_owned)
}
