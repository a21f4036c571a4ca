//! `cargo xtask points`: a release goes live, another follows, and the first one comes back, while
//! some process of Tidegate dies once at a failpoint; for each point, at its first pass and again
//! in the middle. It must end as if nobody had died. Must never count a point that nobody reached.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::bench::rollback::unseal;
use crate::bench::running::{Running, ask, end_all, free_addresses, pause, until};
use crate::bench::service::git;
use crate::copy::Field;
use crate::tidy::tree::Tree;

/// How a point stands in the source; its name follows.
pub(crate) const MARK: &str = "// failpoint: ";
/// The variable of the environment: a point, `=`, and the file that whoever dies there makes.
const SWITCH: &str = "TIDEGATE_FAILPOINT";
/// Nothing that a journey waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two requests of the only user.
const THINKS: Duration = Duration::from_millis(20);
/// A request that takes longer has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Endings of a journey that nobody disturbed.
const ENDINGS: [&str; 3] = ["live_unverified", "succeeded", "succeeded"];

/// Where to die.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One of them only
    #[arg(long)]
    point: Option<String>,
}

/// When a point is armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Before the first start.
    Start,
    /// With the second release.
    Release,
}

/// What came of a point.
#[derive(Debug)]
pub(crate) struct Outcome {
    point: String,
    /// How often somebody died there.
    deaths: u32,
    /// What was otherwise than without a death.
    pub(crate) trouble: Option<String>,
}

