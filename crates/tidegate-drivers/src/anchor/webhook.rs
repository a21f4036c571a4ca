//! Checkpoints to a URL: a POST of JSON, taken when the answer is a success.
//!
//! It needs to reach the URL and reads nothing back, so there is nothing to undo by hand. It must
//! never follow a redirect: the checkpoint would be somebody else's.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::json;
use tidegate_engine::ports::{Anchor, Failure};

/// Longest wait for the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A URL.
#[derive(Debug)]
pub struct WebhookAnchor {
    name: String,
    url: String,
    log: String,
    http: Result<Client, String>,
}

impl WebhookAnchor {
    /// The URL that gets checkpoints of a log; connects to nothing yet.
    #[must_use]
    pub fn new(url: &str, log: &str) -> Self {
        let http = Client::builder().redirect(Policy::none()).timeout(ANSWER_WITHIN).build();
        // A query may hold a secret.
        let shown = url.split('?').next().unwrap_or_default();
        Self {
            name: format!("webhook {shown}"),
            url: url.to_owned(),
            log: log.to_owned(),
            http: http.map_err(|error| error.to_string()),
        }
    }
}

#[async_trait]
impl Anchor for WebhookAnchor {
    fn name(&self) -> &str {
        &self.name
    }

    fn outside(&self) -> bool {
        true
    }

    async fn put(&self, note: &str) -> Result<(), Failure> {
        let failed = |what: String| Failure::retryable("TG6203", what);
        let http = self.http.as_ref().map_err(|error| failed(error.clone()))?;
        let body = json!({"type": "tidegate.checkpoint.v1", "log": self.log, "note": note});
        let answer = http.post(&self.url).json(&body).send().await;
        let answer = answer.map_err(|error| {
            failed(format!("the webhook does not answer: {}", error.without_url()))
        })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(failed(format!("the webhook answered {status}"))),
        }
    }

    async fn newest(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}
