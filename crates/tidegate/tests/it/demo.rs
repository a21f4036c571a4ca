//! The demo as a stranger runs it, and the two ways to make it say that something is wrong.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness;

/// The demo in a process of its own, read line by line.
struct Demo {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["demo", "--json", "--no-input"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that fits; the last line when none does.
    fn find(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return last;
            }
            last = serde_json::from_str(&line).unwrap();
            if fits(&last) {
                return last;
            }
        }
    }

    /// The closing line and the exit code.
    fn end(mut self) -> (Value, Option<i32>) {
        let closing = self.find(|_| false);
        let code = self.child.wait().unwrap().code();
        (closing["summary"].clone(), code)
    }
}

#[test]
fn the_good_release_goes_live_and_the_bad_one_comes_back() {
    let (summary, code) = Demo::start(&[]).end();
    assert_eq!(summary["good"]["result"], "succeeded", "{summary}");
    assert_eq!(summary["good"]["failed"], 0, "{summary}");
    assert_eq!(summary["bad"]["result"], "rolled_back", "{summary}");
    assert!(summary["bad"]["exposed_requests"].as_u64().unwrap() > 0, "{summary}");
    assert!(summary["bad"]["time_to_safe_ms"].as_u64().is_some(), "{summary}");
    assert_eq!(summary["dropped_by_proxy"], 0, "{summary}");
    assert_eq!(summary["journal_verified"], true, "{summary}");
    assert_eq!(code, Some(0), "{summary}");
}

#[test]
fn without_rollback_rules_the_bad_release_goes_live_and_that_is_said() {
    let (summary, code) = Demo::start(&["--without-rollback-rules"]).end();
    assert_eq!(summary["bad"]["result"], "succeeded", "{summary}");
    assert_eq!(code, Some(1), "{summary}");
}

#[test]
fn what_a_killed_proxy_loses_is_counted_against_it() {
    let mut demo = Demo::start(&[]);
    let scene = demo.find(|line| line.get("scene").is_some());
    let state_dir = PathBuf::from(scene["scene"]["state_dir"].as_str().unwrap());
    let shifting = |line: &Value| line["kind"] == "step_converged" && line["event"]["step"] == 1;
    assert!(shifting(&demo.find(shifting)), "traffic was never divided");
    let status = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("--state-dir")
        .arg(&state_dir)
        .args(["--json", "proxy", "status"])
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap();
    harness::send(pid, Signal::KILL);
    let (summary, code) = demo.end();
    assert!(summary["dropped_by_proxy"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(code, Some(1), "{summary}");
}
