//! The server's certificate: read from two files, and read again when they change.
//! Must never put one that does not fit in the place of one that serves.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

/// Largest PEM file, bytes: a chain of ten certificates is about 20 kB.
const PEM_BYTES_MAX: u64 = 256 * 1024;
/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where a certificate is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// The chain, PEM, the server's own first.
    pub(crate) certificate: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
}

/// What tells whether files changed: inode, length and time of each.
type Stamp = [(u64, u64, i64, i64); 2];

/// The certificate that serves now.
#[derive(Debug)]
pub(super) struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Files {
    /// The certificate and what makes TLS of it.
    ///
    /// # Errors
    /// What is wrong with which file; nothing of a key is in it.
    pub(super) fn open(&self) -> Result<(ServerConfig, Arc<Current>), String> {
        let current = Arc::new(Current(RwLock::new(Arc::new(self.read()?))));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Current>::clone(&current));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((config, current))
    }

    /// Looks for newer files until the server stops. Open connections keep what they have.
    pub(super) async fn renew(self, current: Arc<Current>, stop: CancellationToken) {
        let mut seen = self.stamp();
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _tick = look.tick() => {}
                () = stop.cancelled() => return,
            }
            // While one of the two is being put in place there is nothing to read.
            let Some(stamp) = self.stamp() else { continue };
            if seen == Some(stamp) {
                continue;
            }
            seen = Some(stamp);
            match self.read() {
                Ok(key) => {
                    *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    tracing::info!(certificate = %self.certificate.display(), "a newer certificate");
                }
                Err(problem) => {
                    tracing::warn!(code = "TG6119", %problem, "the certificate stays as it is");
                }
            }
        }
    }

    fn read(&self) -> Result<CertifiedKey, String> {
        let (chain, key) = (pem(&self.certificate)?, pem(&self.key)?);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|_unsaid| format!("{} is not PEM", self.certificate.display()))?;
        if chain.is_empty() {
            return Err(format!("{} holds no certificate", self.certificate.display()));
        }
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|_unsaid| format!("{} holds no private key", self.key.display()))?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|_unsaid| {
            let (certificate, key) = (self.certificate.display(), self.key.display());
            format!("the key {key} does not belong to the certificate {certificate}")
        })
    }

    fn stamp(&self) -> Option<Stamp> {
        let of = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        Some([of(&self.certificate)?, of(&self.key)?])
    }
}

fn pem(path: &Path) -> Result<Vec<u8>, String> {
    let failed =
        |what: &dyn std::fmt::Display| format!("{} cannot be read: {what}", path.display());
    let file = fs::File::open(path).map_err(|error| failed(&error))?;
    if !file.metadata().map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > PEM_BYTES_MAX {
        return Err(failed(&"it is larger than any certificate"));
    }
    Ok(bytes)
}
