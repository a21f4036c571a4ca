//! One request of a channel, and what its answer means for another attempt.
//! Must never follow a redirect, repeat a request, or show an address: it may be the secret.

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tidegate_core::message::Delivery;

use crate::probe::http::cause;
use crate::text;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Sends a request once; its answer as JSON, or as a text where it is none.
pub(super) async fn ask(channel: &str, request: RequestBuilder) -> Result<Value, Delivery> {
    let answer = request.send().await.map_err(|error| {
        let why = format!("TG7162: {channel} does not answer: {}", cause(&error.without_url()));
        Delivery::Refused { why, retryable: true, after: None }
    })?;
    let (status, after) = (answer.status(), retry_after(answer.headers(), Timestamp::now()));
    let mut bytes = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(Ok(piece)) = stream.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() >= ANSWER_BYTES_MAX {
            bytes.truncate(ANSWER_BYTES_MAX);
            break;
        }
    }
    if status.is_success() {
        let shown = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        return Ok(serde_json::from_slice(&bytes).unwrap_or_else(|_not_json| shown()));
    }
    let said = text::last_line(&bytes).unwrap_or_default();
    let why = format!("TG7161: {channel} answered {status}: {said}");
    Err(Delivery::Refused { why, retryable: may_change(status), after })
}

/// Whether the same request may be taken later.
fn may_change(status: StatusCode) -> bool {
    // 420 is what some say for too many.
    status.is_server_error() || matches!(status.as_u16(), 408 | 420 | 425 | 429)
}

/// How long the receiver asks to be left alone: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(SignedDuration::from_secs(seconds.into()));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(at.duration_since(now)).filter(SignedDuration::is_positive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_asks_for_seconds_or_for_a_date() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        assert_eq!(asked("30"), Some(30));
        assert_eq!(asked("Sun, 01 Mar 2026 10:02:00 GMT"), Some(120));
        assert_eq!(asked("Sun, 01 Mar 2026 09:00:00 GMT"), None);
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        for (status, again) in [(400, false), (404, false), (429, true), (500, true), (503, true)] {
            assert_eq!(may_change(StatusCode::from_u16(status).unwrap()), again, "{status}");
        }
    }
}
