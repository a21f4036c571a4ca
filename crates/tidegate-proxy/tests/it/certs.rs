//! Certificates of an authority of our own, and clients that trust it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tidegate_proxy::wire::{Certificate, Tls};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority, and the files of what it signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) directory: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Signs a certificate for these names into `name.pem` and `name.key`, each put in place
    /// whole.
    pub(crate) fn sign(&self, name: &str, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        // Another name than its issuer's, or OpenSSL takes it for self-signed.
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (chain, key_file) =
            (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        replace(&chain, &certificate.pem());
        replace(&key_file, &key.serialize_pem());
        Certificate::Files {
            chain: chain.to_str().unwrap().to_owned(),
            key: key_file.to_str().unwrap().to_owned(),
        }
    }

    /// TLS with one certificate for `names`.
    pub(crate) fn tls(&self, name: &str, names: &[&str]) -> Tls {
        Tls { certificates: vec![self.sign(name, names)], redirect_from: None }
    }

    /// The authority's own certificate, for programs that want a file.
    pub(crate) fn root(&self) -> PathBuf {
        let path = self.path("root.crt");
        replace(&path, &self.issuer.pem());
        path
    }

    /// Connects as a client that trusts the authority.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(TcpStream::connect(address).await?, name, alpn).await
    }

    pub(crate) async fn handshake(
        &self,
        socket: TcpStream,
        name: &str,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        handshake(roots, socket, name, alpn).await
    }

    /// Connects as a client that trusts somebody else.
    pub(crate) async fn trusting(
        roots: RootCertStore,
        address: SocketAddr,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        handshake(roots, TcpStream::connect(address).await?, name, &[]).await
    }
}

async fn handshake(
    roots: RootCertStore,
    socket: TcpStream,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

pub(crate) fn replace(path: &Path, content: &str) {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, content).unwrap();
    std::fs::rename(&fresh, path).unwrap();
}

/// A root store with the one certificate of a PEM file.
pub(crate) fn roots(path: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
    roots
}

/// The certificate that the other side showed.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].to_vec()
}
