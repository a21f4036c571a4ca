//! A command that runs once and ends: argv, own process group, cleared environment, deadline,
//! bounded output. Must never go through a shell and never leave a process behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::hidden::{Hidden, Veil};
use crate::proc::{self, MARK};

/// Variables that every command inherits, when they are set.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];
/// Where programs are looked for when Tidegate itself was started without a `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Output kept in memory for messages, in bytes: a few screens.
pub(crate) const TAIL_BYTES_MAX: usize = 16 * 1024;
/// Output kept on disk of one command, in bytes.
pub(crate) const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How long output is still read after the command and its group are gone: whoever holds the
/// pipe then has left the group, and is not waited for.
const DRAIN: Duration = Duration::from_millis(500);

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Once<'a> {
    /// Program and arguments.
    pub(crate) argv: &'a [String],
    /// Working directory.
    pub(crate) directory: &'a Path,
    /// Variables besides the inherited ones.
    pub(crate) env: BTreeMap<String, String>,
    /// Killed after this.
    pub(crate) timeout: Duration,
    /// Where the output is appended.
    pub(crate) log: Option<&'a Path>,
    /// Whether also processes that left the group are found and killed at the end. Costs a look
    /// at every process of the machine.
    pub(crate) thorough: bool,
    /// What its family is marked with; `None` makes a mark up.
    pub(crate) mark: Option<String>,
    /// Given to it on standard input, which then ends.
    pub(crate) input: Option<Vec<u8>>,
    /// What must not be seen in its output.
    pub(crate) hidden: Hidden,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed at its deadline.
    TimedOut,
}

/// What was left of it.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) end: End,
    /// The last bytes of standard output and standard error, in the order written.
    pub(crate) tail: Vec<u8>,
}

impl Ran {
    /// Whether it exited 0 in time.
    pub(crate) fn succeeded(&self) -> bool {
        matches!(self.end, End::Exited(status) if status.success())
    }
}

/// Why nothing ran.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no program.
    #[error("the command is empty")]
    Empty,
    /// The program could not be started.
    #[error("`{program}` could not be started: {source}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Its output could not be kept.
    #[error("the output of `{program}` could not be kept: {source}")]
    Output {
        /// Whose.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// The environment of a command: the inherited variables and the declared ones, which win.
pub(crate) fn environment(declared: &BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<OsString, OsString> = INHERITED
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect();
    env.entry("PATH".into()).or_insert_with(|| PATH_DEFAULT.into());
    env.extend(declared.iter().map(|(name, value)| (name.into(), value.into())));
    env
}

/// The program as it has to be named so that a relative path means the working directory.
pub(crate) fn program(argv0: &str, directory: &Path) -> PathBuf {
    let path = Path::new(argv0);
    if argv0.contains('/') && path.is_relative() { directory.join(path) } else { path.to_owned() }
}

// Names one run of a command among all that this process starts.
pub(crate) fn new_mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("once-{}-{count}", std::process::id())
}

