//! The data plane and what it serves, as the API answers.
//! Must never call a certificate good that nobody has read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Proxy;

/// A certificate from files is *ending* below so many days: somebody has to renew it.
const ENDING_DAYS: i64 = 14;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The proxy and every part that it serves.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProxyStatus {
    /// The process, as its supervisor sees it.
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
    /// What it serves at this moment.
    pub(crate) parts: Vec<ServedPart>,
    /// Why that could not be asked.
    pub(crate) unknown: Option<String>,
}

/// One part that the proxy serves.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServedPart {
    /// The service.
    pub(crate) service: String,
    /// Where it runs.
    pub(crate) environment: String,
    /// The part.
    pub(crate) part: String,
    /// Generation of the table in force.
    pub(crate) generation: u64,
    /// False while one of its addresses cannot be bound.
    pub(crate) listening: bool,
    /// False while the newest state is not on disk yet.
    pub(crate) persisted: bool,
    /// Requests in progress.
    pub(crate) in_flight: u64,
    /// Upgraded connections (WebSocket).
    pub(crate) tunnels: u64,
    /// Its certificates; empty without TLS.
    pub(crate) certificates: Vec<Certificate>,
}

/// One certificate as the proxy holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Certificate {
    /// The first of its names, or where it should come from while there is none.
    pub(crate) name: String,
    /// Every DNS name that it is for.
    pub(crate) names: Vec<String>,
    /// `files` or `acme`.
    pub(crate) source: String,
    /// The file of the chain, or the directory of the ACME server.
    pub(crate) place: String,
    /// `valid`, `ending`, `ended` or `missing`.
    pub(crate) state: String,
    /// The end of its life.
    pub(crate) not_after: Option<Timestamp>,
    /// Whole days until then; negative when it is over.
    pub(crate) days_left: Option<i64>,
    /// What stands in the way of a newer one, with its code.
    pub(crate) problem: Option<String>,
}

impl Certificate {
    /// How the proxy's certificate stands at `now`.
    pub(crate) fn new(held: tidegate_proxy::wire::CertificateStatus, now: Timestamp) -> Self {
        let not_after = held.not_after_ms.and_then(|ms| i64::try_from(ms).ok());
        let not_after = not_after.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let days_left =
            not_after.map(|end| (end.as_millisecond() - now.as_millisecond()).div_euclid(DAY_MS));
        let state = match days_left {
            None => "missing",
            Some(..0) => "ended",
            // ACME renews by itself, and says so when it cannot.
            Some(..ENDING_DAYS) if held.source == "files" => "ending",
            Some(_) => "valid",
        };
        Self {
            name: held.names.first().unwrap_or(&held.place).clone(),
            names: held.names,
            source: held.source,
            place: held.place,
            state: state.to_owned(),
            not_after,
            days_left,
            problem: held.problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_called_what_it_is() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        for (source, end, state, days) in [
            ("files", Some("2027-02-23T12:00:00Z"), "valid", Some(90)),
            ("files", Some("2026-12-09T12:00:00Z"), "valid", Some(14)),
            ("files", Some("2026-12-09T11:59:59Z"), "ending", Some(13)),
            ("acme", Some("2026-12-09T11:59:59Z"), "valid", Some(13)),
            ("files", Some("2026-11-25T12:00:01Z"), "ending", Some(0)),
            ("acme", Some("2026-11-25T11:59:59Z"), "ended", Some(-1)),
            ("acme", None, "missing", None),
        ] {
            let end: Option<Timestamp> = end.map(|end| end.parse().unwrap());
            let held = tidegate_proxy::wire::CertificateStatus {
                source: source.to_owned(),
                place: "/etc/ssl/shop.pem".to_owned(),
                names: Vec::new(),
                not_after_ms: end.map(|end| u64::try_from(end.as_millisecond()).unwrap()),
                problem: None,
            };
            let shown = Certificate::new(held, now);
            assert_eq!((shown.state.as_str(), shown.days_left), (state, days), "{source} {end:?}");
            assert_eq!(shown.name, "/etc/ssl/shop.pem");
        }
    }
}
