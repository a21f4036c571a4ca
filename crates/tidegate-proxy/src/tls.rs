//! TLS towards clients: which certificate answers which name on which address, and how a newer
//! one takes its place. A connection keeps what it was opened with; the next handshake gets the
//! newest. A certificate that cannot be read never replaces one that could.

mod acme;
mod load;
mod vault;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::timeout;

use crate::wire::{Certificate, CertificateStatus, Table, Tls};
use load::{Loaded, Stamp};
use vault::Vault;

/// How long the files of a certificate may take to be read: a file system that hangs must not
/// hang the control socket.
const READ_WAIT: Duration = Duration::from_secs(5);
/// Sessions whose keys are kept for a quicker handshake, on each address.
const SESSIONS: usize = 4_096;
/// The protocols offered, best first.
pub(crate) const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate cannot serve. The words say where, never what is in a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path} is not PEM with {what}")]
    Pem { path: String, what: &'static str },
    #[error("{path} has no DNS name in it")]
    Nameless { path: String },
    #[error("the key {key} does not belong to the certificate {chain}, or is of no known kind")]
    Mismatch { chain: String, key: String },
    #[error("the files of a certificate could not be read in time")]
    Late,
    #[error("the ACME server {directory} gave no certificate: {reason}")]
    Acme { directory: String, reason: String },
}

/// One certificate of the tables in force.
#[derive(Debug, Default)]
struct Held {
    loaded: Option<Loaded>,
    problem: Option<String>,
    /// When the files were last seen to change.
    stamp: Option<Stamp>,
}

/// A TLS address.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) config: Arc<ServerConfig>,
    names: Arc<Names>,
}

impl Door {
    /// Whether a connection that was opened for `opened` may carry requests for `host`: it has
    /// the certificate that a connection of its own would get. Clients that name nobody may.
    pub(crate) fn may_carry(&self, opened: Option<&str>, host: &str) -> bool {
        let Some(opened) = opened.filter(|opened| *opened != host) else {
            return true;
        };
        let names = self.names.0.load();
        match (names.find(opened), names.find(host)) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }
}

/// The certificates of one address by the names they are for.
#[derive(Debug, Default)]
struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the star and its dot.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name nobody, as health checks do.
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn add(&mut self, loaded: &Loaded) {
        self.first.get_or_insert_with(|| Arc::clone(&loaded.key));
        for name in &loaded.names {
            let (names, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcards, parent),
                None => (&mut self.exact, name.as_str()),
            };
            names.entry(name.to_owned()).or_insert_with(|| Arc::clone(&loaded.key));
        }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }
}

#[derive(Debug, Default)]
struct Names(ArcSwap<ByName>);

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let names = self.0.load();
        match hello.server_name() {
            Some(name) => names.find(&name.to_ascii_lowercase()).cloned(),
            None => names.first.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// By certificate, so that services that share one share its life.
    held: BTreeMap<Certificate, Held>,
    /// The TLS addresses of the tables in force and what each serves.
    wanted: BTreeMap<std::net::SocketAddr, Vec<Certificate>>,
    doors: HashMap<std::net::SocketAddr, Arc<Door>>,
}

/// All certificates and keys of a proxy.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Held for moments, never across a wait or a read.
    inner: Mutex<Inner>,
    pub(crate) acme: acme::Orders,
    vault: Arc<Vault>,
}

impl Keys {
    /// Keeps what ACME gives below `state`.
    pub(crate) fn new(state: &Path) -> Self {
        let vault = Arc::new(Vault::new(state.join("acme")));
        let acme = acme::Orders::new(Arc::clone(&vault));
        Self { inner: Mutex::default(), acme, vault }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the certificates of tables that were loaded from disk. What cannot be read yet is
    /// tried again with every tick; the other names serve meanwhile.
    pub(crate) fn load_at_start<'a>(&self, tables: impl Iterator<Item = &'a Table>) {
        for certificate in tables.filter_map(|t| t.tls.as_ref()).flat_map(|tls| &tls.certificates) {
            let read = load::read(certificate, &self.vault);
            self.take(certificate, read);
        }
    }

    /// Makes sure that each certificate of a table that wants to come in force can serve.
    ///
    /// # Errors
    /// The first that cannot, while nothing is held for it. One that ACME has not given yet is
    /// none: its name is refused in the handshake until it comes.
    pub(crate) async fn ensure(&self, tls: &Tls) -> Result<(), Problem> {
        for certificate in &tls.certificates {
            let is_held = self.inner().held.get(certificate).is_some_and(|h| h.loaded.is_some());
            if is_held {
                continue;
            }
            match self.read(certificate).await {
                Err(problem) if matches!(certificate, Certificate::Files { .. }) => {
                    return Err(problem);
                }
                read => self.take(certificate, read),
            }
        }
        Ok(())
    }