/// Words for an end: `exited with code 3`, `was killed by signal 9`.
pub(crate) fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Runs it to its end or its deadline. Dropping the future kills the whole group.
///
/// # Errors
/// [`Error`] when nothing ran. A command that fails or times out is an `Ok` that says so.
pub(crate) async fn run(once: Once<'_>) -> Result<Ran, Error> {
    let argv0 = once.argv.first().ok_or(Error::Empty)?;
    let output = |source| Error::Output { program: argv0.clone(), source };
    let (reader, writer) = io::pipe().map_err(output)?;
    let second = writer.try_clone().map_err(output)?;
    let mark = once.thorough.then(|| once.mark.clone().unwrap_or_else(new_mark));
    let mut command = tokio::process::Command::new(program(argv0, once.directory));
    command
        .args(once.argv.iter().skip(1))
        .env_clear()
        .envs(environment(&once.env))
        .envs(mark.iter().map(|mark| (MARK, mark)))
        .current_dir(once.directory)
        .stdin(if once.input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(writer)
        .stderr(second)
        .process_group(0)
        .kill_on_drop(true);
    let start = |source| Error::Start { program: argv0.clone(), source };
    let mut child = command.spawn().map_err(start)?;
    // The command value holds the write end of the pipe; the reader would never see its end.
    drop(command);
    let leader = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let group = Group { leader, mark };

    feed(&mut child, once.input);
    let receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(output)?;
    let mut sink = Sink::open(once.log, &once.hidden).map_err(output)?;
    let end = {
        let waiting = tokio::time::timeout(once.timeout, child.wait());
        tokio::pin!(waiting);
        let mut receiver = receiver;
        let end = loop {
            tokio::select! {
                // Whoever closed the output but runs on is still waited for.
                more = sink.take_from(&mut receiver), if !sink.ended => more.map_err(output)?,
                end = &mut waiting => break end,
            }
        };
        group.kill();
        let drained = tokio::time::timeout(DRAIN, async {
            while !sink.ended {
                sink.take_from(&mut receiver).await?;
            }
            Ok::<(), io::Error>(())
        });
        // Running out of time here only means that a stranger holds the pipe.
        if let Ok(result) = drained.await {
            result.map_err(output)?;
        }
        end
    };
    sink.finish().map_err(output)?;
    let end = match end {
        Ok(status) => End::Exited(status.map_err(start)?),
        Err(_elapsed) => End::TimedOut,
    };
    Ok(Ran { end, tail: sink.tail })
}

/// Gives a command its standard input from beside the loop that reads its output: who writes first
/// and reads later would wait for ever.
fn feed(child: &mut tokio::process::Child, input: Option<Vec<u8>>) {
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            // Who ends without reading it all says so by its exit code.
            drop(stdin.write_all(&input).await);
        });
    }
}

// Kills what is left of a process group, also when the future that owns it is dropped.
#[derive(Debug)]
struct Group {
    leader: Option<Pid>,
    mark: Option<String>,
}

impl Group {
    fn kill(&self) {
        // The leader may be collected already; its number is not given out again while the group
        // has members, and an empty group answers ESRCH.
        if let Some(pid) = self.leader
            && let Err(error) = rustix::process::kill_process_group(pid, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(?pid, %error, "could not kill a process group");
        }
        if let Some(mark) = &self.mark
            && !proc::kill_marked(mark)
        {
            tracing::warn!(%mark, "a command left processes behind that could not be killed");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

// Takes output: the end of it into memory, the beginning onto disk.
#[derive(Debug)]
struct Sink {
    log: Option<std::fs::File>,
    written: u64,
    dropped: u64,
    veil: Veil,
    tail: Vec<u8>,
    ended: bool,
    buffer: Vec<u8>,
}

impl Sink {
    fn open(log: Option<&Path>, hidden: &Hidden) -> io::Result<Self> {
        let log = match log {
            Some(path) => {
                crate::files::make_private(path.parent().unwrap_or(path))?;
                Some(OpenOptions::new().append(true).create(true).open(path)?)
            }
            None => None,
        };
        let buffer = vec![0; 64 * 1024];
        let veil = hidden.veil();
        Ok(Self { log, written: 0, dropped: 0, veil, tail: Vec::new(), ended: false, buffer })
    }

    async fn take_from(&mut self, receiver: &mut pipe::Receiver) -> io::Result<()> {
        let count = receiver.read(&mut self.buffer).await?;
        self.ended = count == 0;
        let bytes = self.buffer.get(..count).unwrap_or_default();
        let shown = self.veil.over(bytes);
        self.keep(&shown)
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tail.extend_from_slice(bytes);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..excess);
        let room =
            usize::try_from(LOG_BYTES_MAX.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        if let Some(log) = &mut self.log {
            log.write_all(kept)?;
        }
        self.written += kept.len() as u64;
        self.dropped += (bytes.len() - kept.len()) as u64;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let rest = self.veil.rest();
        self.keep(&rest)?;
        if let (Some(log), true) = (&mut self.log, self.dropped > 0) {
            writeln!(log, "\n[tidegate: {} more bytes were not kept]", self.dropped)?;
        }
        Ok(())
    }
}
