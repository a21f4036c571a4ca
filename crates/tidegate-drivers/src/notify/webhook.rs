//! A machine: a POST that is signed as Standard Webhooks have it; its body is our own, a CloudEvent
//! or a CDEvent.
//!
//! It needs the address and a secret that both sides know; what the receiver did is undone there.
//! Must never send without a signature where a secret is named.

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::message::Delivery;

use super::{Outgoing, cdevents, http};

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its address; a reference where it is a secret.
    url: String,
    /// What both sides know, a reference: `whsec_` and base64, or any text.
    #[serde(default)]
    secret: Option<String>,
    /// What the body is.
    #[serde(default)]
    format: Format,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// `type`, `timestamp` and `data`, as Standard Webhooks recommend.
    #[default]
    Standard,
    /// CloudEvents 1.0, structured.
    CloudEvents,
    /// CDEvents 0.4 in a CloudEvent.
    CdEvents,
}

pub(super) async fn send(
    config: &Config,
    outgoing: &Outgoing<'_>,
) -> Result<Option<String>, Delivery> {
    let url = outgoing.secret(&config.url)?;
    let (content_type, body) = match config.format {
        Format::Standard => ("application/json", standard(outgoing)),
        Format::CloudEvents => {
            let event = cloud_event(outgoing, &kind(outgoing), &data(outgoing));
            ("application/cloudevents+json", event)
        }
        Format::CdEvents => {
            let event = cdevents::event(outgoing);
            let kind = event["context"]["type"].as_str().unwrap_or_default().to_owned();
            ("application/cloudevents+json", cloud_event(outgoing, &kind, &event))
        }
    };
    let body = body.to_string();
    let now = Timestamp::now().as_second();
    let mut request = outgoing.http.post(url).header("content-type", content_type);
    request = request.header("webhook-id", &outgoing.name).header("webhook-timestamp", now);
    if let Some(secret) = &config.secret {
        let secret = outgoing.secret(secret)?;
        let signature = signature(&secret, &outgoing.name, now, &body);
        request = request.header("webhook-signature", signature);
    }
    http::ask("the webhook", request.body(body)).await?;
    Ok(None)
}

fn kind(outgoing: &Outgoing<'_>) -> String {
    format!("io.tidegate.{}", outgoing.message.on.word())
}

fn data(outgoing: &Outgoing<'_>) -> Value {
    let mut data = json!({"title": outgoing.message.title, "text": outgoing.message.text});
    for (name, value) in outgoing.facts() {
        data[name] = json!(value);
    }
    if let Some(link) = &outgoing.link {
        data["link"] = json!(link);
    }
    data
}

fn standard(outgoing: &Outgoing<'_>) -> Value {
    let at = outgoing.letter.at.to_string();
    json!({"type": kind(outgoing), "timestamp": at, "data": data(outgoing)})
}

fn cloud_event(outgoing: &Outgoing<'_>, kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": outgoing.name,
        "source": format!("/tidegate/{}", outgoing.scope),
        "type": kind,
        "subject": outgoing.message.about,
        "time": outgoing.letter.at.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// `v1,` and the MAC over id, time and body.
fn signature(secret: &str, id: &str, at: i64, body: &str) -> String {
    let encoded = secret.strip_prefix("whsec_");
    let key = encoded.and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
    let mac = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &key),
        format!("{id}.{at}.{body}").as_bytes(),
    );
    format!("v1,{}", BASE64.encode(mac.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::signature;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
