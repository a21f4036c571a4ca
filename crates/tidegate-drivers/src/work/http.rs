//! The step that is one HTTP request.
//! Must never call a request sent whose connection failed, nor one unsent whose answer was lost.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, Method, redirect};
use tidegate_core::plan::{CustomStep, Work};
use tidegate_core::state::Given;

use super::Ended;
use crate::text;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Sends it once.
pub(super) async fn send(step: &CustomStep) -> Ended {
    let Work::Http { method, url, headers, body, status, contains } = &step.work else {
        return Ended::not_done("it is no request");
    };
    let limit: Duration = step.timeout.try_into().unwrap_or(Duration::ZERO);
    let client = Client::builder().redirect(redirect::Policy::none()).timeout(limit).build();
    let (client, method) = match (client, Method::from_bytes(method.as_bytes())) {
        (Ok(client), Ok(method)) => (client, method),
        (Err(error), _) => return Ended::not_done(&format!("no request can be made: {error}")),
        (_, Err(error)) => return Ended::not_done(&error.to_string()),
    };
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request.body(body.clone());
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) if error.is_builder() || error.is_connect() => {
            let why = reason(&error);
            return Ended { retryable: true, ..Ended::failed(format!("{why} [TG6610]")) };
        }
        Err(error) => return Ended::lost(format!("no answer: {} [TG6610]", reason(&error))),
    };
    let found = answer.status();
    let fits = match status.as_slice() {
        [] => found.is_success(),
        wanted => wanted.contains(&found.as_u16()),
    };
    let mut bytes = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(Ok(piece)) = stream.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_BYTES_MAX {
            bytes.truncate(ANSWER_BYTES_MAX);
            break;
        }
    }
    let said = text::last_line(&bytes).unwrap_or_default();
    if !fits {
        return Ended::failed(format!("it was answered {found}: {said} [TG6610]"));
    }
    let shown = String::from_utf8_lossy(&bytes);
    match contains {
        Some(wanted) if !shown.contains(wanted.as_str()) => {
            let wanted = text::printable(wanted, text::EXCERPT_CHARS_MAX);
            Ended::failed(format!("`{wanted}` is not in the answer {found}: {said} [TG6610]"))
        }
        _ => Ended::passed(format!("it was answered {found}"), Given::default()),
    }
}

/// The innermost reason, which names the address and not the library.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    text::printable(&inner.to_string(), text::EXCERPT_CHARS_MAX)
}
