//! `cargo xtask prove`: one page of what is known to hold, and of what nobody has shown.
//! It must never leave out what has no test, and never call something proven that it did not run
//! or count.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use crate::tidy::invariants::{self, Row};
use crate::tidy::tree::{self, Tree};
use crate::{planted, points};

/// Seeds of the simulation when nobody says how many: a minute of two cores.
const SEEDS: u64 = 300;

/// Corpora, each as what it holds, the file, and the constant that holds the rows.
const CORPORA: [(&str, &str, &str); 3] = [
    ("request heads that must be refused", ORIGINS, "REFUSED"),
    ("chunked bodies that must be refused", ORIGINS, "BROKEN"),
    ("requests that must pass unchanged", ORIGINS, "ACCEPTED"),
];
const ORIGINS: &str = "crates/tidegate-proxy/tests/it/origins.rs";
/// Where each kind of event lies, by the version that wrote it.
const JOURNALS: &str = "crates/tidegate-core/tests/corpus/";
/// Tests that kill, stop and starve real processes.
const PROCESSES: &str = "crates/tidegate/tests/it/processes/";

/// Tests that are run one by one for the page: what they show, the package, the target, the name.
const RUN: [(&str, &str, &str, &str); 4] = [
    (
        "every boundary of a turn, one crash each: good",
        ENGINE,
        "it",
        "simulation::a_good_release_ends_the_same_wherever_the_engine_dies",
    ),
    (
        "every boundary of a turn, one crash each: bad",
        ENGINE,
        "it",
        "simulation::a_bad_release_ends_the_same_wherever_the_engine_dies",
    ),
    (
        "every event kind of the oldest journal is read and written back",
        "tidegate-core",
        "it",
        "corpus",
    ),
    ("every change of an event is found by the audit", "tidegate-journal", "it", "damage"),
];
const ENGINE: &str = "tidegate-engine";
/// The drill: backup, check, restore onto a clean place, serve.
const DRILL: &str =
    "operations::a_backup_of_a_server_that_serves_comes_back_on_a_clean_place_and_serves";

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only what can be counted in the tree, and the planted bugs
    #[arg(long)]
    quick: bool,
    /// Seeds of the simulation
    #[arg(long, default_value_t = SEEDS, conflicts_with = "quick")]
    seeds: u64,
}

/// The page, and whether anything that was run failed.
#[derive(Debug, Default)]
struct Page {
    text: String,
    has_failed: bool,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn ran(&mut self, what: &str, held: bool, more: &str) {
        self.has_failed |= !held;
        let word = if held { "held" } else { "FAILED" };
        self.line(&format!("  {word:7} {what}{more}"));
    }
}

