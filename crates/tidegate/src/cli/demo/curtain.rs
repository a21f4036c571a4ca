//! The end: server, proxy, shims and instances of this run stop, and its directory goes.
//!
//! It must never touch a process that is not of this run: one that runs this program and has the
//! run's own directory, whose name is random, in its arguments or as its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::{Instant, interval, timeout};

use super::scene::Scene;

/// A server that stops finishes what it answers.
const SERVER_WITHIN: Duration = Duration::from_secs(12);
/// After SIGTERM the others get this long before SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);
/// By then nothing that can be killed is left.
const KILLED_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked who is left.
const LOOK: Duration = Duration::from_millis(50);

/// Ends everything.
///
/// # Errors
/// What is left, in words.
pub(crate) async fn fall(
    scene: Scene,
    server: Option<Child>,
    keep: bool,
) -> Result<Option<PathBuf>, String> {
    let directory = scene.directory().to_owned();
    if let Some(server) = server {
        stop_server(server).await;
    }
    let left = end_processes(scene.program(), &directory).await;
    if !left.is_empty() {
        let pids: Vec<String> = left.iter().map(|found| found.pid.to_string()).collect();
        let kept = scene.keep();
        return Err(format!("{} still runs in {}", pids.join(", "), kept.display()));
    }
    if keep {
        return Ok(Some(scene.keep()));
    }
    scene.remove().map_err(|error| format!("{} is left: {error}", directory.display()))?;
    Ok(None)
}

/// The server first: it would start anew what ends.
async fn stop_server(mut server: Child) {
    if let Some(pid) = server.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
        signal(pid, Signal::TERM);
    }
    if timeout(SERVER_WITHIN, server.wait()).await.is_err()
        && let Err(error) = server.kill().await
    {
        tracing::debug!(%error, "the server cannot be killed");
    }
}

fn signal(pid: Pid, signal: Signal) {
    // It may have ended by itself in between.
    if let Err(error) = kill_process(pid, signal) {
        tracing::debug!(%error, ?pid, "no signal");
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    pid: i32,
    is_shim: bool,
}

async fn end_processes(program: &Path, directory: &Path) -> Vec<Found> {
    let began = Instant::now();
    let mut asked: Vec<i32> = Vec::new();
    let mut look = interval(LOOK);
    loop {
        look.tick().await;
        let found = processes(program, directory);
        if found.is_empty() || began.elapsed() > KILLED_WITHIN {
            return found;
        }
        let is_late = began.elapsed() > PATIENCE;
        let has_shims = found.iter().any(|process| process.is_shim);
        for process in found {
            let Some(pid) = Pid::from_raw(process.pid) else { continue };
            if process.is_shim || is_late {
                // A shim that is asked leaves its instances running, and one that is not
                // starts them anew: it goes first and at once.
                signal(pid, Signal::KILL);
            } else if !has_shims && !asked.contains(&process.pid) {
                asked.push(process.pid);
                signal(pid, Signal::TERM);
            }
        }
    }
}

/// The processes of this run, this one and its own commands not among them.
fn processes(program: &Path, directory: &Path) -> Vec<Found> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let me = std::process::id();
    numbers
        .filter(|pid| u32::try_from(*pid) != Ok(me))
        .filter_map(|pid| of_this_run(pid, program, directory))
        .collect()
}

fn of_this_run(pid: i32, program: &Path, directory: &Path) -> Option<Found> {
    let place = PathBuf::from(format!("/proc/{pid}"));
    // A program that was built anew meanwhile reads "... (deleted)".
    let runs = fs::read_link(place.join("exe")).ok()?;
    if !runs.to_str()?.starts_with(program.to_str()?) {
        return None;
    }
    let arguments = fs::read(place.join("cmdline")).ok()?;
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    let is_named = arguments.split('\0').any(|word| Path::new(word).starts_with(directory));
    let is_there = fs::read_link(place.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    (is_named || is_there)
        .then(|| Found { pid, is_shim: arguments.split('\0').nth(1) == Some("shim") })
}
