//! The users of a benchmark, as a process: an open loop at a fixed rate.
//! Must never ask for more than this machine can send: a generator that is late measures itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::Bench;
use super::hits::{self, Hit};
use super::report::{Aim, Report};
use super::running::{Running, pause};

/// How long a rate is tried.
const TRIAL: Duration = Duration::from_secs(3);
/// A generator whose p99 is later than this is too slow for the rate.
const LATE_MS: f64 = 50.0;
/// Below this rate too few requests meet a change for it to say anything.
const RATE_MIN: u64 = 125;

/// A generator that runs.
#[derive(Debug)]
pub(crate) struct Load {
    running: Running,
    file: PathBuf,
}

impl Load {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        bench: &Bench,
        address: SocketAddr,
        rate: u64,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let file = dir.join("hits.txt");
        let mut command = Command::new(bench.product.example("bench_load"));
        command.args([address.to_string(), rate.to_string()]).arg(&file).stdin(Stdio::piped());
        Ok(Self { running: Running::start(&mut command)?, file })
    }

    /// Ends it, waits for every answer, and reads the records.
    ///
    /// # Errors
    /// When it failed.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<Hit>> {
        let status = self.running.end_input()?;
        if !status.success() {
            bail!("bench_load ended with {status}");
        }
        let text = std::fs::read_to_string(&self.file).context("bench_load wrote nothing")?;
        hits::hits(&text)
    }
}

/// The rate that was asked for, halved until the generator keeps it.
///
/// # Errors
/// When a request fails although nothing changes, or no rate can be kept.
pub(crate) fn sustained(bench: &Bench, address: SocketAddr, dir: &Path) -> anyhow::Result<u64> {
    let mut rate = bench.rate;
    loop {
        let load = Load::start(bench, address, rate, dir)?;
        pause(TRIAL);
        let hits = load.finish()?;
        if hits::lateness_ms(&hits).quantile(0.99) <= LATE_MS {
            let failed = hits::failed(&hits);
            if failed > 0 {
                bail!("{failed} of {} requests failed before anything changed", hits.len());
            }
            return Ok(rate);
        }
        if rate / 2 < RATE_MIN {
            bail!("the generator cannot keep {rate} requests a second: the machine is too busy");
        }
        rate /= 2;
    }
}

/// What a report says about its load.
pub(crate) fn describe(report: &mut Report, bench: &Bench, rate: u64, hits: &[Hit]) {
    let late = hits::lateness_ms(hits);
    report.figure("load, open loop, requests/s", "", Aim::None, super::journal::number(rate));
    if rate < bench.rate {
        report.note(format!(
            "{} requests/s were asked for; generator, applications, proxy and whoever else works \
             on these cores could not send more than {rate} in time.",
            bench.rate
        ));
    }
    report.note(format!(
        "{} requests, one in 50 on a fresh connection, each without a cookie, so each is placed \
         anew. The generator sent half of them within {:.2} ms of the intended time, 99 % within \
         {:.1} ms. Latency counts from the intended time.",
        hits.len(),
        late.median(),
        late.quantile(0.99)
    ));
}
