//! `cargo xtask bench time-to-safe`: how soon a bad release is noticed, and how seldom a good one
//! is blamed, beside other judges. Everything is simulated: the machine's speed changes nothing but
//! the time it takes.
//!
//! A cell is a family at a rate. The full run goes round by round over all cells, on all cores, and
//! remembers every round, so it can be stopped at any time and goes on from there; it must never
//! mix results of different sources, which it tells by their hash.

mod book;
mod figures;
mod hash;
mod page;
mod plot;
mod targets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::product::{Product, output};
use book::{Book, Kind};

/// Replicas of a cell in a release, and in a round of the full run.
const REPLICAS: u64 = 1_500;
const ROUND: u64 = 100;

/// The number of the first replica. Those before it are for whoever works on the judge, so that no
/// figure is from a rollout that a choice was made by.
const FIRST: u64 = 500_000;

/// Replicas of a rival's cell when nothing is wrong, and when something is; none of its settings
/// is near enough to a limit to need more.
const REPLICAS_OF_RIVALS: u64 = 100;
const REPLICAS_OF_RIVALS_FAULTS: u64 = 50;

/// Replicas of a cell in which something is wrong, but for those that a target is read from.
const REPLICAS_OF_FAULTS: u64 = 200;
const TARGETED: [(u64, u64); 5] = [(104, 100), (105, 100), (105, 1_000), (112, 100), (123, 100)];

/// The rates at which times to a rollback are compared with others'.
pub(crate) const RATES_COMPARED: [u64; 2] = [100, 1_000];

/// Replicas of the runs that are no cells.
const REPLICAS_OF_SPECIALS: u64 = 300;

/// Replicas of a cell in a quick run.
const REPLICAS_QUICK: u64 = 40;

/// Requests a second.
const RATES: [u64; 4] = [1, 10, 100, 1_000];

/// The rate of a quick run: the one at which everything happens and nothing takes long.
const RATE_QUICK: u64 = 100;

/// Where the result is kept in the repository.
const RESULT: &str = "docs/benchmarks/time-to-safe.json";

/// How much is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// A few replicas of each family, in two minutes.
    pub(crate) quick: bool,
    /// Print the closing line of targets.
    pub(crate) json: bool,
    /// Replicas of a cell in the full run; more go on from where it was.
    pub(crate) replicas: Option<u64>,
}

/// Runs it. Fails when a target was missed, or in a quick run when the committed result is stale.
///
/// # Errors
/// When the program cannot be built or run, or a file cannot be read or written.
pub(crate) fn run(product: &Product, extent: Extent) -> anyhow::Result<ExitCode> {
    let program = product.example("bench_safe");
    let hashes = [hash::of(product.root(), Kind::Ours)?, hash::of(product.root(), Kind::Rivals)?];
    let hash = hashes.join("-");
    if extent.quick {
        return quick(product, &program, &hash, extent.json);
    }
    let path = product.root().join(RESULT);
    let mut book = Book::open(&path, &hash)?;
    book.list(&output(&program, &["cells"])?)?;
    // What was run and not yet added up is kept beside the program, by the hash of its sources.
    let kept = hashes.map(|hash| product.target().join("time-to-safe").join(hash));
    for directory in &kept {
        std::fs::create_dir_all(directory)?;
    }
    let runner = Runner { program, kept };
    runner.gather(&mut book)?;
    fill(&runner, &mut book, &path, extent.replicas.unwrap_or(REPLICAS))?;
    book.special(&runner.special()?)?;
    book.write(&path)?;
    let targets = targets::of(&book, false);
    page::write(product.root(), &book, &targets)?;
    Ok(conclude(&targets, extent.json))
}

/// Runs cells, and remembers what they printed.
struct Runner {
    program: PathBuf,
    /// Where: of ours, and of the others.
    kept: [PathBuf; 2],
}

