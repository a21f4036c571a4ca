//! The question by GET. Must never follow a redirect, use a proxy of the environment, or send the
//! request anywhere but to the address it was given.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use crate::text;

use super::Answer;

/// Longest body looked at, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest excerpt of a body in a message, in characters.
const BODY_CHARS_SHOWN: usize = 80;

/// What the answer must be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// Accepted status codes; empty accepts 200 to 299.
    pub(super) status: &'a [u16],
    /// Headers with exactly these values.
    pub(super) headers: &'a BTreeMap<String, String>,
    /// A text in the body.
    pub(super) body: Option<&'a str>,
    /// Longest time to the whole answer.
    pub(super) within: Option<Duration>,
}

/// A client that goes only where it is sent.
pub(super) fn client() -> Result<Client, String> {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        // A connection kept from an earlier asking says nothing about accepting new ones.
        .pool_max_idle_per_host(0)
        .user_agent("tidegate-probe")
        .build()
        .map_err(|error| format!("the HTTP client could not be made: {error} [TG4101]"))
}

/// The URL of a path at an address; `None` when the path could change the address.
pub(crate) fn url(address: SocketAddr, path: &str) -> Option<Url> {
    let plain = path.starts_with('/') && !path.chars().any(|c| c.is_control() || c == ' ');
    let url = Url::parse(&format!("http://{address}{path}")).ok().filter(|_| plain)?;
    let host: std::net::IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
    (host == address.ip() && url.port_or_known_default() == Some(address.port())).then_some(url)
}

/// Asks and compares.
pub(super) async fn ask(
    client: &Client,
    address: SocketAddr,
    path: &str,
    expected: Expected<'_>,
) -> Answer {
    let Some(url) = url(address, path) else {
        return Err(format!("`{}` is not a path [TG4101]", text::printable(path, 80)));
    };
    let begun = Instant::now();
    let response = client.get(url).send().await.map_err(|error| no_answer(path, &error))?;
    let status = response.status().as_u16();
    let fine = if expected.status.is_empty() {
        (200..300).contains(&status)
    } else {
        expected.status.contains(&status)
    };
    if !fine {
        let wanted: Vec<String> = expected.status.iter().map(ToString::to_string).collect();
        let wanted = if wanted.is_empty() { "200 to 299".to_owned() } else { wanted.join(" or ") };
        return Err(format!("GET {path}: expected status {wanted}, found {status} [TG4101]"));
    }
    for (name, value) in expected.headers {
        let found = response.headers().get(name).and_then(|found| found.to_str().ok());
        if found != Some(value.as_str()) {
            let found = found.map_or_else(
                || "none".to_owned(),
                |found| format!("`{}`", text::printable(found, BODY_CHARS_SHOWN)),
            );
            return Err(format!(
                "GET {path}: expected header {name}: `{value}`, found {found} [TG4101]"
            ));
        }
    }
    let body = read(response, BODY_BYTES_MAX).await.map_err(|error| no_answer(path, &error))?;
    let took = begun.elapsed();
    if let Some(wanted) = expected.body {
        let found = String::from_utf8_lossy(&body);
        if !found.contains(wanted) {
            let found = text::printable(&found, BODY_CHARS_SHOWN);
            return Err(format!(
                "GET {path}: expected a body with `{wanted}`, found `{found}` [TG4101]"
            ));
        }
    }
    match expected.within {
        Some(within) if took > within => Err(format!(
            "GET {path}: expected an answer within {within:?}, found {} ms [TG4101]",
            took.as_millis()
        )),
        _ => Ok(()),
    }
}

/// The first bytes of a body; what comes after them is not waited for.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = max.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..chunk.len().min(room)).unwrap_or_default());
        if body.len() >= max {
            break;
        }
    }
    Ok(body)
}

fn no_answer(path: &str, error: &reqwest::Error) -> String {
    format!("GET {path}: expected an answer, found: {} [TG4101]", cause(error))
}

/// The innermost reason: the outer ones only say that a request failed.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    text::printable(&inner.to_string(), text::EXCERPT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::url;

    #[test]
    fn a_path_never_changes_the_address() {
        let here: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        let here6: SocketAddr = "[::1]:4711".parse().unwrap();
        assert_eq!(url(here, "/health?x=1").unwrap().as_str(), "http://127.0.0.1:4711/health?x=1");
        assert!(url(here6, "/").is_some());
        for odd in ["@evil.example/", "x", "", ":80/", "/a b", "/a\r\nHost: evil", ".evil/"] {
            assert!(url(here, odd).is_none(), "{odd:?}");
        }
        let double = url(here, "//evil.example/x").unwrap();
        assert_eq!(double.host_str(), Some("127.0.0.1"));
    }
}
