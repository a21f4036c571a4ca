//! What is taken off and put on messages on their way through. A stranger's claims about who
//! they are never reach an application, and what belongs to one connection never crosses it.

use std::net::IpAddr;
use std::sync::OnceLock;

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
static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes hop-by-hop headers, those that `Connection` names and those that are `odd`. Framing
/// headers survive being named: a message must not lose its length by a client's wish.
///
/// Most heads have one of them or none, so one look at all names costs less than a search for
/// each.
fn strip(headers: &mut HeaderMap, odd: impl Fn(&HeaderName) -> bool) {
    let goes = |name: &&HeaderName| HOP_BY_HOP.contains(name) || odd(name);
    let mut going: Vec<HeaderName> = headers.keys().filter(goes).cloned().collect();
    if going.contains(&CONNECTION) {
        let lines = headers.get_all(CONNECTION).into_iter();
        let words = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        let words = words.map(str::trim).filter(|word| !matches!(*word, "close" | "keep-alive"));
        let named = words.filter_map(|word| HeaderName::try_from(word).ok());
        going.extend(named.filter(|name| *name != HOST && *name != CONTENT_LENGTH));
    }
    for name in &going {
        headers.remove(name);
    }
}

/// Names only we may set towards an application. An application that folds `_` and `-` together
/// (CGI does) must not take a stranger's `x_forwarded_for` for ours.
fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    if !matches!(name.first(), Some(b'x' | b'f')) {
        return false;
    }
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
    provenance: &Provenance,
    host: HeaderValue,
    tunnel: Option<HeaderValue>,
) {
    let wants_trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|word| word.trim() == "trailers"))
    });
    let told = provenance.is_believed.then(|| Told::take(headers));
    strip(headers, |name| *name == EXPECT || is_ours(name));
    provenance.tell(headers, &host, told);
    if !headers.contains_key(HOST) {
        headers.insert(HOST, host);
    }
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

/// Where the requests of one connection come from, in the words that applications are told.
#[derive(Debug)]
pub(crate) struct Provenance {
    /// The client's address.
    address: HeaderValue,
    /// The same as RFC 7239 has it.
    node: String,
    scheme: &'static str,
    /// What the connection's requests say about it themselves is added to.
    is_believed: bool,
    /// The first host that was asked for, and `Forwarded` with it: nearly always the only one.
    first: OnceLock<(HeaderValue, HeaderValue)>,
}

impl Provenance {
    /// Of a client; `scheme` is `http` or `https`.
    pub(crate) fn new(origin: Origin, scheme: &'static str) -> Self {
        let address = origin.address.ip().to_canonical();
        let words = address.to_string();
        let node = if address.is_ipv6() { format!("\"[{words}]\"") } else { words.clone() };
        // An address has no byte that a header may not have.
        let address = HeaderValue::try_from(words).unwrap_or(HeaderValue::from_static("unknown"));
        let (is_believed, first) = (origin.forwards, OnceLock::new());
        Self { address, node, scheme, is_believed, first }
    }

    /// Says where a request comes from: by us alone, or added to what was told.
    fn tell(&self, headers: &mut HeaderMap, host: &HeaderValue, told: Option<Told>) {
        let Told { chain, forwarded, proto, host: other } = told.unwrap_or_default();
        let added = |told: Option<String>, ours: &HeaderValue| {
            let told = told?;
            HeaderValue::try_from(format!("{told}, {}", ours.to_str().ok()?)).ok()
        };
        let element = self.element(host);
        let element = added(forwarded, &element).unwrap_or(element);
        headers.insert(FORWARDED, element);
        let chain = added(chain, &self.address).unwrap_or_else(|| self.address.clone());
        headers.insert(X_FORWARDED_FOR.clone(), chain);
        headers.insert(X_FORWARDED_HOST.clone(), other.unwrap_or_else(|| host.clone()));
        let proto = proto.unwrap_or_else(|| HeaderValue::from_static(self.scheme));
        headers.insert(X_FORWARDED_PROTO.clone(), proto);
    }

    /// `Forwarded` for a request to this host.
    fn element(&self, host: &HeaderValue) -> HeaderValue {
        let (first, element) = self.first.get_or_init(|| (host.clone(), self.write(host)));
        if first == host { element.clone() } else { self.write(host) }
    }

    fn write(&self, host: &HeaderValue) -> HeaderValue {
        let (node, scheme) = (&self.node, self.scheme);
        let name = host.to_str().unwrap_or_default();
        let element = format!("for={node};host=\"{name}\";proto={scheme}");
        // The validator accepts no host with a byte that a header may not have.
        HeaderValue::try_from(element).unwrap_or(HeaderValue::from_static("for=unknown"))
    }
}

/// Turns an endpoint's head into the head for the client.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    strip(headers, |_| false);
}

/// The answer 101 keeps exactly the two headers that make it one.
pub(crate) fn to_client_tunnel(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned();
    strip(headers, |_| false);
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
        to_upstream(&mut headers, &Provenance::new(origin(true), "http"), host, None);
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
        to_upstream(&mut headers, &Provenance::new(origin(false), "http"), host, None);
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