impl Runner {
    /// Takes every round that was run and not added up yet, as far as they follow each other.
    fn gather(&self, book: &mut Book) -> anyhow::Result<()> {
        for kind in [Kind::Ours, Kind::Rivals] {
            for family in book.families().to_vec() {
                for rate in RATES {
                    for round in [ROUND, REPLICAS_OF_RIVALS_FAULTS] {
                        loop {
                            let done = book.replicas(kind, family.number, rate);
                            let path = self.path(kind, family.number, rate, (done, done + round));
                            let Ok(printed) = std::fs::read_to_string(path) else { break };
                            book.add(kind, family.number, rate, &printed)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn special(&self) -> anyhow::Result<String> {
        let replicas = REPLICAS_OF_SPECIALS.to_string();
        let path = self.kept[0].join(format!("special.{replicas}"));
        if let Ok(printed) = std::fs::read_to_string(&path) {
            return Ok(printed);
        }
        let printed = output(&self.program, &["special", &replicas])?;
        std::fs::write(&path, &printed)?;
        Ok(printed)
    }

    fn path(&self, kind: Kind, family: u64, rate: u64, replicas: (u64, u64)) -> PathBuf {
        let (from, to) = replicas;
        let [ours, theirs] = &self.kept;
        let kept = if kind == Kind::Ours { ours } else { theirs };
        kept.join(format!("{}.{family}.{rate}.{from}-{to}", kind.word()))
    }

    fn run(&self, job: Job) -> anyhow::Result<String> {
        let path = self.path(job.kind, job.family, job.rate, (job.from, job.to));
        if let Ok(printed) = std::fs::read_to_string(&path) {
            return Ok(printed);
        }
        let printed = output(&self.program, &job.arguments())?;
        let beside = path.with_extension("new");
        std::fs::write(&beside, &printed)?;
        std::fs::rename(&beside, &path)?;
        Ok(printed)
    }

    /// Runs jobs on all cores, and answers what they printed in the order of the jobs.
    fn run_all(&self, jobs: &[Job]) -> anyhow::Result<Vec<String>> {
        let next = AtomicUsize::new(0);
        let work = || -> anyhow::Result<Vec<(usize, String)>> {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(at) else { return Ok(done) };
                done.push((at, self.run(*job)?));
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut all = std::thread::scope(|scope| -> anyhow::Result<Vec<(usize, String)>> {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            let mut all = Vec::new();
            for worker in workers {
                let done = worker.join().map_err(|_panic| anyhow::anyhow!("a worker panicked"))?;
                all.extend(done?);
            }
            Ok(all)
        })?;
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, printed)| printed).collect())
    }
}

/// Replicas of one cell to be run, numbered from 0.
#[derive(Debug, Clone, Copy)]
struct Job {
    kind: Kind,
    family: u64,
    rate: u64,
    from: u64,
    to: u64,
}

impl Job {
    fn arguments(self) -> Vec<String> {
        let numbers = [self.family, self.rate, FIRST + self.from, FIRST + self.to];
        let words = numbers.into_iter().map(|number| number.to_string());
        std::iter::once(self.kind.word().to_owned()).chain(words).collect()
    }
}

/// Round by round over all cells, so that every cell has about as many replicas at any time.
fn fill(runner: &Runner, book: &mut Book, path: &Path, replicas: u64) -> anyhow::Result<()> {
    let mut until = 0;
    while until < replicas {
        until = (until + ROUND).min(replicas);
        let jobs = round(book, until);
        for (job, printed) in jobs.iter().zip(runner.run_all(&jobs)?) {
            book.add(job.kind, job.family, job.rate, &printed)?;
        }
        if !jobs.is_empty() {
            book.write(path)?;
        }
    }
    Ok(())
}

/// What is missing for `until` replicas of every cell.
fn round(book: &Book, until: u64) -> Vec<Job> {
    let mut jobs = Vec::new();
    for kind in [Kind::Ours, Kind::Rivals] {
        for family in book.families() {
            for rate in RATES {
                // Rare rollbacks of a good release need many replicas, times to a rollback few.
                let most = match kind {
                    Kind::Rivals if family.is_quiet => REPLICAS_OF_RIVALS,
                    Kind::Rivals => REPLICAS_OF_RIVALS_FAULTS,
                    Kind::Ours if family.is_quiet => until,
                    Kind::Ours if TARGETED.contains(&(family.number, rate)) => until,
                    Kind::Ours => REPLICAS_OF_FAULTS,
                };
                let (from, to) = (book.replicas(kind, family.number, rate), until.min(most));
                if from < to {
                    jobs.push(Job { kind, family: family.number, rate, from, to });
                }
            }
        }
    }
    jobs
}

fn quick(product: &Product, program: &Path, hash: &str, json: bool) -> anyhow::Result<ExitCode> {
    let mut book = Book::new(hash);
    book.list(&output(program, &["cells"])?)?;
    let kind = Kind::Ours;
    for family in book.families().to_vec() {
        let job =
            Job { kind, family: family.number, rate: RATE_QUICK, from: 0, to: REPLICAS_QUICK };
        book.add(kind, job.family, job.rate, &output(program, &job.arguments())?)?;
    }
    book.special(&output(program, &["special", "10"])?)?;
    let mut targets = targets::of(&book, true);
    targets.retain(|target| !targets::needs_full_run(target.name));
    targets.push(targets::fresh(is_fresh(product.root(), hash)));
    Ok(conclude(&targets, json))
}

/// Whether the committed result is of the sources with this hash.
fn is_fresh(root: &Path, hash: &str) -> bool {
    Book::open(&root.join(RESULT), hash).is_ok_and(|book| !book.is_empty())
}

#[expect(clippy::print_stdout, reason = "a chore that talks to a person")]
fn conclude(targets: &[targets::Target], json: bool) -> ExitCode {
    for target in targets {
        println!("{target}");
    }
    if json {
        println!("{}", targets::line(targets));
    }
    let all = targets.iter().all(|target| target.pass);
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_other_sources_makes_a_quick_run_fail() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(RESULT);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(!is_fresh(root.path(), "before"), "there is none");
        let mut book = Book::new("before");
        book.list("family 104 fault 0 F1 errors 5 %\n").unwrap();
        let end = "0 End { rolled_back: Some(6.0), braked: Some(4.0), literal: None, held: None, \
                   failed: 3, requests: 30, nats: 9.5 }\n";
        book.add(Kind::Ours, 104, 100, end).unwrap();
        book.write(&path).unwrap();
        let ended = |hash: &str| {
            let targets = [targets::fresh(is_fresh(root.path(), hash))];
            format!("{:?}", conclude(&targets, true))
        };
        assert_eq!(ended("before"), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(ended("after"), format!("{:?}", ExitCode::FAILURE), "of other sources");
        std::fs::write(&path, "{").unwrap();
        assert_eq!(ended("before"), format!("{:?}", ExitCode::FAILURE), "it cannot be read");
    }
}
