//! A certificate and its key from PEM, checked against each other before anybody sees them.
//! Nothing of a key is ever printed.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Problem;
use super::vault::Vault;
use crate::wire::Certificate;

/// Largest PEM file: a chain of ten certificates is about 20 kB.
const PEM_BYTES: u64 = 256 * 1_024;

/// What tells whether files changed: inode, length and time of each.
pub(super) type Stamp = [(u64, u64, i64, i64); 2];

/// A certificate that can serve.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    /// Lower case, without duplicates.
    pub(super) names: Vec<String>,
    /// From and to, milliseconds since 1970.
    pub(super) life: (u64, u64),
    pub(super) stamp: Option<Stamp>,
}

/// Reads a certificate from where it is kept.
pub(super) fn read(certificate: &Certificate, vault: &Vault) -> Result<Loaded, Problem> {
    match certificate {
        Certificate::Files { chain, key } => {
            // Taken before the files are read: a change in between is seen at the next look.
            let stamp = stamp(chain, key);
            let pems = [pem(chain)?, pem(key)?];
            let mut loaded = parse(&pems[0], &pems[1], chain, key)?;
            loaded.stamp = stamp;
            Ok(loaded)
        }
        Certificate::Acme(acme) => {
            let path = vault.certificate(acme).display().to_string();
            let both = pem(&path)?;
            parse(&both, &both, &path, &path)
        }
    }
}

/// `None` while one of the files is missing.
pub(super) fn stamp(chain: &str, key: &str) -> Option<Stamp> {
    let of = |path: &str| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    Some([of(chain)?, of(key)?])
}

fn pem(path: &str) -> Result<Vec<u8>, Problem> {
    let failed = |source| Problem::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("not a plain file")));
    }
    let mut bytes = Vec::new();
    file.take(PEM_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > PEM_BYTES {
        return Err(failed(std::io::Error::other("larger than any certificate")));
    }
    Ok(bytes)
}

fn parse(chain: &[u8], key: &[u8], chain_path: &str, key_path: &str) -> Result<Loaded, Problem> {
    let no_chain = || Problem::Pem { path: chain_path.to_owned(), what: "a certificate" };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_unsaid| no_chain())?;
    let leaf = certificates.first().ok_or_else(no_chain)?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_unsaid| no_chain())?;
    let names = dns_names(&parsed);
    if names.is_empty() {
        return Err(Problem::Nameless { path: chain_path.to_owned() });
    }
    let ms = |time: x509_parser::time::ASN1Time| {
        u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1_000)
    };
    let life = (ms(parsed.validity().not_before), ms(parsed.validity().not_after));
    let private = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_unsaid| Problem::Pem { path: key_path.to_owned(), what: "a private key" })?;
    let mismatch = || Problem::Mismatch { chain: chain_path.to_owned(), key: key_path.to_owned() };
    let key = CertifiedKey::from_der(certificates.clone(), private, &aws_lc_rs::default_provider())
        .map_err(|_unsaid| mismatch())?;
    Ok(Loaded { key: Arc::new(key), names, life, stamp: None })
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}
