//! What a server knows of the network around it: how browsers reach it, what stands in front and is
//! believed, and how often anybody may ask. Must never believe a header of a stranger.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

/// Sign-ins, set-ups and confirmations of one address at once, and one more each that many seconds.
const SIGN_INS: NonZeroU32 = NonZeroU32::new(20).unwrap();
const SIGN_IN_SECONDS: u64 = 6;
/// Requests of one principal at once, and each second: a page that looks at ten deployments asks
/// for some dozens.
const REQUESTS: NonZeroU32 = NonZeroU32::new(600).unwrap();
const REQUESTS_EACH_SECOND: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Callers that are counted at a time; beyond it those that may ask freely are forgotten first.
const CALLERS_MAX: usize = 20_000;

/// A reverse proxy that ends TLS in front.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behind {
    /// Networks it connects from. Whoever else connects without TLS is refused.
    pub(crate) from: Vec<IpNet>,
}

impl Behind {
    /// Whether a peer is what stands in front.
    pub(crate) fn includes(&self, peer: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(&peer.to_canonical()))
    }
}

/// Where a request comes from, and whether TLS protects its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct From {
    /// The client.
    pub(super) address: IpAddr,
    /// Whether TLS protects the way from the browser.
    pub(super) encrypted: bool,
}

/// Reads what somebody who is believed said of a request.
pub(super) fn told(headers: &HeaderMap, peer: IpAddr, behind: &Behind) -> From {
    let last = |name: &str| {
        let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        Some(line.rsplit(',').next()?.trim().to_owned())
    };
    // The nearest one vouches for its own client only; what stands further left may be made up.
    let address = last("x-forwarded-for")
        .and_then(|address| address.parse::<IpAddr>().ok())
        .filter(|_address| behind.includes(peer));
    let encrypted = behind.includes(peer) && last("x-forwarded-proto").as_deref() == Some("https");
    From { address: address.unwrap_or(peer).to_canonical(), encrypted }
}

/// Whether a server without TLS of its own is meant by this `Host`: a name that another site lets
/// point here (DNS rebinding) is not.
pub(super) fn is_meant(headers: &HeaderMap, url: Option<&str>) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let ours = url.and_then(|url| url.split("://").nth(1));
    if ours == Some(host) {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

/// How often anybody may ask.
pub(crate) struct Limits {
    sign_ins: DefaultKeyedRateLimiter<IpAddr>,
    requests: DefaultKeyedRateLimiter<String>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        let each = Duration::from_secs(SIGN_IN_SECONDS);
        let sign_ins = Quota::with_period(each).unwrap_or(Quota::per_minute(SIGN_INS));
        Self {
            sign_ins: RateLimiter::keyed(sign_ins.allow_burst(SIGN_INS)),
            requests: RateLimiter::keyed(
                Quota::per_second(REQUESTS_EACH_SECOND).allow_burst(REQUESTS),
            ),
        }
    }
}

impl Limits {
    /// Whether an address may try to sign in, or after how long.
    pub(crate) fn sign_in(&self, address: IpAddr) -> Result<(), Duration> {
        ask(&self.sign_ins, &neighbourhood(address))
    }

    /// Whether a principal may ask, or after how long.
    pub(crate) fn request(&self, principal: &str) -> Result<(), Duration> {
        ask(&self.requests, &principal.to_owned())
    }
}

fn ask<K: Clone + Eq + std::hash::Hash>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), Duration> {
    if limiter.len() > CALLERS_MAX {
        // Only those who may ask as often as anybody: a counter that bites is never forgotten.
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
}

/// Whoever has an address of version 6 has at least all 2^64 of its network.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::HeaderMap;

    use super::{Behind, From, Limits, SIGN_INS, is_meant, told};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_stands_in_front_is_believed_and_only_about_its_own_client() {
        let behind = Behind { from: vec!["10.0.0.0/8".parse().unwrap()] };
        let said = headers(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2, 192.0.2.7"),
            ("x-forwarded-proto", "https"),
        ]);
        let from = |address: &str, encrypted| From { address: ip(address), encrypted };
        assert_eq!(told(&said, ip("10.1.1.1"), &behind), from("192.0.2.7", true));
        assert_eq!(told(&said, ip("::ffff:10.1.1.1"), &behind), from("192.0.2.7", true));
        assert_eq!(told(&said, ip("203.0.113.9"), &behind), from("203.0.113.9", false));
        let forged = headers(&[("x-forwarded-proto", "https, http"), ("x-forwarded-for", "odd")]);
        assert_eq!(told(&forged, ip("10.1.1.1"), &behind), from("10.1.1.1", false));
    }

    #[test]
    fn a_name_that_somebody_points_here_is_not_meant() {
        for (host, meant) in [
            ("127.0.0.1:7000", true),
            ("localhost:7000", true),
            ("[::1]:7000", true),
            ("tidegate.example", true),
            ("evil.example", false),
            ("evil.example:7000", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:7000", false),
        ] {
            let told = is_meant(&headers(&[("host", host)]), Some("https://tidegate.example"));
            assert_eq!(told, meant, "{host}");
        }
        assert!(!is_meant(&HeaderMap::new(), None));
    }

    #[test]
    fn an_address_that_guesses_waits_and_its_neighbours_share_the_count() {
        let limits = Limits::default();
        for guess in 0..SIGN_INS.get() {
            assert!(limits.sign_in(ip("2001:db8::1")).is_ok(), "{guess}");
        }
        assert!(limits.sign_in(ip("2001:db8::ffff:1")).unwrap_err().as_secs() < 60);
        assert!(limits.sign_in(ip("2001:db8:0:1::1")).is_ok());
        assert!(limits.sign_in(ip("192.0.2.1")).is_ok());
    }
}