    async fn read(&self, certificate: &Certificate) -> Result<Loaded, Problem> {
        let (certificate, vault) = (certificate.clone(), Arc::clone(&self.vault));
        let read = tokio::task::spawn_blocking(move || load::read(&certificate, &vault));
        match timeout(READ_WAIT, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) | Err(_) => Err(Problem::Late),
        }
    }

    /// Keeps what was read, or why it was not.
    fn take(&self, certificate: &Certificate, read: Result<Loaded, Problem>) {
        let mut inner = self.inner();
        let held = inner.held.entry(certificate.clone()).or_default();
        match read {
            Ok(loaded) => {
                held.stamp = loaded.stamp;
                held.problem = None;
                held.loaded = Some(loaded);
            }
            Err(problem) => {
                let code = match &problem {
                    Problem::Acme { .. } => "TG5062",
                    _ => "TG5061",
                };
                let waits = matches!(certificate, Certificate::Acme(_)) && code == "TG5061";
                let said = if waits {
                    "it is being ordered".to_owned()
                } else {
                    format!("{problem} [{code}]")
                };
                if held.problem.as_ref() != Some(&said) {
                    tracing::warn!(%problem, code, "a certificate stays as it is");
                }
                held.problem = Some(said);
            }
        }
    }

    /// The addresses in force and their certificates. Gives the doors to open connections by;
    /// an address keeps its door, so that sessions outlive a change of tables.
    pub(crate) fn publish<'a>(
        &self,
        tables: impl Iterator<Item = &'a Table>,
    ) -> HashMap<std::net::SocketAddr, Arc<Door>> {
        let mut wanted: BTreeMap<_, Vec<Certificate>> = BTreeMap::new();
        for table in tables {
            if let Some(tls) = &table.tls {
                wanted.entry(table.listen).or_default().extend(tls.certificates.iter().cloned());
            }
        }
        let mut inner = self.inner();
        let in_use: std::collections::BTreeSet<_> = wanted.values().flatten().cloned().collect();
        inner.held.retain(|certificate, _| in_use.contains(certificate));
        for certificate in in_use {
            inner.held.entry(certificate).or_default();
        }
        inner.doors.retain(|address, _| wanted.contains_key(address));
        inner.wanted = wanted;
        inner.fit();
        inner.doors.clone()
    }

    /// Once a tick: reads what changed on disk, and orders what is due.
    pub(crate) async fn mend(&self) {
        let certificates: Vec<Certificate> = self.inner().held.keys().cloned().collect();
        let mut changed = false;
        for certificate in certificates {
            let (stamp, life) = {
                let inner = self.inner();
                let Some(held) = inner.held.get(&certificate) else { continue };
                (held.stamp, held.loaded.as_ref().map(|loaded| loaded.life))
            };
            let read = match &certificate {
                Certificate::Files { chain, key } => {
                    if load::stamp(chain, key) == stamp && stamp.is_some() {
                        continue;
                    }
                    self.read(&certificate).await
                }
                Certificate::Acme(acme) => match self.acme.look(acme, life) {
                    acme::Look::Nothing => continue,
                    acme::Look::Given => self.read(&certificate).await,
                    acme::Look::Failed(reason) => {
                        let directory = acme.directory.clone();
                        Err(Problem::Acme { directory, reason })
                    }
                },
            };
            changed |= read.is_ok();
            self.take(&certificate, read);
        }
        if changed {
            self.inner().fit();
        }
    }

    /// How the certificates of a table stand.
    pub(crate) fn status(&self, tls: &Tls) -> Vec<CertificateStatus> {
        let inner = self.inner();
        let status = |certificate: &Certificate| {
            let held = inner.held.get(certificate);
            let loaded = held.and_then(|held| held.loaded.as_ref());
            let (source, place) = match certificate {
                Certificate::Files { chain, .. } => ("files", chain),
                Certificate::Acme(acme) => ("acme", &acme.directory),
            };
            CertificateStatus {
                source: source.to_owned(),
                place: place.clone(),
                names: loaded.map(|loaded| loaded.names.clone()).unwrap_or_default(),
                not_after_ms: loaded.map(|loaded| loaded.life.1),
                problem: held.and_then(|held| held.problem.clone()),
            }
        };
        tls.certificates.iter().map(status).collect()
    }
}

impl Inner {
    /// Puts the newest certificates behind the names of each address.
    fn fit(&mut self) {
        for (address, certificates) in &self.wanted {
            let mut names = ByName::default();
            let held = certificates.iter().filter_map(|certificate| self.held.get(certificate));
            for loaded in held.filter_map(|held| held.loaded.as_ref()) {
                names.add(loaded);
            }
            let door = match self.doors.get(address) {
                Some(door) => Arc::clone(door),
                None => match new_door() {
                    Ok(door) => {
                        self.doors.insert(*address, Arc::clone(&door));
                        door
                    }
                    Err(error) => {
                        tracing::error!(%address, %error, "TG5061 cannot set TLS up");
                        continue;
                    }
                },
            };
            door.names.0.store(Arc::new(names));
        }
    }
}

fn new_door() -> Result<Arc<Door>, rustls::Error> {
    let names = Arc::new(Names::default());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&names) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    // Early data can be replayed by whoever saw it: none is taken.
    config.max_early_data_size = 0;
    Ok(Arc::new(Door { config: Arc::new(config), names }))
}
