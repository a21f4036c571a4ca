//! How users' connections reach a part: certificates, the way from HTTP to HTTPS, what stands in
//! front, and what the application speaks. Declarations only; no key is ever in here.

use serde::{Deserialize, Serialize};

/// What an instance speaks on its port. Users may speak something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge, as gRPC servers do.
    H2c,
}

impl Protocol {
    /// Whether it is what a part speaks that says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// TLS towards users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Where the certificate comes from.
    pub certificate: Certificate,
    /// Address and port without TLS from which users are sent to HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_from: Option<String>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// Two PEM files on the machine of the proxy, renewed by somebody else.
    Files {
        /// Absolute path of the chain.
        chain: String,
        /// Absolute path of the key.
        key: String,
    },
    /// Ordered and renewed by the proxy from an ACME server, for the host of the route.
    Acme {
        /// URL of the server's directory.
        directory: String,
        /// Mail address for the server's notices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<String>,
        /// Absolute path of the root that the server's own certificate is from; `None` for a
        /// public one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trust: Option<String>,
    },
}

/// What stands between users and the proxy, and is believed about where a user is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Networks it connects from, `10.0.0.0/8`.
    pub from: Vec<String>,
    /// How it says where a user is.
    pub speaks: Speaks,
}

/// How a load balancer says where a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaks {
    /// By a PROXY protocol header in front of each connection.
    ProxyProtocol,
    /// By `X-Forwarded-For` and its kin in each request.
    Forwarded,
}
