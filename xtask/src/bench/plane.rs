//! A data plane without a control plane: applications, a proxy, and who shifts the traffic.
//! Must never run a proxy that is not the released program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::Bench;
use super::hits::{self, Change};
use super::product::output;
use super::running::{Running, free_addresses, until};

/// A process that listens listens within this.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// Names of the revisions: each with an address of its own.
const NAMES: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Plane {
    /// Where users connect.
    pub(crate) address: SocketAddr,
    revisions: Vec<String>,
    socket: PathBuf,
    shifter: PathBuf,
    proxy: Running,
    _applications: Vec<Running>,
}

impl Plane {
    /// Starts two applications, which share six revisions, and the proxy.
    ///
    /// # Errors
    /// When one does not come up.
    pub(crate) fn start(bench: &Bench, dir: &Path) -> anyhow::Result<Self> {
        let addresses = free_addresses(NAMES.len() + 1)?;
        let (address, addresses) = addresses.split_first().context("no free address")?;
        let revisions: Vec<String> =
            NAMES.iter().zip(addresses).map(|(name, at)| format!("{name}@{at}")).collect();
        // Neighbours of the ring live in different processes.
        let applications = [0, 1].map(|odd| {
            let own = revisions.iter().skip(odd).step_by(2);
            let mut command = Command::new(bench.product.example("bench_echo"));
            Running::start(command.args(own).stdin(Stdio::null()))
        });
        let applications = applications.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        for address in addresses {
            until("an application listens", LISTENS_WITHIN, || {
                std::net::TcpStream::connect(address).ok()
            })?;
        }
        let state = dir.join("state");
        let mut command = Command::new(bench.product.tidegate());
        command.args(["proxy", "run", "--quiet", "--state-dir"]).arg(&state).stdin(Stdio::null());
        let proxy = Running::start(&mut command)?;
        let socket = state.join("proxy.sock");
        until("the proxy's socket opens", LISTENS_WITHIN, || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        })?;
        Ok(Self {
            address: *address,
            revisions,
            socket,
            shifter: bench.product.example("bench_shift"),
            proxy,
            _applications: applications,
        })
    }

    /// Makes so many changes, one each `every_ms`, and says what was done when.
    ///
    /// # Errors
    /// When the proxy refuses one.
    pub(crate) fn shift(
        &self,
        verb: &str,
        count: u64,
        every_ms: u64,
    ) -> anyhow::Result<Vec<Change>> {
        let mut arguments = vec![verb.to_owned(), self.socket.display().to_string()];
        arguments.extend([self.address.to_string(), count.to_string(), every_ms.to_string()]);
        arguments.extend(self.revisions.iter().cloned());
        hits::changes(&output(&self.shifter, &arguments)?)
    }

    /// The proxy's process id.
    pub(crate) fn proxy_pid(&self) -> u32 {
        self.proxy.pid()
    }
}
