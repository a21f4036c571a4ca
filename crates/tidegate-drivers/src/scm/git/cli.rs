//! The `git` program, asked with argv and a clean environment: no hooks, no system or user
//! settings for local work, no prompt, no pager, no shell.
//! Must never pass foreign text where git could take it for an option.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Longest error text kept of git, in bytes.
const STDERR_BYTES_MAX: u64 = 16 * 1024;
/// Local questions are answered from disk.
pub(super) const LOCAL_TIMEOUT: Duration = Duration::from_secs(60);
/// A fetch of a large repository over a slow line.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(600);

/// Why git gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It could not be started.
    #[error("git could not be started: {0}")]
    Start(std::io::Error),
    /// It took too long.
    #[error("git did not end within {0:?}")]
    TimedOut(Duration),
    /// It answered more than asked for.
    #[error("git answered more than {0} bytes")]
    TooMuch(u64),
    /// It broke.
    #[error("git could not be read: {0}")]
    Read(std::io::Error),
}

/// What git said.
#[derive(Debug)]
pub(super) struct Said {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// Its standard output.
    pub(super) out: Vec<u8>,
    /// Its standard error, one printable line.
    pub(super) err: String,
}

/// A repository to ask.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    /// A work tree, a bare repository or a mirror of ours.
    pub(super) path: PathBuf,
}

impl Repository {
    /// A command on this repository.
    pub(super) fn git(&self, arguments: &[&str]) -> Command {
        let mut command = git(&self.path);
        command.args(arguments);
        // The user's own settings may name programs: for local work none is needed.
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    }

    /// Asks a local question.
    ///
    /// # Errors
    /// [`Error`]; that git says no is an answer.
    pub(super) async fn ask(&self, arguments: &[&str], bytes_max: u64) -> Result<Said, Error> {
        run(self.git(arguments), bytes_max, LOCAL_TIMEOUT).await
    }
}

/// A git command in a directory. Its environment is ours alone.
pub(super) fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    let inherited = ["PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR"];
    let kept = inherited.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let kept: Vec<(&str, OsString)> = kept.collect();
    command
        .env_clear()
        .envs(kept)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        .arg("-C")
        .arg(directory)
        .args(["-c", "core.hooksPath=/dev/null"])
        .args(["-c", "core.fsmonitor=false"])
        // The repository may belong to the developer who gave it to the service's user: that it
        // is named in the configuration is the consent, and nothing in it is executed.
        .args(["-c", "safe.directory=*"])
        .arg("--no-pager")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Runs a command to its end.
///
/// # Errors
/// [`Error`].
pub(super) async fn run(
    mut command: Command,
    bytes_max: u64,
    timeout: Duration,
) -> Result<Said, Error> {
    let child = command.spawn().map_err(Error::Start)?;
    match tokio::time::timeout(timeout, collect(child, bytes_max)).await {
        Ok(said) => said,
        Err(_elapsed) => Err(Error::TimedOut(timeout)),
    }
}

async fn collect(mut child: Child, bytes_max: u64) -> Result<Said, Error> {
    let out = read_some(child.stdout.take(), bytes_max.saturating_add(1));
    let err = read_some(child.stderr.take(), STDERR_BYTES_MAX);
    let (out, err) = tokio::try_join!(out, err)?;
    if out.len() as u64 > bytes_max {
        return Err(Error::TooMuch(bytes_max));
    }
    let status = child.wait().await.map_err(Error::Read)?;
    Ok(Said { status, out, err: crate::text::last_lines(&err, 3) })
}

// Stops at the limit: what closes the pipe early ends git by SIGPIPE.
async fn read_some(from: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limit).read_to_end(&mut bytes).await.map_err(Error::Read)?;
    }
    Ok(bytes)
}
