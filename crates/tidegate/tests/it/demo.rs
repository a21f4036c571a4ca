//! `tidegate demo` as a person or a pipeline runs it: what it promises, what it admits when the
//! promise is broken, and that nothing of it is left. One at a time: each is a loaded machine.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{TIDEGATE, belonging_to, send, wait};

/// Enough for the sample of the first step in ten seconds, and light enough for two
/// cores that run other tests.
const RATE: &str = "600";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One run, being read.
struct Run {
    child: Child,
    stdout: BufReader<ChildStdout>,
    lines: Vec<Value>,
    _alone: MutexGuard<'static, ()>,
}

/// How a run ended.
struct Ended {
    code: i32,
    lines: Vec<Value>,
}

impl Run {
    fn start(arguments: &[&str]) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new(TIDEGATE)
            .args(["demo", "--no-input", "--rate", RATE])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, lines: Vec::new(), _alone: alone }
    }

    /// Reads up to the line that fits; the demo ends by itself, so this does.
    #[track_caller]
    fn read_until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        while let Some(line) = self.next_line() {
            if fits(&line) {
                return line;
            }
        }
        panic!("the demo ended before {what}: {:#?}", self.lines);
    }

    fn next_line(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.lines.push(value.clone());
        Some(value)
    }

    fn end(mut self) -> Ended {
        while self.next_line().is_some() {}
        let code = self.child.wait().unwrap().code().unwrap();
        let ended = Ended { code, lines: self.lines };
        let directory = ended.directory();
        assert!(!directory.exists(), "{} is left", directory.display());
        assert_eq!(belonging_to(&directory), [0; 0], "processes are left");
        ended
    }
}

impl Ended {
    fn directory(&self) -> PathBuf {
        PathBuf::from(self.lines[0]["scene"]["directory"].as_str().unwrap())
    }

    /// The closing line, which is the last.
    fn summary(&self) -> &Value {
        &self.lines.last().unwrap()["summary"]
    }

    /// What happened, in order.
    fn texts(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line["text"].as_str()).collect()
    }

    #[track_caller]
    fn holds(&self) {
        let summary = self.summary();
        assert_eq!(self.code, 0, "{summary}\n{:#?}", self.texts());
        assert_eq!(summary["good"]["result"], "succeeded");
        assert_eq!(summary["good"]["failed"], 0);
        assert!(summary["good"]["requests"].as_u64().unwrap() > 1_000, "{summary}");
        assert_eq!(summary["bad"]["result"], "rolled_back");
        assert!(summary["bad"]["exposed_requests"].as_u64().unwrap() > 0, "{summary}");
        assert!(summary["bad"]["time_to_safe_ms"].as_u64().is_some(), "{summary}");
        assert_eq!(summary["dropped_by_proxy"], 0);
        assert_eq!(summary["journal_verified"], true);
    }
}

fn run(arguments: &[&str]) -> Ended {
    Run::start(arguments).end()
}

#[test]
fn a_release_with_errors_comes_back_by_itself() {
    let ended = run(&["--json"]);
    ended.holds();
    let failed = ended.summary()["bad"]["failed_requests"].as_u64().unwrap();
    assert!(failed > 0, "{}", ended.summary());
    let steps: Vec<bool> = [
        "north 95 %, south 5 %",
        "north 75 %, south 25 %",
        "north 50 %, south 50 %",
        "north 0 %, south 100 %",
    ]
    .iter()
    .map(|split| ended.texts().iter().any(|text| text.contains(split)))
    .collect();
    assert_eq!(steps, [true; 4], "{:#?}", ended.texts());
    // The configuration that it printed is the one in force, and nothing special.
    let config = ended.lines[0]["scene"]["config"].as_str().unwrap();
    assert!(config.starts_with("tidegate: 1\nservice: shop\n"), "{config}");
}

#[test]
fn a_slow_release_comes_back_by_itself() {
    run(&["--json", "--fail", "latency"]).holds();
}

