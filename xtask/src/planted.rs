//! `cargo xtask planted`: plants bugs into a copy of the source and sees whether the tests that
//! are named for them fail; one build has them all. Must never touch the source itself: what is
//! shipped cannot have them.

pub(crate) mod bugs;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::copy::{Field, package};
use bugs::{ASK, BUGS, Bug};

/// The variable of the environment that wants one of them.
pub(crate) const SWITCH: &str = "TIDEGATE_PLANTED";
/// How many there are at least.
pub(crate) const LEAST: usize = 20;
/// Seconds for one test: the longest takes a twentieth of it, and one that hangs finds nothing.
const TEST_SECONDS_MAX: &str = "180";
/// The scripts of the core, and the test that tells them all.
const SCRIPTS: &str = "crates/tidegate-core/tests/scripts/";
const TELLER: &str = "crates/tidegate-core/tests/it/scripts.rs::every_script_tells_the_same_story";

/// What to plant.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One of them, with what its test says
    #[arg(long)]
    bug: Option<String>,
    /// Run all tests of the package, to see who else finds it
    #[arg(long, requires = "bug")]
    everybody: bool,
}

/// What became of a bug.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) bug: &'static Bug,
    /// Why it does not count as caught.
    pub(crate) missed: Option<String>,
}

/// Plants, builds, runs, prints.
///
/// # Errors
/// When the copy cannot be made or built.
#[expect(clippy::print_stdout, reason = "a chore that talks to a person")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let finders = Finders::built()?;
    if let Some(name) = &args.bug {
        let bug = BUGS.iter().find(|bug| bug.name == name).context("there is no such bug")?;
        let test = if args.everybody { None } else { Some(bug.test()) };
        let (_, said) = finders.tests(bug.proof(), test.as_deref(), Some(bug))?;
        print!("{said}");
    }
    let wanted = |bug: &&'static Bug| args.bug.as_ref().is_none_or(|name| bug.name == name);
    let outcomes = finders.harvest(BUGS.iter().filter(wanted))?;
    print!("{}", page(&outcomes));
    let all = outcomes.iter().all(|outcome| outcome.missed.is_none());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All of them, for a page that others make.
///
/// # Errors
/// When the copy cannot be made or built.
pub(crate) fn outcomes() -> anyhow::Result<Vec<Outcome>> {
    Finders::built()?.harvest(BUGS.iter())
}

/// A line for each, and the sum.
pub(crate) fn page(outcomes: &[Outcome]) -> String {
    let caught = outcomes.iter().filter(|outcome| outcome.missed.is_none()).count();
    let mut lines = vec![format!("Planted bugs caught: {caught} of {}", outcomes.len())];
    for Outcome { bug, missed } in outcomes {
        let (word, more) = match missed {
            None => ("caught", bug.caught_by),
            Some(why) => ("MISSED", why.as_str()),
        };
        lines.push(format!("  {word}  {}: {}", bug.name, bug.what));
        lines.push(format!("          {more}"));
    }
    lines.join("\n") + "\n"
}

impl Bug {
    /// The test as `path::function`.
    pub(crate) fn proof(&self) -> &'static str {
        if self.caught_by.starts_with(SCRIPTS) { TELLER } else { self.caught_by }
    }

    /// The name of the test inside its program.
    fn test(&self) -> String {
        let (path, function) = self.proof().rsplit_once("::").unwrap_or_default();
        let module = path.rsplit_once("/tests/it/").map_or(path, |(_, module)| module);
        format!("{}::{function}", module.trim_end_matches(".rs").replace('/', "::"))
    }

    /// What the test says when it finds it: its own name, or that of the script.
    fn sign(&self) -> String {
        match self.caught_by.strip_prefix(SCRIPTS) {
            Some(script) => format!("{script}:"),
            None => self.test(),
        }
    }

    /// The text of its file with it, and with the question whether it is wanted.
    pub(crate) fn planted_in(&self, text: &str) -> Option<String> {
        let ask =
            format!("std::env::var_os({SWITCH:?}).is_some_and(|wanted| wanted == {:?})", self.name);
        let once = text.matches(self.right).count() == 1;
        once.then(|| text.replacen(self.right, &self.wrong.replace(ASK, &ask), 1))
    }
}

