//! Microsoft Teams: a card to the address of a workflow ("When a Teams webhook request is
//! received"); the connectors of before are retired.
//!
//! It needs the address alone, which is the secret; a card is taken back by hand in the room.
//! Must never send a card that is larger than a workflow takes.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::message::{Delivery, Family, Signal};

use super::{Outgoing, http, unknown};

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses of workflows by the room that they lead to, each a reference.
    rooms: std::collections::BTreeMap<String, String>,
}

pub(super) async fn send(
    config: &Config,
    outgoing: &Outgoing<'_>,
) -> Result<Option<String>, Delivery> {
    let room = outgoing.message.to.address.as_str();
    let reference = config.rooms.get(room).ok_or_else(|| unknown(Family::Teams, room))?;
    let url = outgoing.secret(reference)?;
    let body = json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card(outgoing),
    }]});
    http::ask("teams", outgoing.http.post(url).json(&body)).await?;
    Ok(None)
}

/// Adaptive Card 1.4, the newest that every client of Teams shows.
fn card(outgoing: &Outgoing<'_>) -> Value {
    let colour = match outgoing.message.signal {
        Signal::Trigger => "Attention",
        Signal::Resolve => "Good",
        Signal::Acknowledge => "Accent",
        Signal::Note => "Default",
    };
    let facts = outgoing.facts().into_iter();
    let facts: Vec<Value> =
        facts.map(|(name, value)| json!({"title": name, "value": value})).collect();
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {
                "type": "TextBlock", "text": outgoing.title(), "wrap": true,
                "size": "Medium", "weight": "Bolder", "color": colour,
            },
            {"type": "TextBlock", "text": outgoing.text(), "wrap": true},
            {"type": "FactSet", "facts": facts},
        ],
    });
    if let Some(link) = &outgoing.link {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open", "url": link}]);
    }
    card
}
