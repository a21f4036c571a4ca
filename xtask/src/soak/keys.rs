//! Certificates of the soak, made by `openssl`, and a user who comes over TLS with `curl`.
//! Must never take a visit that failed for one that was not made.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};

use super::until;

/// Requests of one visit, all on one connection.
const REQUESTS: usize = 20;
/// The host that the certificates are for.
const HOST: &str = "soak.example";

/// A directory with the certificate that serves.
#[derive(Debug)]
pub(super) struct Keys {
    directory: PathBuf,
    serial: AtomicU64,
}

impl Keys {
    /// Makes the first certificate.
    ///
    /// # Errors
    /// When there is no `openssl`.
    pub(super) fn new(below: &Path) -> anyhow::Result<Self> {
        let directory = below.join("keys");
        std::fs::create_dir(&directory)?;
        let keys = Self { directory, serial: AtomicU64::new(0) };
        keys.sign()?;
        Ok(keys)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Every certificate so far: whoever trusts it is served before and after a change.
    fn trusted(&self) -> PathBuf {
        self.directory.join("all.pem")
    }

    /// Puts another certificate in place and waits until handshakes show it.
    pub(super) fn renew(&self, address: SocketAddr) -> anyhow::Result<()> {
        self.sign()?;
        let newest = self.directory.join("shop.pem");
        until("the newer certificate serves", || visit(address, &newest, 1).ok())
    }

    /// A certificate that vouches for itself, put in place by renaming, the key first: for a
    /// moment the two do not fit, and the proxy must go on with what it has.
    fn sign(&self) -> anyhow::Result<()> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed) + 1;
        let fresh = |name: &str| self.directory.join(format!("{name}.new"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "9", "-subj", &format!("/CN={HOST}")])
            .args(["-set_serial", &serial.to_string()])
            .args(["-addext", &format!("subjectAltName=DNS:{HOST}"), "-keyout"])
            .arg(fresh("shop.key"))
            .arg("-out")
            .arg(fresh("shop.pem"))
            .stderr(Stdio::null())
            .status();
        if !made.context("openssl is missing")?.success() {
            bail!("openssl made no certificate");
        }
        // Known before it is shown, whole: a reader meets the old file or the new one.
        let mut all = std::fs::read(self.trusted()).unwrap_or_default();
        all.extend(std::fs::read(fresh("shop.pem"))?);
        let mut file = std::fs::File::create(fresh("all.pem"))?;
        file.write_all(&all)?;
        for name in ["all.pem", "shop.key", "shop.pem"] {
            std::fs::rename(fresh(name), self.directory.join(name))?;
        }
        Ok(())
    }
}

/// Some requests on one connection over TLS; all of them must be answered 200.
fn visit(address: SocketAddr, trusted: &Path, requests: usize) -> anyhow::Result<()> {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code} "])
        .args(["--resolve", &format!("{HOST}:{}:{}", address.port(), address.ip()), "--cacert"])
        .arg(trusted)
        .arg(format!("https://{HOST}:{}/[1-{requests}]", address.port()))
        .stdin(Stdio::null())
        .output()
        .context("curl is missing")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let good = said.split_whitespace().filter(|code| *code == "200").count();
    if good != requests || !output.status.success() {
        bail!("a visit over TLS: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Somebody who visits again and again.
pub(super) struct TlsUser {
    thread: JoinHandle<anyhow::Result<()>>,
    done: Arc<AtomicBool>,
    visits: Arc<AtomicU64>,
}

impl TlsUser {
    pub(super) fn start(address: SocketAddr, keys: &Keys) -> Self {
        let (done, visits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ends, count, trusted) = (Arc::clone(&done), Arc::clone(&visits), keys.trusted());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                visit(address, &trusted, REQUESTS)?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { thread, done, visits }
    }

    /// Waits for so many more visits.
    pub(super) fn more(&self, count: u64) -> anyhow::Result<()> {
        let least = self.visits.load(Ordering::Relaxed) + count;
        until("a visit over TLS", || {
            let is_over = self.thread.is_finished();
            (is_over || self.visits.load(Ordering::Relaxed) >= least).then_some(())
        })
    }

    pub(super) fn finish(self) -> anyhow::Result<u64> {
        self.done.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(ended) => ended.context("a request over TLS was lost")?,
            Err(_) => bail!("the user over TLS failed"),
        }
        Ok(self.visits.load(Ordering::Relaxed))
    }
}
