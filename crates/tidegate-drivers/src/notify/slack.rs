//! Slack: `chat.postMessage` with a bot's token, or an incoming webhook for one room.
//!
//! A token needs the scope `chat:write` and a seat in the room; a message is taken back by hand with
//! "Delete message". With a token, what is about one deployment is one thread; a webhook's answer
//! does not name its message, so there every message stands alone.
//! Must never let what others wrote become markup or a mention.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::message::{Delivery, Family};

use super::{Outgoing, http, refused, unknown};

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Token of a bot, a reference: it reaches every room that the bot is in.
    #[serde(default)]
    token: Option<String>,
    /// Incoming webhooks by the room that they lead to, each a reference.
    #[serde(default)]
    rooms: std::collections::BTreeMap<String, String>,
    /// Where its API is.
    #[serde(default = "api")]
    url: String,
}

fn api() -> String {
    "https://slack.com/api".to_owned()
}

/// Errors that another attempt may not meet.
const PASSING: [&str; 5] =
    ["fatal_error", "internal_error", "ratelimited", "request_timeout", "service_unavailable"];

pub(super) async fn send(
    config: &Config,
    outgoing: &Outgoing<'_>,
) -> Result<Option<String>, Delivery> {
    let room = outgoing.message.to.address.as_str();
    if let Some(reference) = config.rooms.get(room) {
        let url = outgoing.secret(reference)?;
        http::ask("slack", outgoing.http.post(url).json(&body(outgoing))).await?;
        return Ok(None);
    }
    let Some(token) = &config.token else { return Err(unknown(Family::Slack, room)) };
    let token = outgoing.secret(token)?;
    let mut body = body(outgoing);
    body["channel"] = json!(room);
    body["unfurl_links"] = json!(false);
    if let Some(thread) = outgoing.follows {
        body["thread_ts"] = json!(thread);
    }
    let url = format!("{}/chat.postMessage", config.url);
    let request = outgoing.http.post(url).bearer_auth(token).json(&body);
    let answer = http::ask("slack", request).await?;
    if answer["ok"] == json!(true) {
        return Ok(answer["ts"].as_str().map(str::to_owned));
    }
    let error = answer["error"].as_str().unwrap_or("it does not say why");
    let why = format!("TG7161: slack refused it: {error}");
    Err(match PASSING.contains(&error) {
        true => Delivery::Refused { why, retryable: true, after: None },
        false => refused(why),
    })
}

fn body(outgoing: &Outgoing<'_>) -> Value {
    let text = escaped(&outgoing.text());
    let facts: Vec<String> = outgoing
        .facts()
        .into_iter()
        .map(|(name, value)| format!("{name} `{}`", escaped(&value.replace('`', "'"))))
        .collect();
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": outgoing.title()}}),
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}),
        json!({"type": "context", "elements": [{"type": "mrkdwn", "text": facts.join("   ")}]}),
    ];
    if let Some(link) = &outgoing.link {
        blocks.push(json!({"type": "actions", "elements": [{
            "type": "button",
            "text": {"type": "plain_text", "text": "Open"},
            "url": link,
        }]}));
    }
    json!({"text": escaped(&outgoing.title()), "blocks": blocks})
}

/// What its markup would read as a link or a mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nobody_is_called_by_a_text() {
        assert_eq!(
            escaped("<!channel> errors > 1 % & <@U1>"),
            "&lt;!channel&gt; errors &gt; 1 % &amp; &lt;@U1&gt;"
        );
    }
}
