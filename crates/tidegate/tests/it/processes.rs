//! What remains when processes die: the server, the proxy, a shim, an instance of the candidate
//! are killed in every phase of a deployment that can be caught, with users present throughout.
//! A deployment must end as it would have without that, and nobody may lose a request by Tidegate.

mod candidate;
mod control;
mod emergency;
mod everything;
mod journey;
mod plane;
mod server;
mod shim;
mod users;

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{App, PATIENCE, TIDEGATE, World, belonging_to, send, wait};
use users::Users;

/// Phases before any user meets the candidate.
const PREPARING: [&str; 5] = ["ready", "plan", "deploy", "health", "smoke"];
/// Phases of the shift.
const SHIFTING: [&str; 4] = ["traffic.step1", "traffic.step2", "bake", "finish"];
/// Phases of the way back.
const RETURNING: [&str; 4] =
    ["rollback.capacity", "rollback.traffic", "rollback.verify", "rollback.scale-down"];

/// A world in which `v1` is live, with users on it.
struct Town<'w> {
    world: &'w World,
    app: App<'w>,
    users: Users,
    releases: Cell<u32>,
}

impl<'w> Town<'w> {
    /// Deploys `v1` with a configuration in which every phase lasts long enough to be met.
    fn new(world: &'w World) -> Self {
        Self::with(world, "")
    }

    /// The same with more keys of the configuration, below `traffic:`.
    #[track_caller]
    fn with(world: &'w World, traffic: &str) -> Self {
        let app = world.app();
        app.write("tidegate.yaml", &unhurried(&app.listen, traffic));
        app.release("v1", "");
        let first = app.deploy("v1");
        let end = world.wait_for_end(&first);
        assert_eq!(end, "live_unverified", "{}", world.get(&format!("/v1/deployments/{first}")));
        let users = Users::of(&app.listen);
        Self { world, app, users, releases: Cell::new(1) }
    }

    /// Tags and deploys one more good release; its version and the deployment's id.
    #[track_caller]
    fn deploy_next(&self) -> (String, String) {
        let version = format!("v{}", self.releases.get() + 1);
        self.releases.set(self.releases.get() + 1);
        self.app.release(&version, "");
        let id = self.app.deploy(&version);
        (version, id)
    }

    /// Waits until the deployment has entered a phase; for a phase of the way back, asks for it
    /// in the first step.
    #[track_caller]
    fn reach(&self, id: &str, phase: &str) {
        if phase == "ready" {
            self.world.wait_for(id, |event| event["kind"] == "deployment_started");
            return;
        }
        if phase.starts_with("rollback.") {
            self.world.wait_for(id, |event| event["kind"] == "step_converged");
            self.roll_back();
        }
        self.world.wait_for_phase(id, phase);
    }

    #[track_caller]
    fn roll_back(&self) {
        let why = json!({ "reason": "a person wants it" });
        self.world.ask(200, "POST", "/v1/services/shop/rollback", &why);
    }

    /// The end that a deployment has when nobody dies: `succeeded` with this version live, or
    /// `rolled_back` with the earlier one when the way back was asked for in `phase`.
    #[track_caller]
    fn ends_as_ever(&self, id: &str, version: &str, phase: &str, live: &mut String) {
        let forward = !phase.starts_with("rollback.");
        let end = self.world.wait_for_end(id);
        let timeline = || self.timeline(id);
        let expected = if forward { "succeeded" } else { "rolled_back" };
        assert_eq!(end, expected, "killed in {phase}: {}", timeline());
        if forward {
            version.clone_into(live);
        }
        assert_eq!(self.app.visit("/"), Some((200, live.clone())), "killed in {phase}");
    }

    /// Every event of a deployment, in words.
    fn timeline(&self, id: &str) -> String {
        let lines =
            self.world.events(id, 0).map(|event| format!("\n{} {}", event["at"], event["text"]));
        lines.collect()
    }

    /// Nobody else comes; all were served.
    #[track_caller]
    fn everybody_was_served(self) {
        let tally = self.users.finish();
        assert!(tally.failed.is_empty(), "{tally:?}");
        let verified = self.world.get("/v1/journal/verify");
        assert_eq!(verified["verified"], true, "{verified}");
    }

    /// Processes of the application that serve this version.
    fn instances(&self, version: &str) -> Vec<u32> {
        let artifacts = self.world.state_dir().join("artifacts");
        let mut found: Vec<u32> = belonging_to(&artifacts)
            .into_iter()
            .filter(|pid| {
                let of = PathBuf::from(format!("/proc/{pid}"));
                let answer = fs::read_to_string(of.join("cwd/answer")).unwrap_or_default();
                let program = fs::read_link(of.join("exe")).unwrap_or_default();
                answer == version && program.ends_with("tinyshop")
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// Processes that look after a slot.
    fn shims(&self) -> Vec<u32> {
        let slots = self.world.state_dir().join("slots");
        let is_shim = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == b"shim")
        };
        belonging_to(&slots).into_iter().filter(is_shim).collect()
    }

    /// Kills a process without a chance for last words, and waits until it is gone.
    #[track_caller]
    fn kill(pid: u32) {
        let stat = PathBuf::from(format!("/proc/{pid}/stat"));
        let gone = || {
            // A process that nobody has collected yet is dead all the same.
            let text = fs::read_to_string(&stat).ok()?;
            let state = text.rsplit_once(')')?.1.trim_start().chars().next()?;
            (state != 'Z').then_some(())
        };
        send(pid, Signal::KILL);
        wait("a killed process is gone", || gone().is_none().then_some(()));
    }
}

/// What the proxy says of its only service, asked at its own socket.
fn proxy_status(world: &World) -> Option<Value> {
    let mut stream = UnixStream::connect(world.state_dir().join("proxy.sock")).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET /v1/status HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_head, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

/// Process id of the proxy that answers.
#[track_caller]
fn proxy_pid(world: &World) -> u32 {
    let status = proxy_status(world).expect("the proxy answers");
    status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap()
}

/// The tiny application, which takes a moment to build, to start, and to be tried.
fn unhurried(listen: &str, traffic: &str) -> String {
    let program = Path::new(TIDEGATE).with_file_name("examples").join("tinyshop");
    let program = program.display();
    format!(
        "tidegate: 1\nservice: shop\n\
         build: {{shell: \"sleep 0.3\"}}\n\
         deploy:\n  run: {{shell: \"sleep 0.3; exec {program}\"}}\n  instances: 2\n  grace: 1s\n  \
         start_within: 30s\n  probes:\n    \
         health: {{get: /health, expect: 200, interval: 100ms, timeout: 2s, retries: 3}}\n  \
         smoke: {{shell: \"sleep 0.3\"}}\n\
         traffic:\n  route: {{listen: \"{listen}\"}}\n  steps: [50%, 100%]\n{traffic}  \
         each: {{for: 1s, at_least: 5 requests}}\n  advance_if: [errors < 10%]\n  \
         rollback_if: [errors > 50% for 3s]\n  otherwise: {{hold: 30s, then: rollback}}\n\
         after:\n  watch: {{for: 1s, keep_previous: warm}}\n"
    )
}
