//! What is taken off and put on messages on their way through. A stranger's claims about who
//! they are never reach an application, and what belongs to one connection never crosses it.

use std::net::SocketAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Hop-by-hop by definition. `Trailer` is not among them: it announces what the message ends
/// with, and hyper sends only announced trailers on.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes hop-by-hop headers and those that `Connection` names. Framing headers survive being
/// named: a message must not lose its length by a client's wish.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Names only we may set towards an application. An application that folds `_` and `-` together
/// (CGI does) must not take a stranger's `x_forwarded_for` for ours.
fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    name.starts_with("x-forwarded-")
        || name.starts_with("x-tidegate-")
        || name == "forwarded"
        || name == "x-real-ip"
}

/// Turns a client's head into the head for an endpoint. `tunnel` is the protocol of an upgrade
/// request that may become a tunnel.
pub(crate) fn to_upstream(
    headers: &mut HeaderMap,
    client: SocketAddr,
    host: &HeaderValue,
    tunnel: Option<HeaderValue>,
) {
    let wants_trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|word| word.trim() == "trailers"))
    });
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    let strangers: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in strangers {
        headers.remove(name);
    }
    headers.insert(HOST, host.clone());
    let address = client.ip().to_canonical();
    if let Ok(value) = HeaderValue::try_from(address.to_string()) {
        headers.insert(X_FORWARDED_FOR.clone(), value);
    }
    headers.insert(X_FORWARDED_HOST.clone(), host.clone());
    headers.insert(X_FORWARDED_PROTO.clone(), HeaderValue::from_static("http"));
    let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
    let host = host.to_str().unwrap_or_default();
    if let Ok(value) = HeaderValue::try_from(format!("for={node};host=\"{host}\";proto=http")) {
        headers.insert(FORWARDED, value);
    }
    if let Some(protocol) = tunnel {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    } else if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Turns an endpoint's head into the head for the client.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
}

/// The answer 101 keeps exactly the two headers that make it one.
pub(crate) fn to_client_tunnel(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned();
    strip_hop_by_hop(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_claims_are_replaced() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "shop.example"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded-user", "root"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("connection", "close, x-secret, host"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers, deflate"),
            ("accept", "*/*"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let client = "[::ffff:10.0.0.9]:4711".parse().unwrap();
        to_upstream(&mut headers, client, &HeaderValue::from_static("shop.example"), None);
        let mut left: Vec<String> =
            headers.iter().map(|(k, v)| format!("{k}: {}", v.to_str().unwrap())).collect();
        left.sort();
        assert_eq!(
            left,
            [
                "accept: */*",
                "connection: te",
                "forwarded: for=10.0.0.9;host=\"shop.example\";proto=http",
                "host: shop.example",
                "te: trailers",
                "x-forwarded-for: 10.0.0.9",
                "x-forwarded-host: shop.example",
                "x-forwarded-proto: http",
            ]
        );
    }
}