/// Prints the page.
///
/// # Errors
/// When the tree or cargo cannot be asked.
#[expect(clippy::print_stdout, reason = "a chore that talks to a person")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let root = metadata.workspace_root.as_std_path();
    let tree = tree::tracked(root)?;
    let mut page = Page::default();
    counted(&mut page, &tree);
    planted_bugs(&mut page)?;
    if args.quick {
        page.line("Run: nothing else (--quick)");
    } else {
        page.line("Run:");
        simulated(&mut page, root, args.seeds)?;
        for (what, package, target, name) in RUN {
            let held = tested(root, package, target, name)?;
            page.ran(what, held, "");
        }
        let died = points::outcomes(|_| true)?;
        page.has_failed |= died.iter().any(|one| one.trouble.is_some());
        page.text += &points::page(&died);
        let began = Instant::now();
        let held = tested(root, "tidegate", "it", DRILL)?;
        let took = format!(", {} s with its build", began.elapsed().as_secs());
        page.ran("restore drill: backup, check, restore, serve", held, &took);
    }
    print!("{}", page.text);
    Ok(if page.has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the tree alone says.
fn counted(page: &mut Page, tree: &Tree) {
    let rows: Vec<Row<'_>> =
        invariants::rows(tree.text(invariants::TABLE)).filter_map(Result::ok).collect();
    let shown = rows.iter().filter(|row| !row.tests.is_empty()).count();
    page.line(&format!("Invariants with a test: {shown} of {}", rows.len()));
    for row in &rows {
        let mark = if row.tests.is_empty() { "NO TEST" } else { "tested " };
        page.line(&format!("  {mark} {:4} {}", row.id, row.words));
        page.line(&format!("               at run time: {}", row.check));
        for test in &row.tests {
            page.line(&format!("               {test}"));
        }
    }
    page.line("Corpora:");
    for (what, path, constant) in CORPORA {
        match rows_of(tree.text(path), constant) {
            Some(count) => page.line(&format!("  {count:4} {what}")),
            None => page.line(&format!("  NONE {what}")),
        }
    }
    let versions: Vec<&str> = versions(tree);
    let oldest = versions.first().copied().unwrap_or("NONE");
    page.line(&format!("Oldest journal in the corpus: {oldest}, of {}", versions.len()));
    let cells = tests_below(tree, PROCESSES);
    page.line(&format!(
        "Fault matrix: {cells} tests of real processes; cells without one are not numbered"
    ));
    let points = points::names(tree).len();
    page.line(&format!("Failpoints: {points}, each before or after what must survive a death"));
}

/// How many rows a constant array has.
fn rows_of(text: &str, constant: &str) -> Option<usize> {
    let head = format!("const {constant}: [");
    let (_, rest) = text.split_once(&head)?;
    let (kind, _) = rest.split_once("] =")?;
    kind.rsplit_once("; ")?.1.parse().ok()
}

/// The versions whose events are kept, oldest first.
fn versions(tree: &Tree) -> Vec<&str> {
    let below = tree.files.iter().filter_map(|file| file.path.strip_prefix(JOURNALS));
    let mut found: Vec<&str> = below.filter_map(|path| path.split('/').next()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn tests_below(tree: &Tree, folder: &str) -> usize {
    let files = tree.files.iter().filter(|file| file.path.starts_with(folder));
    files.map(|file| file.text.as_deref().unwrap_or("").matches("#[test]").count()).sum()
}

fn planted_bugs(page: &mut Page) -> anyhow::Result<()> {
    let outcomes = planted::outcomes()?;
    page.has_failed |= outcomes.iter().any(|outcome| outcome.missed.is_some());
    page.text += &planted::page(&outcomes);
    Ok(())
}

fn simulated(page: &mut Page, root: &Path, seeds: u64) -> anyhow::Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "tidegate-engine"])
        .args(["--features", "testkit", "--example", "sim", "--", "seeds", &seeds.to_string()])
        .current_dir(root)
        .output()
        .context("cargo could not be started")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let sum = said.lines().last().unwrap_or("it said nothing").to_owned();
    page.ran("simulation", output.status.success(), &format!(": {sum}"));
    Ok(())
}

/// Whether these tests pass. None of that name is no pass.
fn tested(root: &Path, package: &str, target: &str, name: &str) -> anyhow::Result<bool> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--quiet", "--package", package]);
    if package == ENGINE {
        command.args(["--features", "testkit"]);
    }
    let output = command
        .args(["--test", target, "--", name])
        .current_dir(root)
        .output()
        .context("cargo could not be started")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(output.status.success() && !said.contains("ok. 0 passed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_test_is_said() {
        let table = "| S1 | kept | checked | `a_test` |\n| S2 | hoped for | none | - |\n";
        let corpus = "const REFUSED: [&str; 62] = [\n";
        let tree = Tree::of(&[
            (invariants::TABLE, table),
            (ORIGINS, corpus),
            ("crates/tidegate-core/tests/corpus/v1/a.json", "{}"),
            ("crates/tidegate/tests/it/processes/a.rs", "#[test]\nfn a() {}\n#[test]\nfn b() {}"),
        ]);
        let mut page = Page::default();
        counted(&mut page, &tree);
        for line in [
            "Invariants with a test: 1 of 2",
            "  NO TEST S2   hoped for",
            "    62 request heads that must be refused",
            "  NONE chunked bodies that must be refused",
            "Oldest journal in the corpus: v1, of 1",
        ] {
            assert!(page.text.lines().any(|said| said == line), "{line}\n{}", page.text);
        }
        assert!(page.text.contains("Fault matrix: 2 tests"), "{}", page.text);
        page.ran("it", false, "");
        assert!(page.has_failed && page.text.contains("FAILED"));
    }
}
