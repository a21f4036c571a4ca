//! The question how long a served certificate is still valid, and for which name.
//!
//! Only dates and names are checked, and that the server holds the key. Whether anybody signed the
//! certificate is not: a candidate may serve one of a private authority that this machine does not
//! know. Must never be used to decide whom to trust.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Answer;

const SECONDS_A_DAY: i64 = 86_400;

/// A client that looks at a certificate without trusting it.
pub(super) fn client() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let onlooker = Arc::new(Onlooker(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error} [TG4104]"))?
        .dangerous()
        .with_custom_certificate_verifier(onlooker)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Shakes hands and looks at the certificate.
pub(super) async fn ask(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
    days_left: u32,
) -> Answer {
    let server = ServerName::try_from(name.to_owned())
        .map_err(|_odd| format!("`{name}` is not the name of a server [TG4104]"))?;
    let no_hands = |error: std::io::Error| {
        format!("expected a TLS handshake for {name}, found: {error} [TG4104]")
    };
    let stream = TcpStream::connect(address).await.map_err(no_hands)?;
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(server, stream).await.map_err(no_hands)?;
    let (_, connection) = stream.get_ref();
    let Some(certificate) = connection.peer_certificates().and_then(|chain| chain.first()) else {
        return Err(format!("expected a certificate for {name}, found none [TG4104]"));
    };
    check(certificate, name, days_left, Timestamp::now())
}

fn check(der: &[u8], name: &str, days_left: u32, now: Timestamp) -> Answer {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| format!("the certificate cannot be read: {error} [TG4104]"))?;
    let names = names(&certificate);
    if !names.iter().any(|pattern| matches(pattern, name)) {
        let names = crate::text::printable(&names.join(", "), crate::text::EXCERPT_CHARS_MAX);
        return Err(format!("expected a certificate for {name}, found one for {names} [TG4104]"));
    }
    let validity = certificate.validity();
    let now = now.as_second();
    if now < validity.not_before.timestamp() {
        let from = validity.not_before;
        return Err(format!("the certificate for {name} is valid from {from} only [TG4104]"));
    }
    let left = (validity.not_after.timestamp() - now).div_euclid(SECONDS_A_DAY);
    if left > i64::from(days_left) {
        return Ok(());
    }
    let until = validity.not_after;
    Err(format!(
        "expected more than {days_left} days left for {name}, found {left} (until {until}) [TG4104]"
    ))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let named = alternative.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => Some(std::net::Ipv4Addr::from(four).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|sixteen| std::net::Ipv6Addr::from(sixteen).to_string()),
        },
        _ => None,
    });
    named.collect()
}

// A star stands for exactly one leftmost label, as browsers have it.
fn matches(pattern: &str, name: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("*.") {
        return name
            .split_once('.')
            .is_some_and(|(first, parent)| !first.is_empty() && parent.eq_ignore_ascii_case(rest));
    }
    pattern.eq_ignore_ascii_case(name)
}

// Accepts every certificate, but checks that the server holds its key.
#[derive(Debug)]
struct Onlooker(Arc<CryptoProvider>);

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_one_label() {
        assert!(matches("*.shop.example", "www.shop.example"));
        assert!(matches("SHOP.example", "shop.example"));
        for name in ["shop.example", "a.b.shop.example", ".shop.example", "evilshop.example"] {
            assert!(!matches("*.shop.example", name), "{name}");
        }
    }
}
