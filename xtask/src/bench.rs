//! `cargo xtask bench`: what the product reaches on this machine, each figure beside its aim.
//!
//! It runs what is published, and programs under `examples/bench_*.rs`, as processes, and reads
//! what they print. A figure is the median of several rounds with the spread beside it; the
//! machine's own speed stands above the table. It must never be part of a test: a busy machine is
//! no defect. The method and the last figures are in `docs/benchmarks/`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

mod check;
mod hits;
mod idle;
mod journal;
mod load;
mod machine;
mod pages;
mod plane;
mod product;
mod proxy;
mod report;
mod rivals;
pub(crate) mod rollback;
pub(crate) mod running;
mod safe;
mod sample;
pub(crate) mod service;
mod start;
mod weights;

use machine::Machine;
use product::Product;
use report::Report;

/// What to measure, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which figure.
    #[arg(value_enum)]
    which: Which,
    /// Write the result to docs/benchmarks/ as well.
    #[arg(long)]
    write: bool,
    /// Take the programs as they were built last.
    #[arg(long)]
    no_build: bool,
    /// Where journals and state directories are made; by default in the target directory. Its
    /// disk is what is measured.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Requests a second; halved until this machine can send them.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=20_000))]
    rate: u64,
    /// Of `proxy`: one part of it alone, which is no page.
    #[arg(long, value_enum, conflicts_with = "write")]
    part: Option<proxy::Part>,
    /// Of `time-to-safe`: a few replicas of each family, in two minutes.
    #[arg(long)]
    quick: bool,
    /// Of `time-to-safe`: print the targets as one line of JSON at the end.
    #[arg(long)]
    json: bool,
    /// Of `time-to-safe`: replicas of a cell instead of 1,500; with 0 only what is there is added
    /// up and written.
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    replicas: Option<u64>,
}

/// One benchmark is one file in `bench/`, one variant and one arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// Events a second that become durable, and what survives kill -9.
    Journal,
    /// A thousand weight changes under load.
    Weights,
    /// A hundred rollbacks at the proxy and a hundred through the engine, under load.
    Rollback,
    /// Memory of a server and a proxy that have nothing to do.
    Idle,
    /// Start of a server with ten thousand past deployments.
    Start,
    /// What a browser needs for the pages of such a server; Chromium must be installed.
    Pages,
    /// The data plane beside HAProxy, nginx and Envoy, which must be installed.
    Proxy,
    /// How soon bad releases are noticed and how seldom good ones are blamed, beside other judges.
    /// Not part of `all`: it takes hours, or two minutes with `--quick`.
    TimeToSafe,
    /// A configuration of 1,000 lines, and the memory that a report of 100 MB needs.
    Check,
    /// All of them but `proxy` and `pages`, which need programs of others, and `time-to-safe`.
    All,
}

/// What a benchmark runs on.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The programs.
    pub(crate) product: Product,
    /// Where it may make directories.
    pub(crate) dir: PathBuf,
    /// Requests a second that are asked for.
    pub(crate) rate: u64,
    /// The only part of the benchmark that is asked for.
    pub(crate) part: Option<proxy::Part>,
}

impl Bench {
    /// A directory of a benchmark's own, removed at its end. Its name is short: unix sockets in it
    /// must fit into 107 bytes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn scratch(&self) -> anyhow::Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix("b-").tempdir_in(&self.dir);
        made.with_context(|| format!("no directory can be made in {}", self.dir.display()))
    }
}

/// Runs the benchmarks that were asked for. Fails when an aim was missed or a benchmark could not
/// be carried out, after all have run.
#[expect(clippy::print_stderr, reason = "a chore that talks to a person")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let product = Product::locate()?;
    if args.which == Which::TimeToSafe {
        if !args.no_build {
            product.build_judge()?;
        }
        let (quick, json, replicas) = (args.quick, args.json, args.replicas);
        return safe::run(&product, safe::Extent { quick, json, replicas });
    }
    let dir = args.dir.clone().unwrap_or_else(|| product.target().to_owned());
    std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    if !args.no_build {
        match args.which {
            Which::Proxy => product.build_proxy()?,
            _ => product.build()?,
        }
    }
    let bench = Bench { product, dir, rate: args.rate, part: args.part };
    let chosen: &[Which] = match args.which {
        Which::All => &[
            Which::Journal,
            Which::Weights,
            Which::Rollback,
            Which::Idle,
            Which::Start,
            Which::Check,
        ],
        ref one => std::slice::from_ref(one),
    };
    let mut all_held = true;
    for which in chosen {
        let report = match measure(*which, &bench) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("{which:?}: {error:#}\n");
                all_held = false;
                continue;
            }
        };
        all_held &= report.all_held();
        report.print();
        if args.write {
            report.write(bench.product.root())?;
        }
    }
    Ok(if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(which: Which, bench: &Bench) -> anyhow::Result<Report> {
    let machine = Machine::look(&bench.dir)?;
    match which {
        Which::Journal => journal::measure(bench, &machine),
        Which::Weights => weights::measure(bench, &machine),
        Which::Rollback => rollback::measure(bench, &machine),
        Which::Proxy => proxy::measure(bench, &machine),
        Which::Check => check::measure(bench, &machine),
        Which::Idle => idle::measure(bench, &machine),
        Which::Pages => pages::measure(bench, &machine),
        Which::Start | Which::TimeToSafe | Which::All => start::measure(bench, &machine),
    }
}
