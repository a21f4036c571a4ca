//! How users' connections reach a service: certificates, the redirect to HTTPS, what stands in
//! front of the proxy, and what the application speaks. Types and their rules only; no key is
//! ever in here, only where the proxy finds it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::checksum::Canonical;
use super::table::{TableError, TableParts, limits};

pub use ipnet::IpNet;

/// What the instances of a revision speak. Clients may speak something else: the proxy
/// translates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge, RFC 9113 section 3.3. What gRPC servers speak.
    H2c,
}

impl Protocol {
    /// Whether it is what a backend speaks that says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// TLS towards clients. HTTP/2 is offered to all of them by ALPN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Chosen by the name a client asks for (SNI); at least one.
    pub certificates: Vec<Certificate>,
    /// An address without TLS where the same routes answer 308 to HTTPS, and ACME's HTTP-01
    /// challenges are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_from: Option<SocketAddr>,
}

/// Where the proxy has a certificate from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Certificate {
    /// Two PEM files on the proxy's machine. The proxy looks at them once a tick: a renewed
    /// certificate serves the next handshake, and one that cannot be read changes nothing.
    Files {
        /// Absolute path of the chain, leaf first.
        chain: String,
        /// Absolute path of the key.
        key: String,
    },
    /// Ordered from an ACME server (RFC 8555) for the hosts of the service's routes, over
    /// HTTP-01, and renewed when a third of its life is left.
    Acme(Acme),
}

/// An ACME account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// URL of the server's directory, `https://`.
    pub directory: String,
    /// Where the server writes before a certificate ends, `mailto:ops@shop.example`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Absolute path of a PEM file with the root that the server's own certificate is from;
    /// absent for a public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// The names on the certificate, lower case.
    pub names: Vec<String>,
}

/// What stands between clients and the proxy, and is believed about where a client is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behind {
    /// Networks it connects from. Whoever else connects is a stranger.
    pub from: Vec<IpNet>,
    /// How it says where a client is.
    pub speaks: Speaks,
}

impl Behind {
    /// Whether a peer is what stands in front.
    #[must_use]
    pub fn includes(&self, peer: std::net::IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.from.iter().any(|network| network.contains(&peer))
    }
}

/// How a load balancer says where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaks {
    /// By a PROXY protocol header, version 1 or 2, in front of each connection's bytes.
    /// Connections from other places are closed.
    ProxyProtocol,
    /// By `X-Forwarded-For` and its kin in each request; the proxy adds itself to them.
    Forwarded,
}

/// One certificate of a service, as the proxy holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateStatus {
    /// `files` or `acme`.
    pub source: String,
    /// The file of the chain, or the directory of the ACME server.
    pub place: String,
    /// DNS names it is for; empty while there is none.
    pub names: Vec<String>,
    /// End of its life, milliseconds since 1970; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_ms: Option<u64>,
    /// What stands in the way of a newer one, with its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The rules for TLS and for what stands in front.
pub(super) fn check(parts: &TableParts) -> Result<(), TableError> {
    if let Some(tls) = &parts.tls {
        check_tls(parts, tls)?;
    }
    if let Some(behind) = &parts.behind
        && !(1..=limits::NETWORKS).contains(&behind.from.len())
    {
        let (what, found) = ("networks in front of the proxy", behind.from.len());
        return Err(TableError::Count { what, found, least: 1, most: limits::NETWORKS });
    }
    Ok(())
}

fn check_tls(parts: &TableParts, tls: &Tls) -> Result<(), TableError> {
    let found = tls.certificates.len();
    if !(1..=limits::CERTIFICATES).contains(&found) {
        let what = "certificates";
        return Err(TableError::Count { what, found, least: 1, most: limits::CERTIFICATES });
    }
    if let Some(redirect) = tls.redirect_from
        && (redirect.port() == 0 || redirect == parts.listen)
    {
        let rule = "a port of its own, 1 to 65535";
        let found = redirect.to_string();
        return Err(TableError::Range { what: "the redirect to HTTPS", found, rule });
    }
    for certificate in &tls.certificates {
        match certificate {
            Certificate::Files { chain, key } => {
                check_path("certificate file", chain)?;
                check_path("key file", key)?;
            }
            Certificate::Acme(acme) => check_acme(parts, acme)?,
        }
    }
    Ok(())
}

