//! Where accounts and certificates from ACME servers are kept: files that only their owner may
//! read, each replaced whole and durable before it is used.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::wire::Acme;

/// The directory of secrets.
#[derive(Debug)]
pub(super) struct Vault(PathBuf);

impl Vault {
    /// Touches nothing yet: a proxy without ACME needs no such directory.
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Chain and key of one set of names, as one PEM file.
    pub(super) fn certificate(&self, acme: &Acme) -> PathBuf {
        let mut hash = Sha256::new().chain_update(&acme.directory);
        for name in &acme.names {
            hash = hash.chain_update([0]).chain_update(name);
        }
        self.0.join(format!("certificate.{}.pem", short(hash)))
    }

    /// The account at one server.
    pub(super) fn account(&self, acme: &Acme) -> PathBuf {
        let hash = Sha256::new()
            .chain_update(&acme.directory)
            .chain_update([0])
            .chain_update(acme.contact.as_deref().unwrap_or_default());
        self.0.join(format!("account.{}.json", short(hash)))
    }

    /// Replaces a file whole.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let fresh = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        // failpoint: vault.rename.before
        fs::rename(&fresh, path)?;
        // failpoint: vault.rename.after
        fs::File::open(&self.0)?.sync_all()
    }
}

fn short(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
