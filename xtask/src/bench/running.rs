//! Processes of a benchmark: started here, ended here, whatever happens in between.
//! It must never end a process that is not below the benchmark's own directory, but its children.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Time between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(1);
/// An answer on a unix socket is there by then.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Largest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Processes that were killed are gone by then.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// A child that is killed when this goes.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn();
        let program = command.get_program().to_string_lossy();
        Ok(Self(child.with_context(|| format!("{program} cannot be started"))?))
    }

    /// The child.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL, and the end.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Closes its standard input and waits for the end that this asks for.
    pub(crate) fn end_input(mut self) -> anyhow::Result<ExitStatus> {
        drop(self.0.stdin.take());
        Ok(self.0.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; what cannot be killed is not ours to mend.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Looks again and again until `look` finds something.
///
/// # Errors
/// When it does not come in time.
pub(crate) fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if began.elapsed() > within {
            bail!("waited {} s in vain: {what}", within.as_secs());
        }
        pause(LOOK);
    }
}

/// Leaves the processor to the others for a while. What is measured in the meantime is theirs.
pub(crate) fn pause(lasts: Duration) {
    let ends = Instant::now() + lasts;
    // A thread may be woken early, and for no reason.
    while let Some(left) = ends.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Addresses that were free a moment ago.
///
/// # Errors
/// When there are none.
pub(crate) fn free_addresses(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let listeners: Result<Vec<_>, _> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let addresses = listeners?.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
    Ok(addresses?)
}

/// Asks an HTTP server on a unix socket: status and body.
///
/// # Errors
/// When it does not answer as HTTP/1.1 does.
pub(crate) fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    let length = body.len();
    // In one piece: whoever needs no body may have answered and closed before it comes.
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("an answer without a status")?, body.to_owned()))
}

/// Kills every process whose arguments or working directory are below `directory`, and waits
/// until they are gone. Whoever starts others again is killed with them in the next look.
///
/// # Errors
/// When one does not go.
pub(crate) fn end_all(directory: &Path) -> anyhow::Result<()> {
    until("processes that were killed go", GONE_WITHIN, || {
        let found = processes(directory);
        for pid in &found {
            // It may have ended by itself in between; the next look says.
            let _ended = kill_process(*pid, Signal::KILL);
        }
        found.is_empty().then_some(())
    })
}

fn processes(directory: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let me = i32::try_from(std::process::id()).ok();
    numbers
        .filter(|pid| Some(*pid) != me && is_below(*pid, directory))
        .filter_map(Pid::from_raw)
        .collect()
}

fn is_below(pid: i32, directory: &Path) -> bool {
    let place = PathBuf::from(format!("/proc/{pid}"));
    let arguments = fs::read(place.join("cmdline")).unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    let is_named = arguments.split('\0').any(|word| Path::new(word).starts_with(directory));
    is_named || fs::read_link(place.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
}

/// Memory of a process that is in RAM, and the part of it that no file backs, MiB.
///
/// # Errors
/// When it is not there.
pub(crate) fn memory_mib(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} cannot be looked at"))?;
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().split(' ').next()?.parse::<f64>().ok())
    };
    let read = kib("VmRSS").zip(kib("RssAnon"));
    let (resident, anonymous) = read.context("the kernel does not say how large it is")?;
    Ok((resident / 1024.0, anonymous / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_the_directory_is_found() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(processes(directory.path()), []);
        let mut command = Command::new("tail");
        command.args(["-f", "/dev/null"]).current_dir(directory.path());
        let running = Running::start(&mut command).unwrap();
        let own = i32::try_from(running.pid()).ok().and_then(Pid::from_raw);
        assert_eq!(processes(directory.path()), own.into_iter().collect::<Vec<_>>());
        assert!(memory_mib(running.pid()).unwrap().0 > 0.0);
        running.kill().unwrap();
        end_all(directory.path()).unwrap();
    }

    #[test]
    fn waiting_has_an_end() {
        let mut looks = 0;
        let found = until("the third look", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found.unwrap(), 3);
        assert!(until("nothing", Duration::ZERO, || None::<()>).is_err());
    }
}