#[test]
fn a_release_that_dies_comes_back_by_itself() {
    run(&["--json", "--fail", "crash"]).holds();
}

#[test]
fn a_release_that_eats_memory_comes_back_by_itself() {
    run(&["--json", "--fail", "memory"]).holds();
}

#[test]
fn a_sick_release_comes_back_by_itself() {
    run(&["--json", "--fail", "health"]).holds();
}

#[test]
fn the_proxy_is_replaced_in_the_middle_of_it_and_nothing_is_lost() {
    let ended = run(&["--json", "--upgrade-proxy"]);
    ended.holds();
    let said = ended.lines.iter().filter_map(|line| line["said"]["text"].as_str());
    let replaced = said.filter(|said| said.starts_with("the proxy is another process: pid "));
    assert_eq!(replaced.count(), 1, "{:#?}", ended.lines);
}

#[test]
fn without_rules_the_bad_release_stays_and_the_demo_says_so() {
    let ended = run(&["--json", "--without-rollback-rules"]);
    let summary = ended.summary();
    assert_eq!(ended.code, 1, "{summary}");
    assert_eq!(summary["good"]["result"], "succeeded", "{summary}");
    assert_eq!(summary["bad"]["result"], "succeeded", "{summary}");
    assert!(summary["bad"]["failed_requests"].as_u64().unwrap() > 100, "{summary}");
    assert_eq!(summary["dropped_by_proxy"], 0, "{summary}");
}

#[test]
fn a_proxy_that_is_killed_is_charged_with_what_it_lost() {
    let mut run = Run::start(&["--json"]);
    let scene = run.read_until("its scene", |line| line["scene"].is_object());
    let state_dir = PathBuf::from(scene["scene"]["state_dir"].as_str().unwrap());
    run.read_until("users met v2", |line| line["load"]["answered"]["v2"].as_u64() > Some(0));
    let killed = proxy_pid(&state_dir, None);
    send(killed, Signal::KILL);
    // The server starts another within a second, and the run goes on to its end.
    proxy_pid(&state_dir, Some(killed));
    let ended = run.end();
    let summary = ended.summary();
    assert!(summary["dropped_by_proxy"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(ended.code, 1, "{summary}");
}

/// Waits for a proxy that runs and is not that one.
fn proxy_pid(state_dir: &Path, other_than: Option<u32>) -> u32 {
    wait("a proxy runs", || {
        let output = Command::new(TIDEGATE)
            .args(["proxy", "status", "--json", "--state-dir"])
            .arg(state_dir)
            .output()
            .unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let pid = u32::try_from(status["pid"].as_u64()?).ok()?;
        (status["running"] == true && Some(pid) != other_than).then_some(pid)
    })
}

#[test]
fn in_a_pipe_it_speaks_in_lines_and_an_interrupt_leaves_nothing() {
    let mut run = Run::start(&[]);
    let mut text = String::new();
    let mut directory = None;
    while !text.contains("s  5 % of the users") {
        let mut line = String::new();
        assert!(run.stdout.read_line(&mut line).unwrap() > 0, "it ended early: {text}");
        assert!(!line.contains('\u{1b}'), "no escapes in a pipe: {line:?}");
        if let Some(place) = line.strip_prefix("A shop in ") {
            directory = place.split(',').next().map(PathBuf::from);
        }
        text.push_str(&line);
    }
    assert!(text.contains("    rollback_if:"), "the configuration is shown: {text}");
    assert!(text.contains("\nv2: a good release"), "{text}");
    let directory = directory.unwrap();
    assert!(!belonging_to(&directory).is_empty());
    send(run.child.id(), Signal::INT);
    run.stdout.read_to_string(&mut text).unwrap();
    assert_eq!(run.child.wait().unwrap().code(), Some(1));
    assert!(text.ends_with("interrupted; all of it is stopped\n"), "{text}");
    assert!(!directory.exists());
    assert_eq!(belonging_to(&directory), [0; 0]);
}