/// The tests that find them, built.
struct Finders {
    copy: PathBuf,
    /// The program of the tests of each package.
    programs: BTreeMap<String, PathBuf>,
}

impl Finders {
    fn built() -> anyhow::Result<Self> {
        let field = Field::sown()?;
        let programs = field.tests()?;
        Ok(Self { copy: field.copy, programs })
    }

    /// Each test must pass without its bug and fail with it.
    fn harvest(&self, bugs: impl Iterator<Item = &'static Bug>) -> anyhow::Result<Vec<Outcome>> {
        let mut sound: BTreeMap<&str, bool> = BTreeMap::new();
        let mut outcomes = Vec::new();
        for bug in bugs {
            let (proof, test) = (bug.proof(), bug.test());
            let passes = match sound.get(proof) {
                Some(passes) => *passes,
                None => {
                    let (passes, said) = self.tests(proof, Some(&test), None)?;
                    passes && said.contains("test result: ok. 1 passed")
                }
            };
            sound.insert(proof, passes);
            let missed = if passes {
                let (passes, said) = self.tests(proof, Some(&test), Some(bug))?;
                let found = !passes && said.contains("1 failed") && said.contains(&bug.sign());
                (!found).then(|| format!("{} does not find it", bug.caught_by))
            } else {
                Some(format!("{proof} fails without it, or is not there"))
            };
            outcomes.push(Outcome { bug, missed });
        }
        Ok(outcomes)
    }

    /// Whether a test, or all of its program, passes, and what was said.
    fn tests(
        &self,
        proof: &str,
        test: Option<&str>,
        bug: Option<&Bug>,
    ) -> anyhow::Result<(bool, String)> {
        let folder = package(proof);
        let program =
            self.programs.get(folder).with_context(|| format!("{folder} has no tests"))?;
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", TEST_SECONDS_MAX]).arg(program);
        if let Some(test) = test {
            command.args(["--exact", test]);
        }
        command.current_dir(self.copy.join(folder)).stdin(Stdio::null()).env_remove(SWITCH);
        command.env("CARGO_MANIFEST_DIR", self.copy.join(folder));
        if let Some(bug) = bug {
            command.env(SWITCH, bug.name);
        }
        let output = command.output().context("the tests could not be started")?;
        let said = String::from_utf8_lossy(&output.stdout);
        Ok((output.status.success(), said.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_stands_where_the_source_was_and_asks_whether_it_is_wanted() {
        let bug = Bug {
            name: "it",
            what: "",
            file: "crates/a/src/b.rs",
            right: "a < b",
            wrong: "(PLANTED || a < b)",
            caught_by: "crates/a/tests/it/c/d.rs::e",
        };
        let planted = bug.planted_in("if a < b {}").unwrap();
        assert!(planted.starts_with("if (std::env::var_os(\"TIDEGATE_PLANTED\")"), "{planted}");
        assert!(planted.ends_with("wanted == \"it\") || a < b) {}"), "{planted}");
        assert_eq!(bug.planted_in("a < b; a < b"), None, "it could be either");
        assert_eq!(bug.test(), "c::d::e");
        assert_eq!(package(bug.proof()), "crates/a");
    }

    #[test]
    fn a_script_is_told_by_its_teller_and_named_by_it() {
        let bug = Bug { caught_by: "crates/tidegate-core/tests/scripts/a.txt", ..BUGS[0] };
        assert_eq!(bug.test(), "scripts::every_script_tells_the_same_story");
        assert_eq!(bug.sign(), "a.txt:");
    }

    #[test]
    fn what_was_missed_is_said() {
        let outcomes = [
            Outcome { bug: &BUGS[0], missed: None },
            Outcome { bug: &BUGS[1], missed: Some("nobody finds it".to_owned()) },
        ];
        let page = page(&outcomes);
        assert!(page.starts_with("Planted bugs caught: 1 of 2\n"), "{page}");
        assert!(page.contains("MISSED  approval-of-ones-own-change"), "{page}");
    }
}