/// Plays all journeys and prints what came of them.
///
/// # Errors
/// When the copy cannot be built.
#[expect(clippy::print_stdout, reason = "a chore that talks to a person")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let outcomes = outcomes(|point| args.point.as_ref().is_none_or(|only| only == point))?;
    print!("{}", page(&outcomes));
    let held = outcomes.iter().all(|outcome| outcome.trouble.is_none());
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All points that are wanted.
///
/// # Errors
/// When the copy cannot be built.
pub(crate) fn outcomes(wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Outcome>> {
    let field = Field::sown()?;
    let (product, application) = field.product()?;
    let mut outcomes = Vec::new();
    for point in field.points.iter().filter(|point| wanted(point)) {
        let mut outcome = Outcome { point: point.clone(), deaths: 0, trouble: None };
        for moment in [Moment::Start, Moment::Release] {
            let dir = tempfile::Builder::new().prefix("tgp").tempdir_in("/tmp")?;
            let struck = dir.path().join("armed/struck");
            let armed = format!("{point}={}", struck.display());
            let played = journey(dir.path(), &product, &application, &armed, moment);
            outcome.deaths += u32::from(struck.exists());
            end_all(dir.path())?;
            unseal(dir.path())?;
            if let Err(trouble) = played {
                outcome.trouble = Some(format!("{moment:?}: {trouble:#}"));
            }
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// A line for each, and the sum.
pub(crate) fn page(outcomes: &[Outcome]) -> String {
    let held = |one: &&Outcome| one.trouble.is_none() && one.deaths > 0;
    let covered = outcomes.iter().filter(held).count();
    let mut lines = vec![format!("Failpoints died at: {covered} of {}", outcomes.len())];
    for Outcome { point, deaths, trouble } in outcomes {
        lines.push(match (trouble, deaths) {
            (Some(trouble), _) => format!("  FAILED       {point}: {trouble}"),
            (None, 0) => format!("  NOT REACHED  {point}"),
            (None, deaths) => format!("  held         {point}, {deaths} deaths"),
        });
    }
    lines.join("\n") + "\n"
}

/// Whether a file is part of what runs in production.
pub(crate) fn is_product(path: &str) -> bool {
    let is_source = path.split('/').nth(2) == Some("src") && path.ends_with(".rs");
    let is_of_tests = path.contains("/testkit/") || path.ends_with("/tests.rs");
    path.starts_with("crates/") && is_source && !is_of_tests
}

/// The points of the product, in the order of their files.
pub(crate) fn names(tree: &Tree) -> Vec<String> {
    let files = tree.files.iter().filter(|file| is_product(&file.path));
    let lines = files.flat_map(|file| file.text.as_deref().unwrap_or("").lines());
    lines.filter_map(|line| Some(line.trim().strip_prefix(MARK)?.to_owned())).collect()
}

/// The text with its points as code. One process dies, once: the one that makes the file.
pub(crate) fn armed(text: &str) -> String {
    let line = |line: &str| match line.trim().strip_prefix(MARK) {
        None => line.to_owned(),
        Some(name) => format!(
            "if std::env::var({SWITCH:?}).ok().and_then(|armed| std::fs::File::create_new(\
             armed.strip_prefix({name:?})?.strip_prefix('=')?).ok()).is_some() {{ \
             std::process::abort(); }}"
        ),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// A server that is started again whenever it died.
struct Town {
    dir: PathBuf,
    product: PathBuf,
    armed: String,
    server: Option<Running>,
}

impl Town {
    fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Starts the server, if none runs.
    fn revive(&mut self) -> anyhow::Result<()> {
        if let Some(server) = &mut self.server
            && server.child().try_wait()?.is_none()
        {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("out"))?;
        let mut command = Command::new(&self.product);
        command.args(["server", "run", "--state-dir"]).arg(self.state());
        command.env(SWITCH, &self.armed).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        self.server = Some(Running::start(&mut command)?);
        Ok(())
    }

    /// Asks until there is an answer that fits; whoever died is started again.
    fn ask<T>(
        &mut self,
        (method, path, body): (&str, &str, &Value),
        fits: impl Fn(u16, &Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let socket = self.state().join("server.sock");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut last = String::new();
        let found = until(path, PATIENCE, || {
            if let Err(error) = self.revive() {
                last = format!("{error:#}");
                return None;
            }
            pause(Duration::from_millis(20));
            let (status, answer) = ask(&socket, method, path, &body).ok()?;
            last.clone_from(&answer);
            fits(status, &serde_json::from_str(&answer).ok()?)
        });
        found.with_context(|| format!("the last answer was {last}"))
    }

    /// The deployments, oldest first, as (id, version, state).
    fn deployments(&mut self) -> anyhow::Result<Vec<(String, String, String)>> {
        self.ask(("GET", "/v1/deployments?limit=10", &Value::Null), |status, answer| {
            let list = answer["deployments"].as_array().filter(|_| status == 200)?;
            let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
            let mut all: Vec<_> = list
                .iter()
                .map(|one| (text(one, "id"), text(one, "version"), text(one, "state")))
                .collect();
            all.reverse();
            Some(all)
        })
    }

    /// Gives an order until it is known to have begun the `nth` deployment, and waits for its end.
    fn deployment(&mut self, nth: usize, path: &str, order: &Value) -> anyhow::Result<String> {
        let began = std::time::Instant::now();
        while self.deployments()?.len() < nth {
            // It may die before, in or after this: the list says what came of it.
            self.ask(("POST", path, order), |_, _| Some(())).ok();
            if began.elapsed() > PATIENCE {
                bail!("{path} begins nothing");
            }
        }
        let (id, ..) = self.deployments()?.get(nth - 1).context("a list that shrinks")?.clone();
        let path = format!("/v1/deployments/{id}");
        self.ask(("GET", &path, &Value::Null), |status, answer| {
            let ended = answer["ended_at"].is_string() && status == 200;
            ended.then(|| answer["state"].as_str().unwrap_or_default().to_owned())
        })
    }
}

/// The only user: comes again and again, and counts how often nobody answered well.
struct User {
    leaves: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl User {
    fn comes(address: SocketAddr) -> Self {
        let (leaves, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, counted) = (Arc::clone(&leaves), Arc::clone(&failed));
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                if visit(address).is_none() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                pause(THINKS);
            }
        });
        Self { leaves, failed, thread }
    }

    fn leaves(self) -> u64 {
        self.leaves.store(true, Ordering::Relaxed);
        drop(self.thread.join());
        self.failed.load(Ordering::Relaxed)
    }
}

/// The revision that answered well.
fn visit(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: points\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).ok()?;
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    lines.next()?.contains(" 200 ").then_some(())?;
    lines.find_map(|line| Some(line.strip_prefix("x-revision: ")?.to_owned()))
}

fn journey(
    dir: &Path,
    product: &Path,
    application: &Path,
    armed: &str,
    moment: Moment,
) -> anyhow::Result<()> {
    let address = *free_addresses(1)?.first().context("no free address")?;
    let repository = dir.join("repository");
    fs::create_dir(&repository)?;
    let arm = |at: Moment| if at == moment { fs::create_dir(dir.join("armed")) } else { Ok(()) };
    git(&repository, &["init", "--quiet", "--initial-branch=main"])?;
    for version in ["v1", "v2"] {
        fs::write(repository.join("tidegate.yaml"), config(application, version, address))?;
        git(&repository, &["add", "--all"])?;
        git(&repository, &["commit", "--quiet", "--message", version])?;
        git(&repository, &["tag", version])?;
    }
    let mut town = Town {
        dir: dir.to_owned(),
        product: product.to_owned(),
        armed: armed.to_owned(),
        server: None,
    };
    arm(Moment::Start)?;
    let release = |version: &str| json!({ "repository": repository, "version": version });
    let first = town.deployment(1, "/v1/deployments", &release("v1"))?;
    let user = User::comes(address);
    arm(Moment::Release)?;
    let second = town.deployment(2, "/v1/deployments", &release("v2"))?;
    let back = json!({ "to": "v1", "reason": "to see it come back" });
    let third = town.deployment(3, "/v1/services/points/rollback", &back)?;
    let failed = user.leaves();
    let endings = [first, second, third];
    if endings != ENDINGS {
        bail!("it ended {endings:?}");
    }
    if town.deployments()?.len() != endings.len() {
        bail!("somebody began another deployment");
    }
    if visit(address).as_deref() != Some("v1") {
        bail!("users do not meet what is live");
    }
    // Whoever dies with requests in its hands loses them; the proxy alone has any.
    if failed > 0 && !is_of_the_proxy(armed) {
        bail!("{failed} requests failed");
    }
    town.ask(("GET", "/v1/journal/verify", &Value::Null), |status, answer| {
        (status == 200).then(|| answer["verified"] == true)
    })?
    .then_some(())
    .context("the journal is not whole")
}

fn is_of_the_proxy(armed: &str) -> bool {
    ["cohort-key.", "table.", "proxy.", "vault."].iter().any(|of| armed.starts_with(of))
}

/// Each phase lasts long enough to die in it, and no longer.
fn config(application: &Path, version: &str, address: SocketAddr) -> String {
    let application = Value::from(application.display().to_string());
    format!(
        "tidegate: 1\nservice: points\n\
         deploy:\n  run: [{application}, {version}]\n  instances: 2\n  grace: 1s\n  \
         probes:\n    health: {{get: /health, expect: 200, interval: 100ms, timeout: 2s, retries: 3}}\n\
         traffic:\n  route: {{listen: \"{address}\"}}\n  steps: [50%, 100%]\n  \
         each: {{for: 1s, at_least: 5 requests}}\n  advance_if: [errors < 10%]\n  \
         rollback_if: [errors > 50% for 3s]\n  otherwise: {{hold: 30s, then: rollback}}\n\
         after:\n  watch: {{for: 1s, keep_previous: warm}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_code_only_when_it_is_armed() {
        let text = "fn f() {\n    // failpoint: a.before\n    g();\n}\n";
        let armed = armed(text);
        let lines: Vec<&str> = armed.lines().collect();
        assert_eq!(lines.len(), 4, "each line stays where it was");
        assert!(lines[1].contains("strip_prefix(\"a.before\")"), "{armed}");
        assert!(lines[1].ends_with("{ std::process::abort(); }"), "{armed}");
        let tree = Tree::of(&[("crates/a/src/b.rs", text), ("crates/a/tests/it/b.rs", text)]);
        assert_eq!(names(&tree), ["a.before"]);
    }

    #[test]
    fn what_nobody_reached_does_not_count() {
        let of = |point: &str, deaths, trouble: Option<&str>| Outcome {
            point: point.to_owned(),
            deaths,
            trouble: trouble.map(str::to_owned),
        };
        let page = page(&[of("a", 2, None), of("b", 0, None), of("c", 1, Some("it hangs"))]);
        assert!(page.starts_with("Failpoints died at: 1 of 3\n"), "{page}");
        assert!(page.contains("NOT REACHED  b\n") && page.contains("FAILED       c"), "{page}");
    }
}
