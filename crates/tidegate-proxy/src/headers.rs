//! What is taken off and put on messages on their way through. A stranger's claims about who
//! they are never reach an application, and what belongs to one connection never crosses it.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};

use crate::forward::Origin;
use crate::validate::TRAILERS_REFUSED;

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
    let name = name.as_str().as_bytes();
    let begins = |with: &[u8]| {
        let same =
            |(ours, theirs): (&u8, &u8)| ours == theirs || (*ours == b'-' && *theirs == b'_');
        name.len() >= with.len() && with.iter().zip(name).all(same)
    };
    let is = |whole: &[u8]| name.len() == whole.len() && begins(whole);
    begins(b"x-forwarded-") || begins(b"x-tidegate-") || is(b"forwarded") || is(b"x-real-ip")
}

/// Takes off what a request must not end with: what would change how it was framed, routed or
/// allowed, and what only we may say.
pub(crate) fn trailers_to_upstream(trailers: &mut HeaderMap) {
    let refused =
        |name: &HeaderName| is_ours(name) || TRAILERS_REFUSED.contains(&name.as_str().as_bytes());
    let odd: Vec<HeaderName> = trailers.keys().filter(|name| refused(name)).cloned().collect();
    for name in odd {
        trailers.remove(name);
    }
}

/// Turns a client's head into the head for an endpoint. `tunnel` is the protocol of an upgrade
/// request that may become a tunnel.
pub(crate) fn to_upstream(
    headers: &mut HeaderMap,
    origin: Origin,
    scheme: &'static str,
    host: &HeaderValue,
    tunnel: Option<HeaderValue>,
) {
    let wants_trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|word| word.trim() == "trailers"))
    });
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    let told = if origin.forwards { Told::take(headers) } else { Told::default() };
    let strangers: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in strangers {
        headers.remove(name);
    }
    headers.insert(HOST, host.clone());
    forward(headers, origin, scheme, host, told);
    if let Some(protocol) = tunnel {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    } else if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// The client that the nearest one of those who are believed has seen.
pub(crate) fn told(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(&X_FORWARDED_FOR).into_iter().next_back()?.to_str().ok()?;
    let nearest = last.rsplit(',').next()?.trim();
    nearest.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// What somebody who is believed said about where a request comes from.
#[derive(Default)]
struct Told {
    chain: Option<String>,
    forwarded: Option<String>,
    proto: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Told {
    fn take(headers: &HeaderMap) -> Self {
        let joined = |name: &HeaderName| {
            let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
            let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
            (!lines.is_empty()).then(|| lines.join(", "))
        };
        let proto = headers.get(&X_FORWARDED_PROTO).cloned();
        Self {
            chain: joined(&X_FORWARDED_FOR),
            forwarded: joined(&FORWARDED),
            proto: proto.filter(|proto| matches!(proto.as_bytes(), b"http" | b"https")),
            host: headers.get(&X_FORWARDED_HOST).cloned(),
        }
    }
}

/// Says where a request comes from: by us alone, or added to what was told.
fn forward(
    headers: &mut HeaderMap,
    origin: Origin,
    scheme: &'static str,
    host: &HeaderValue,
    told: Told,
) {
    let address = origin.address.ip().to_canonical();
    let after = |told: Option<String>, ours: String| match told {
        Some(told) => format!("{told}, {ours}"),
        None => ours,
    };
    if let Ok(value) = HeaderValue::try_from(after(told.chain, address.to_string())) {
        headers.insert(X_FORWARDED_FOR.clone(), value);
    }
    let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
    let name = host.to_str().unwrap_or_default();
    let element = format!("for={node};host=\"{name}\";proto={scheme}");
    if let Ok(value) = HeaderValue::try_from(after(told.forwarded, element)) {
        headers.insert(FORWARDED, value);
    }
    let host = told.host.unwrap_or_else(|| host.clone());
    headers.insert(X_FORWARDED_HOST.clone(), host);
    let proto = told.proto.unwrap_or_else(|| HeaderValue::from_static(scheme));
    headers.insert(X_FORWARDED_PROTO.clone(), proto);
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

    fn origin(forwards: bool) -> Origin {
        Origin { address: "[::ffff:10.0.0.9]:4711".parse().unwrap(), forwards }
    }

    #[test]
    fn who_is_believed_is_added_to() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("x_forwarded_for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "www.example"),
            ("forwarded", "for=1.2.3.4"),
            ("x-tidegate-revision", "v9"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let host = HeaderValue::from_static("shop.example");
        to_upstream(&mut headers, origin(true), "http", &host, None);
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 5.6.7.8, 10.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "www.example");
        let element = "for=1.2.3.4, for=10.0.0.9;host=\"shop.example\";proto=http";
        assert_eq!(headers["forwarded"], element);
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn trailers_say_nothing_that_belongs_in_a_head() {
        let mut trailers = HeaderMap::new();
        for name in ["host", "x-forwarded-for", "x_forwarded_for", "grpc-status", "authorization"] {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        trailers_to_upstream(&mut trailers);
        assert_eq!(trailers.len(), 1);
        assert!(trailers.contains_key("grpc-status"));
    }

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
        let host = HeaderValue::from_static("shop.example");
        to_upstream(&mut headers, origin(false), "http", &host, None);
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
