//! A whole Tidegate with one service: server, repository, application, all as a user has them.
//! Must never speak to the server but by its public API and its command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::Bench;
use super::product::output;
use super::running::{Running, ask, free_addresses, until};

/// A server answers within this, or does not at all.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// A stopped server is gone within this.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// A phase of the sample's deployment takes seconds; on a busy machine more.
const PHASE_WITHIN: Duration = Duration::from_secs(120);

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    socket: PathBuf,
}

impl Server {
    /// Starts `command`, the program with its streams, as the server of a state directory, and
    /// waits for its first answer.
    ///
    /// # Errors
    /// When none comes.
    pub(crate) fn start(mut command: Command, state: &Path) -> anyhow::Result<Self> {
        command.args(["server", "run", "--state-dir"]).arg(state);
        let mut server =
            Self { running: Running::start(&mut command)?, socket: state.join("server.sock") };
        let socket = server.socket.clone();
        let child = server.running.child();
        let ready = until("the server answers", READY_WITHIN, || {
            let ended = child.try_wait().ok().flatten();
            let answers = ask(&socket, "GET", "/v1/server", "").is_ok_and(|(code, _)| code == 200);
            (answers || ended.is_some()).then_some(ended)
        })?;
        match ready {
            None => Ok(server),
            Some(status) => bail!("the server ended with {status} instead of answering"),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The process id of the proxy that it looks after, once that runs.
    ///
    /// # Errors
    /// When it does not run in time.
    pub(crate) fn proxy_pid(&self) -> anyhow::Result<u32> {
        until("the server's proxy runs", READY_WITHIN, || {
            let shown = self.get("/v1/server").ok()?;
            shown["proxy"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
        })
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.post("/v1/server/stop", &json!({}))?;
        let child = self.running.child();
        until("the server stops", STOPS_WITHIN, || child.try_wait().ok().flatten()).map(drop)
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// When it answers anything but 200.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = ask(&self.socket, "GET", path, "")?;
        if status != 200 {
            bail!("GET {path}: {status} {body}");
        }
        Ok(serde_json::from_str(&body)?)
    }

    /// Gives an order.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = ask(&self.socket, "POST", path, &body.to_string())?;
        if !(200..300).contains(&status) {
            bail!("POST {path}: {status} {answer}");
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

/// One event of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happened {
    /// Its kind, `rollback_began`.
    pub(crate) kind: String,
    /// When it was decided, microseconds since 1970.
    pub(crate) at_us: u64,
}

/// The service `bench` on a server of its own.
#[derive(Debug)]
pub(crate) struct Service {
    /// The server.
    pub(crate) server: Server,
    /// Where users connect.
    pub(crate) address: SocketAddr,
    program: PathBuf,
    state: PathBuf,
    repository: PathBuf,
}

impl Service {
    /// Makes a repository with the releases `v1` and `v2` and starts a server.
    ///
    /// # Errors
    /// When git or the server fails.
    pub(crate) fn start(bench: &Bench, dir: &Path) -> anyhow::Result<Self> {
        let address = *free_addresses(1)?.first().context("no free address")?;
        let repository = dir.join("repository");
        std::fs::create_dir(&repository)?;
        let git = |arguments: &[&str]| git(&repository, arguments);
        git(&["init", "--quiet", "--initial-branch=main"])?;
        let echo = bench.product.example("bench_echo");
        for version in ["v1", "v2"] {
            let config = config(&echo, version, address);
            std::fs::write(repository.join("tidegate.yaml"), config)?;
            git(&["add", "--all"])?;
            git(&["commit", "--quiet", "--message", version])?;
            git(&["tag", version])?;
        }
        let program = bench.product.tidegate();
        let state = dir.join("state");
        let mut command = Command::new(&program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server::start(command, &state)?;
        Ok(Self { server, address, program, state, repository })
    }

    /// Begins a deployment and answers with its id.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn deploy(&self, version: &str) -> anyhow::Result<String> {
        let asked = json!({
            "repository": self.repository,
            "version": version,
            // Rolled back by hand many times over; that is what is measured.
            "despite_quarantine": true,
        });
        let accepted = self.server.post("/v1/deployments", &asked)?;
        Ok(accepted["id"].as_str().context("a deployment without an id")?.to_owned())
    }

    /// Rolls back by the command line, as a person does.
    ///
    /// # Errors
    /// When the command fails.
    pub(crate) fn roll_back(&self) -> anyhow::Result<()> {
        let state = self.state.display().to_string();
        let arguments = ["rollback", "--service", "bench", "--no-wait", "--no-input", "--yes"];
        let mut arguments = arguments.to_vec();
        arguments.extend(["--reason", "to measure it", "--state-dir", &state]);
        output(&self.program, &arguments).map(drop)
    }

    /// What happened to a deployment so far.
    ///
    /// # Errors
    /// When the server does not say.
    pub(crate) fn events(&self, id: &str) -> anyhow::Result<Vec<Happened>> {
        let lines = self.server.get(&format!("/v1/deployments/{id}/events"))?;
        let lines = lines["events"].as_array().context("no list of events")?;
        lines.iter().map(happened).collect()
    }

    /// What happened to a deployment, in the server's words.
    fn told(&self, id: &str) -> anyhow::Result<String> {
        let lines = self.server.get(&format!("/v1/deployments/{id}/events"))?;
        let lines = lines["events"].as_array().context("no list of events")?;
        let words = lines.iter().map(|line| {
            let part = |key: &str| line[key].as_str().unwrap_or_default();
            format!("{} {}", part("at"), part("text"))
        });
        Ok(words.collect::<Vec<_>>().join("\n"))
    }

    /// Waits for an event and answers with all that happened by then.
    ///
    /// # Errors
    /// When the deployment ends without it, or it does not come in time.
    pub(crate) fn wait_for(&self, id: &str, kind: &str) -> anyhow::Result<Vec<Happened>> {
        let found = until(kind, PHASE_WITHIN, || {
            // A deployment that was accepted a moment ago may not be found yet.
            let events = self.events(id).ok()?;
            let is_done = |one: &Happened| one.kind == kind || one.kind == "deployment_ended";
            events.iter().any(is_done).then_some(events)
        })?;
        if !found.iter().any(|one| one.kind == kind) {
            bail!("{id} ended without {kind}:\n{}", self.told(id)?);
        }
        Ok(found)
    }
}

fn happened(line: &Value) -> anyhow::Result<Happened> {
    let text = |key: &str| line[key].as_str().with_context(|| format!("an event without {key}"));
    let at: jiff::Timestamp = text("at")?.parse()?;
    let at_us = u64::try_from(at.as_microsecond())?;
    Ok(Happened { kind: text("kind")?.to_owned(), at_us })
}

/// Git without this machine's configuration: hooks and signing keys stay out of it.
///
/// # Errors
/// When it fails.
pub(crate) fn git(repository: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("git")
        .args(["-c", "user.name=bench", "-c", "user.email=bench@localhost"])
        .args(arguments)
        .current_dir(repository)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .status()
        .context("git cannot be run")?;
    if !status.success() {
        bail!("git {} failed", arguments.join(" "));
    }
    Ok(())
}

/// Half of the users meet the candidate, and stay there until somebody decides.
fn config(echo: &Path, version: &str, address: SocketAddr) -> String {
    // A JSON string is a double-quoted YAML text.
    let echo = Value::from(echo.display().to_string());
    format!(
        "tidegate: 1\nservice: bench\n\
         deploy:\n  run: [{echo}, {version}]\n  instances: 2\n  grace: 1s\n  \
         probes:\n    health: {{get: /health, expect: 200, within: 1s, interval: 200ms}}\n\
         traffic:\n  route: {{listen: \"{address}\"}}\n  steps: [50%, 100%]\n  \
         each: {{for: 10m, at_least: 1000 requests}}\n  floor: attributed\n\
         after:\n  watch: {{for: 1s, keep_previous: warm}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_kind_and_its_microsecond() {
        let line = json!({"kind": "rollback_began", "at": "1970-01-01T00:00:01.000002Z"});
        let read = happened(&line).unwrap();
        assert_eq!((read.kind.as_str(), read.at_us), ("rollback_began", 1_000_002));
        assert!(happened(&json!({"kind": "rollback_began"})).is_err());
    }
}