fn check_acme(parts: &TableParts, acme: &Acme) -> Result<(), TableError> {
    let url = |byte: u8| byte.is_ascii_graphic();
    let fits = acme.directory.len() <= limits::TEXT_BYTES && acme.directory.bytes().all(url);
    if !fits || !acme.directory.starts_with("https://") {
        let (value, rule) = (acme.directory.clone(), "begins with https://");
        return Err(TableError::Name { what: "ACME directory", value, rule });
    }
    if let Some(contact) = &acme.contact
        && (contact.len() > limits::TEXT_BYTES || !contact.starts_with("mailto:"))
    {
        let (value, rule) = (contact.clone(), "begins with mailto:");
        return Err(TableError::Name { what: "ACME contact", value, rule });
    }
    if let Some(trust) = &acme.trust {
        check_path("root of the ACME server", trust)?;
    }
    let hosts = || parts.routes.iter().filter_map(|route| route.host.as_ref());
    let found = acme.names.len();
    if !(1..=limits::ROUTES).contains(&found) {
        let what = "names on an ACME certificate";
        return Err(TableError::Count { what, found, least: 1, most: limits::ROUTES });
    }
    match acme.names.iter().find(|name| !hosts().any(|host| host == *name)) {
        None => Ok(()),
        Some(name) => {
            let (value, rule) = (name.clone(), "a host of the service's routes");
            Err(TableError::Name { what: "name on an ACME certificate", value, rule })
        }
    }
}

fn check_path(what: &'static str, path: &str) -> Result<(), TableError> {
    let plain = path.bytes().all(|byte| byte >= b' ' && byte != 0x7f);
    if plain && path.starts_with('/') && path.len() <= limits::TEXT_BYTES {
        return Ok(());
    }
    let value = path.chars().take(limits::NAME_BYTES).collect();
    Err(TableError::Name { what, value, rule: "an absolute path of at most 1024 bytes" })
}

/// Feeds what is not the default, each with its mark: a table that uses none of it keeps the
/// checksum that proxies of earlier releases compute.
pub(super) fn feed(hash: &mut Canonical, parts: &TableParts) {
    for backend in parts.backends.iter().filter(|backend| !backend.protocol.is_default()) {
        hash.text("protocol h2c");
        hash.text(&backend.revision);
    }
    if let Some(tls) = &parts.tls {
        hash.text("tls");
        hash.count(tls.certificates.len());
        for certificate in &tls.certificates {
            feed_certificate(hash, certificate);
        }
        hash.optional(tls.redirect_from, |hash, from| hash.text(&from.to_string()));
    }
    if let Some(behind) = &parts.behind {
        hash.text(match behind.speaks {
            Speaks::ProxyProtocol => "behind proxy protocol",
            Speaks::Forwarded => "behind forwarded",
        });
        hash.count(behind.from.len());
        for network in &behind.from {
            hash.text(&network.to_string());
        }
    }
}

fn feed_certificate(hash: &mut Canonical, certificate: &Certificate) {
    match certificate {
        Certificate::Files { chain, key } => {
            hash.text("files");
            hash.text(chain);
            hash.text(key);
        }
        Certificate::Acme(Acme { directory, contact, trust, names }) => {
            hash.text("acme");
            hash.text(directory);
            hash.optional(contact.as_deref(), Canonical::text);
            hash.optional(trust.as_deref(), Canonical::text);
            hash.count(names.len());
            for name in names {
                hash.text(name);
            }
        }
    }
}
