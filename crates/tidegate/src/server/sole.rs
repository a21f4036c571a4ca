//! Whether this server is the only one on its state directory. Must never believe a socket or a
//! lock alone: a child that a killed server was just starting holds copies of both until its `exec`.

use std::time::Duration;

use tidegate_engine::ports::JournalError;
use tidegate_journal::Sqlite;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::held;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;

/// A server that lives takes a connection within this.
const ANSWER: Duration = Duration::from_secs(2);
/// The children of a killed server let its lock go within this, or it is somebody's.
const LEFT_BEHIND: Duration = Duration::from_secs(2);
/// Between two looks at the lock.
const LOOK: Duration = Duration::from_millis(20);

/// Refuses when a server answers whose process lives.
pub(super) async fn refuse_second(dir: &StateDir) -> Result<(), Failure> {
    let Ok(Ok(stream)) = timeout(ANSWER, UnixStream::connect(dir.server_socket())).await else {
        return Ok(());
    };
    // Of a socket that listens, these are the credentials of the process that made it listen.
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    if pid.and_then(|pid| u32::try_from(pid).ok()).is_some_and(|pid| pid > 0 && !alive(pid)) {
        return Ok(());
    }
    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    Err(Failure::new(
        Exit::Conflict,
        "TG6110",
        format!("a server{pid} runs on {} already", dir.path().display()),
    )
    .safe("nothing was changed; that server goes on")
    .help("`tidegate server status` shows it, `tidegate server stop` ends it"))
}

/// Opens the journal, whose lock may be with a killed server's child for a moment.
///
/// # Errors
/// [`Failure`] when another server has it, or when it cannot be read.
pub(crate) async fn journal(dir: &StateDir) -> Result<Sqlite, Failure> {
    let until = Instant::now() + LEFT_BEHIND;
    loop {
        match Sqlite::open(dir.path()).await {
            Err(JournalError::Held { .. }) if Instant::now() < until => sleep(LOOK).await,
            opened => return opened.map_err(|error| held(dir, &error)),
        }
    }
}

/// Whether a process lives. One that ended and was not waited for by its parent does not.
pub(crate) fn alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name before the state is in brackets and may hold anything.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixListener;
    use std::process::{Command, Stdio};

    use super::*;

    /// A state directory with its socket.
    fn dir() -> (tempfile::TempDir, StateDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = StateDir::locate(Some(folder.path())).expect("a state directory");
        (folder, dir)
    }

    #[tokio::test]
    async fn a_socket_that_listens_in_this_process_is_a_second_server() {
        let (_folder, dir) = dir();
        let _listening = UnixListener::bind(dir.server_socket()).expect("a socket");
        let refused = refuse_second(&dir).await.expect_err("we live");
        assert!(refused.what.contains(&std::process::id().to_string()), "{refused:?}");
    }

    #[tokio::test]
    async fn a_lock_let_go_a_moment_later_is_waited_for() {
        let (_folder, dir) = dir();
        let lock = File::create(dir.path().join("lock")).expect("the lock");
        lock.lock().expect("nobody else has it");
        let opening = tokio::spawn({
            let dir = dir.clone();
            async move { journal(&dir).await }
        });
        tokio::task::yield_now().await;
        lock.unlock().expect("it was ours");
        opening.await.expect("no panic").expect("the journal opens");
    }

    #[test]
    fn a_process_that_ended_does_not_live_even_before_it_is_waited_for() {
        let mut child =
            Command::new("true").stdin(Stdio::null()).spawn().expect("`true` is everywhere");
        let pid = child.id();
        assert!(alive(std::process::id()));
        child.wait().expect("it ends");
        assert!(!alive(pid));
    }
}
