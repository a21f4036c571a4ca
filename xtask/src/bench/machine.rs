//! What this machine is and how fast it is at this moment: a figure means nothing without it.
//! Must never compare two machines.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::hint::black_box;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::sample::{Sample, figure};

/// Writes that are made durable to know the disk.
const SYNCS: usize = 200;
/// Bytes of each: a page of a database.
const PAGE: [u8; 4096] = [0x5a; 4096];
/// How long one thread counts to know how much of a core is to be had.
const SPIN: Duration = Duration::from_millis(300);
/// Steps between two looks at the clock.
const SPIN_STEPS: u32 = 10_000;

/// The machine before a benchmark.
#[derive(Debug)]
pub(crate) struct Machine {
    cores: usize,
    system: String,
    load: String,
    date: String,
    commit: String,
    sync_us: Sample,
    spin: f64,
}

impl Machine {
    /// Looks at the machine and at the disk of a directory.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) fn look(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            system: read("/proc/sys/kernel/osrelease"),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            date: said("date", &["-u", "+%Y-%m-%d"]),
            commit: said("git", &["rev-parse", "--short=10", "HEAD"]),
            sync_us: syncs(dir).context("the disk cannot be measured")?,
            spin: spin(),
        })
    }

    /// Median time of an fdatasync after a page was written, microseconds.
    pub(crate) fn sync_us(&self) -> f64 {
        self.sync_us.median()
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, system, load, date, commit, sync_us, spin } = self;
        write!(
            f,
            "{date}, commit {commit}, {cores} shared cores, Linux {system}, load {load} before \
             it began; fdatasync of 4 KiB p50 {} µs, p99 {} µs; spin score {} million steps a \
             second on one core.",
            figure(sync_us.median()),
            figure(sync_us.quantile(0.99)),
            figure(*spin)
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// What a command says, or that it says nothing: a label, never a reason to stop.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let text = output.filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(
        || "unknown".to_owned(),
        |text| String::from_utf8_lossy(&text).trim().to_owned(),
    )
}

/// Microseconds that pages took to be durable, each in its own place of a file that has its size
/// and its blocks before, as the log of a database has after its first round.
fn syncs(dir: &Path) -> std::io::Result<Sample> {
    let path = dir.join(format!("sync-{}", std::process::id()));
    let mut file = OpenOptions::new().create_new(true).write(true).open(&path)?;
    for _ in 0..SYNCS {
        file.write_all(&PAGE)?;
    }
    file.sync_all()?;
    file.rewind()?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    Ok(Sample::of(took))
}

/// Million steps a second of one thread that does nothing but count.
fn spin() -> f64 {
    let began = Instant::now();
    let mut steps = 0.0;
    while began.elapsed() < SPIN {
        for step in 0..SPIN_STEPS {
            black_box(step);
        }
        steps += f64::from(SPIN_STEPS);
    }
    steps / began.elapsed().as_secs_f64() / 1e6
}
