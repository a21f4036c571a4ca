//! Starts a server beside this command, in its own session, and waits until it answers.
//! Only `deploy` does this. Must never leave a half-started server unmentioned.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;
use crate::view::service::Server;

/// A server folds 10,000 deployments in two seconds; ten times that is given.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Time between two looks at a server that starts.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes of the server's last words that are shown.
const WORDS_MAX: usize = 600;

/// Starts a server for this state directory and answers with its process id once it is ready.
///
/// # Errors
/// TG6114 when it ended at once or did not answer in time, with its last words.
pub(crate) async fn start(dir: &StateDir, client: &Client) -> Result<u32, Failure> {
    dir.create().map_err(|error| super::refused_dir(&error))?;
    let words = dir.path().join("server.start.log");
    let mut child = spawn(dir, &words)
        .map_err(|error| failed(&format!("the server could not be started: {error}"), dir))?;
    let deadline = Instant::now() + READY_WITHIN;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        look.tick().await;
        if let Some(pid) = pid_of_server(client).await {
            return Ok(pid);
        }
        match child.try_wait() {
            // Somebody else started one in the same moment, which is about to answer.
            Ok(Some(status)) if status.code() == Some(Exit::Conflict.code().into()) => {}
            Ok(Some(status)) => {
                let said = last_words(&words);
                return Err(failed(&format!("the server ended at once ({status}){said}"), dir));
            }
            Ok(None) => {}
            Err(error) => return Err(failed(&error.to_string(), dir)),
        }
        if Instant::now() >= deadline {
            let waited = READY_WITHIN.as_secs();
            let said = last_words(&words);
            return Err(failed(&format!("no server answered in {waited} s{said}"), dir));
        }
    }
}

async fn pid_of_server(client: &Client) -> Option<u32> {
    if !client.answers().await {
        return None;
    }
    client.get::<Server>("/v1/server").await.ok().map(|server| server.pid)
}

fn spawn(dir: &StateDir, words: &Path) -> std::io::Result<Child> {
    let said = std::fs::File::create(words)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["server", "run", "--detached", "--state-dir"])
        .arg(dir.path())
        // The caller's folder may be removed while the server runs.
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said);
    for name in ["TIDEGATE_JSON", "TIDEGATE_SERVER"] {
        command.env_remove(name);
    }
    command.spawn()
}

fn last_words(path: &Path) -> String {
    let said = std::fs::read_to_string(path).unwrap_or_default();
    let said = crate::text::plain(said.trim());
    if said.is_empty() {
        String::new()
    } else {
        format!(": {}", crate::text::cut(&said, WORDS_MAX))
    }
}

fn failed(what: &str, dir: &StateDir) -> Failure {
    Failure::new(Exit::Unexpected, "TG6114", what)
        .safe("no deployment was started, traffic is as it was")
        .help(format!("its log is {}", dir.server_log().display()))
}
