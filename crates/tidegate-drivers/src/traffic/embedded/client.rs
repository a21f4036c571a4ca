//! JSON over HTTP on the proxy's socket. Must never wait longer than its limit.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_engine::ports::{Failure, FailureKind};
use tidegate_proxy::wire;

use crate::probe::http;
use crate::text;

/// The proxy answers from memory; a table is made durable before its answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer read, in bytes: 600 ticks of 16 revisions with full histograms stay below.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The socket decides where a request goes; the URL only needs a host.
const BASE: &str = "http://proxy";

/// One proxy.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    http: Result<reqwest::Client, String>,
}

impl Client {
    /// A client of that socket.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self::with_timeout(socket, TIMEOUT)
    }

    /// A client that waits no longer than this.
    pub(crate) fn with_timeout(socket: PathBuf, timeout: Duration) -> Self {
        let http = reqwest::Client::builder()
            .unix_socket(socket.as_path())
            .redirect(Policy::none())
            .timeout(timeout)
            // The proxy may be another process by the next question.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| error.to_string());
        Self { socket, http }
    }

    /// Reads.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.send(self.http()?.get(format!("{BASE}{path}")).query(query)).await
    }

    /// Puts.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(self.http()?.put(format!("{BASE}{path}")).json(body)).await
    }

    /// Posts.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(self.http()?.post(format!("{BASE}{path}")).json(body)).await
    }

    fn http(&self) -> Result<&reqwest::Client, Failure> {
        self.http.as_ref().map_err(|error| Failure::permanent("TG5901", error))
    }

    /// Asks for text.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let silent = |error: &reqwest::Error| {
            let what = format!("the proxy at {}: {}", self.socket.display(), http::cause(error));
            Failure::retryable("TG5901", what)
        };
        let asked = self.http()?.get(format!("{BASE}{path}")).send().await;
        let response = asked.map_err(|error| silent(&error))?;
        let body = http::read(response, ANSWER_BYTES_MAX).await.map_err(|error| silent(&error))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Failure> {
        let silent = |error: &reqwest::Error| {
            let what = format!("the proxy at {}: {}", self.socket.display(), http::cause(error));
            Failure::retryable("TG5901", what)
        };
        let response = request.send().await.map_err(|error| silent(&error))?;
        let fine = response.status() == reqwest::StatusCode::OK;
        let body = http::read(response, ANSWER_BYTES_MAX).await.map_err(|error| silent(&error))?;
        let unread = |error: serde_json::Error| {
            let start = text::printable(&String::from_utf8_lossy(&body), 80);
            Failure::retryable("TG5902", format!("the proxy answered `{start}`: {error}"))
        };
        if fine {
            return serde_json::from_slice(&body).map_err(unread);
        }
        let refusal: wire::Refusal = serde_json::from_slice(&body).map_err(unread)?;
        Err(refused(&refusal))
    }
}

/// A refusal of the proxy as a failure, with the proxy's own code.
pub(crate) fn refused(refusal: &wire::Refusal) -> Failure {
    let (kind, code) = match refusal.code.as_str() {
        "TG5001" => (FailureKind::Permanent, "TG5001"),
        "TG5002" => (FailureKind::Conflict, "TG5002"),
        "TG5003" => (FailureKind::Conflict, "TG5003"),
        "TG5004" => (FailureKind::Permanent, "TG5004"),
        "TG5005" => (FailureKind::Conflict, "TG5005"),
        "TG5006" => (FailureKind::Retryable, "TG5006"),
        "TG5007" => (FailureKind::Retryable, "TG5007"),
        "TG5008" => (FailureKind::Permanent, "TG5008"),
        "TG5009" => (FailureKind::Permanent, "TG5009"),
        "TG5010" => (FailureKind::Permanent, "TG5010"),
        "TG5011" => (FailureKind::Conflict, "TG5011"),
        "TG5012" => (FailureKind::Retryable, "TG5012"),
        "TG5013" => (FailureKind::Permanent, "TG5013"),
        "TG5016" => (FailureKind::Conflict, "TG5016"),
        "TG5017" => (FailureKind::Permanent, "TG5017"),
        "TG5018" => (FailureKind::Permanent, "TG5018"),
        "TG5060" => (FailureKind::Permanent, "TG5060"),
        // Files that are not there yet may come.
        "TG5061" => (FailureKind::Retryable, "TG5061"),
        "TG5040" => (FailureKind::Retryable, "TG5040"),
        // A newer proxy may have reasons that this server does not know.
        _ => (FailureKind::Permanent, "TG5902"),
    };
    let what = text::printable(&refusal.reason, 2 * text::EXCERPT_CHARS_MAX);
    let what = if code == "TG5902" { format!("{what} ({})", refusal.code) } else { what };
    Failure { kind, code, what }
}
