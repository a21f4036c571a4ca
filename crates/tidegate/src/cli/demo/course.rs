//! One deployment, made as a user makes it: `tidegate deploy TAG` in the repository.
//! It must never ask the server for anything that a user could not.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::Instant;

use super::load::{Load, now_us};
use super::scene::Scene;
use super::story::sentence;
use super::summary::{Course, SentBack};
use super::voice::Voice;
use crate::exit::Exit;
use crate::text;

/// A deployment of the shop takes half a minute; on a machine that is busy with other things, a
/// few times that.
const DEPLOY_WITHIN: Duration = Duration::from_mins(4);
/// What a command says on stderr is kept up to this many bytes.
const SAID_BYTES_MAX: u64 = 16 * 1024;
/// How often the moving line is drawn anew, and how often a pipe hears of the load.
const REDRAW: Duration = Duration::from_millis(250);
const REPORT: Duration = Duration::from_secs(1);

/// This program with these arguments, in the repository, with nothing of the environment that
/// would turn it to another server.
pub(crate) fn tidegate(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = Command::new(scene.program());
    command
        .arg("--state-dir")
        .arg(scene.state_dir())
        .args(arguments)
        .current_dir(scene.repository())
        .stdin(Stdio::null())
        // Ctrl-C in the terminal is for the demo; the demo ends the others.
        .process_group(0)
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDEGATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a line of `deploy --progress json` must have to be an event.
#[derive(Debug, Deserialize)]
struct EventLine {
    at: jiff::Timestamp,
    kind: String,
    #[serde(default)]
    event: Value,
}

/// Deploys a tag and follows it to its end.
///
/// # Errors
/// When the command cannot be run, does not come to an end, or ends without a deployment.
pub(crate) async fn deploy(
    scene: &Scene,
    tag: &str,
    voice: &Voice<'_>,
    load: Option<&Load>,
) -> anyhow::Result<Course> {
    let from_us = now_us();
    let mut command = tidegate(scene, &["--progress", "json", "--no-input", "deploy", tag]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the command line cannot be started")?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        bail!("the command line has no output");
    };
    let said = tokio::spawn(keep_said(stderr));
    let began = Instant::now();
    let mut following = Following {
        voice,
        load,
        tag,
        first_split_us: None,
        sent_back: None,
        began,
        last_pulse: began,
    };
    let lines = BufReader::new(stdout).lines();
    let status = tokio::time::timeout(DEPLOY_WITHIN, following.follow(lines, &mut child))
        .await
        .with_context(|| format!("the deployment of {tag} does not come to an end"))??;
    let exit = status.code().and_then(|code| u8::try_from(code).ok()).map(Exit::of_number);
    match exit.and_then(word) {
        Some(result) => Ok(Course {
            result: result.to_owned(),
            from_us,
            to_us: now_us(),
            exposed_from_us: following.first_split_us,
            sent_back: following.sent_back,
        }),
        None => {
            let said = said.await.unwrap_or_default();
            bail!("`tidegate deploy {tag}` ended with {status}: {}", text::plain(said.trim()))
        }
    }
}

/// What an exit code says of the deployment; `None` when it says that there was none.
fn word(exit: Exit) -> Option<&'static str> {
    Some(match exit {
        Exit::Done => "succeeded",
        Exit::LiveUnverified => "live_unverified",
        Exit::RolledBack => "rolled_back",
        Exit::RolledBackUnverified => "rolled_back_unverified",
        Exit::Held => "held",
        Exit::NeedsPerson => "needs_person",
        Exit::Stopped => "stopped",
        Exit::Aborted => "aborted",
        Exit::Superseded => "superseded",
        Exit::Rejected => "rejected",
        Exit::Unexpected
        | Exit::Usage
        | Exit::ConfigInvalid
        | Exit::NotAllowed
        | Exit::NotFound
        | Exit::Conflict
        | Exit::WaitingForPeople
        | Exit::HasChanges
        | Exit::Unreachable
        | Exit::Interrupted => return None,
    })
}

async fn keep_said(mut stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let read = (&mut stderr).take(SAID_BYTES_MAX).read_to_end(&mut said).await;
    // The rest is read too, so that the command never waits for a reader.
    let drained = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    if let Some(error) = read.err().or_else(|| drained.err()) {
        tracing::debug!(%error, "stderr of a command");
    }
    String::from_utf8_lossy(&said).into_owned()
}

struct Following<'f> {
    voice: &'f Voice<'f>,
    load: Option<&'f Load>,
    tag: &'f str,
    first_split_us: Option<u64>,
    sent_back: Option<SentBack>,
    began: Instant,
    last_pulse: Instant,
}

impl Following<'_> {
    async fn follow(
        &mut self,
        mut lines: Lines<BufReader<ChildStdout>>,
        child: &mut Child,
    ) -> anyhow::Result<ExitStatus> {
        let mut redraw =
            tokio::time::interval(if self.voice.is_screen() { REDRAW } else { REPORT });
        loop {
            tokio::select! {
                line = lines.next_line() => match line? {
                    Some(line) => self.hear(&line),
                    None => break,
                },
                _ = redraw.tick() => self.pulse(),
            }
        }
        Ok(child.wait().await?)
    }

    fn hear(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<EventLine>(line) else {
            tracing::debug!(line, "not an event");
            return;
        };
        // The first split of a deployment is the first that gives its release requests.
        if event.kind == "split_wanted" && self.first_split_us.is_none() {
            self.first_split_us = u64::try_from(event.at.as_microsecond()).ok();
        }
        if event.kind == "rollback_began" && self.sent_back.is_none() {
            let text = |key: &str| event.event[key].as_str().unwrap_or_default().to_owned();
            let at_us = u64::try_from(event.at.as_microsecond()).unwrap_or_default();
            self.sent_back = Some(SentBack { reason: text("reason"), at_us, why: text("why") });
        }
        // Without users there is nobody to share: the first release enters its steps and leaves
        // them at once.
        let is_share = event.event["phase"]["traffic"].is_object();
        let sentence = sentence(&event.kind, &event.event);
        let sentence = sentence.filter(|_| self.load.is_some() || !is_share);
        self.voice.event(line, sentence.as_deref(), self.began.elapsed());
    }

    fn pulse(&mut self) {
        if let Some(load) = self.load {
            let seconds = self.last_pulse.elapsed().as_secs_f64();
            self.last_pulse = Instant::now();
            self.voice.pulse(self.tag, &load.ledger().pulse(), seconds);
        }
    }
}

/// Starts the server as a process of its own, with what it prints in a file.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn start_server(scene: &Scene, log: &Path) -> anyhow::Result<Child> {
    let log = std::fs::File::create(log).context("the server's output has no place")?;
    let mut command = tidegate(scene, &["server", "run", "--listen", "127.0.0.1:0"]);
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().context("the server cannot be started")
}
