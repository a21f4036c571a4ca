//! `cargo xtask bench time-to-safe`: how soon a bad release is noticed, and how seldom a good one
//! is blamed, beside other judges. Everything is simulated: the machine's speed changes nothing but
//! the time it takes.
//!
//! A cell is a family at a rate. The full run goes round by round over all cells and remembers
//! every round, so it can be stopped at any time and goes on from there; it must never mix results
//! of different sources, which it tells by their hash.

mod book;
mod figures;
mod page;
mod plot;
mod targets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::product::{Product, output};
use book::{Book, Kind};

/// Replicas of a cell in a release, and in a round of the full run.
const REPLICAS: u64 = 1_500;
const ROUND: u64 = 100;

/// Replicas of a rival's cell; many of its settings need no more to be told apart.
const REPLICAS_OF_RIVALS: u64 = 50;

/// Replicas of a cell in which something is wrong.
const REPLICAS_OF_FAULTS: u64 = 200;

/// The rates at which times to a rollback are compared with others'.
pub(crate) const RATES_COMPARED: [u64; 2] = [100, 1_000];

/// Replicas of the runs that are no cells.
const REPLICAS_OF_SPECIALS: u64 = 60;

/// Replicas of a cell in a quick run.
const REPLICAS_QUICK: u64 = 40;

/// Requests a second.
const RATES: [u64; 4] = [1, 10, 100, 1_000];

/// The rate of a quick run: the one at which everything happens and nothing takes long.
const RATE_QUICK: u64 = 100;

/// Where the result is kept in the repository.
const RESULT: &str = "docs/benchmarks/time-to-safe.json";

/// What the hash covers: what decides, and what it decides on.
const SOURCES: [&str; 2] = ["crates/tidegate-judge/src", "crates/tidegate-judge/examples"];

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
    let hash = hash(product.root())?;
    if extent.quick {
        return quick(product, &program, &hash, extent.json);
    }
    let path = product.root().join(RESULT);
    let mut book = Book::open(&path, &hash)?;
    book.list(&output(&program, &["cells"])?)?;
    // What was run and not yet added up is kept beside the program, by the hash of its sources.
    let kept = product.target().join("time-to-safe").join(&hash);
    std::fs::create_dir_all(&kept)?;
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
    kept: PathBuf,
}

impl Runner {
    /// Takes every round that was run and not added up yet, as far as they follow each other.
    fn gather(&self, book: &mut Book) -> anyhow::Result<()> {
        for kind in [Kind::Ours, Kind::Rivals] {
            for family in book.families().to_vec() {
                for rate in RATES {
                    for round in [ROUND, REPLICAS_OF_RIVALS] {
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
        let path = self.kept.join(format!("special.{replicas}"));
        if let Ok(printed) = std::fs::read_to_string(&path) {
            return Ok(printed);
        }
        let printed = output(&self.program, &["special", &replicas])?;
        std::fs::write(&path, &printed)?;
        Ok(printed)
    }

    fn path(&self, kind: Kind, family: u64, rate: u64, replicas: (u64, u64)) -> PathBuf {
        let (from, to) = replicas;
        self.kept.join(format!("{}.{family}.{rate}.{from}-{to}", kind.word()))
    }

    fn cell(
        &self,
        kind: Kind,
        family: u64,
        rate: u64,
        replicas: (u64, u64),
    ) -> anyhow::Result<String> {
        let path = self.path(kind, family, rate, replicas);
        if let Ok(printed) = std::fs::read_to_string(&path) {
            return Ok(printed);
        }
        let (from, to) = replicas;
        let numbers = [family, rate, from, to].map(|number| number.to_string());
        let mut arguments = vec![kind.word().to_owned()];
        arguments.extend(numbers);
        let printed = output(&self.program, &arguments)?;
        let beside = path.with_extension("new");
        std::fs::write(&beside, &printed)?;
        std::fs::rename(&beside, &path)?;
        Ok(printed)
    }
}

/// Round by round over all cells, so that every cell has about as many replicas at any time.
fn fill(runner: &Runner, book: &mut Book, path: &Path, replicas: u64) -> anyhow::Result<()> {
    let mut until = 0;
    while until < replicas {
        until = (until + ROUND).min(replicas);
        for kind in [Kind::Ours, Kind::Rivals] {
            let goal = if kind == Kind::Rivals { until.min(REPLICAS_OF_RIVALS) } else { until };
            for family in book.families().to_vec() {
                for rate in RATES {
                    let done = book.replicas(kind, family.number, rate);
                    // Rare rollbacks of a good release need many replicas, times to a rollback few.
                    let goal = if family.is_quiet { goal } else { goal.min(REPLICAS_OF_FAULTS) };
                    let fast = RATES_COMPARED.contains(&rate);
                    if kind == Kind::Rivals && !family.is_quiet && !fast {
                        continue;
                    }
                    if done < goal {
                        let printed = runner.cell(kind, family.number, rate, (done, goal))?;
                        book.add(kind, family.number, rate, &printed)?;
                    }
                }
            }
        }
        book.write(path)?;
    }
    Ok(())
}

fn quick(product: &Product, program: &Path, hash: &str, json: bool) -> anyhow::Result<ExitCode> {
    let committed = product.root().join(RESULT);
    let is_fresh = Book::open(&committed, hash).is_ok_and(|book| !book.is_empty());
    let mut book = Book::new(hash);
    book.list(&output(program, &["cells"])?)?;
    for family in book.families().to_vec() {
        let arguments = [
            Kind::Ours.word().to_owned(),
            family.number.to_string(),
            RATE_QUICK.to_string(),
            "0".to_owned(),
            REPLICAS_QUICK.to_string(),
        ];
        book.add(Kind::Ours, family.number, RATE_QUICK, &output(program, &arguments)?)?;
    }
    book.special(&output(program, &["special", "10"])?)?;
    let mut targets = targets::of(&book, true);
    targets.retain(|target| !targets::needs_full_run(target.name));
    targets.push(targets::fresh(is_fresh));
    Ok(conclude(&targets, json))
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

/// A hash of every source file that has a say, by name and content: FNV-1a with 64 bits. It tells
/// versions apart; nobody is asked to trust it.
fn hash(root: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        gather(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        take(name.as_bytes());
        let text = std::fs::read(&file);
        take(&text.with_context(|| format!("{} cannot be read", file.display()))?);
    }
    Ok(format!("{hash:016x}"))
}

fn gather(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory);
    let entries = entries.with_context(|| format!("{} is missing", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
