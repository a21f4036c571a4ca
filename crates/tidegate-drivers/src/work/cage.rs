//! A control group for the processes of one step: most of them at a time, and a list of them all.
//! Must never be needed for a step to be stopped: where there is none, its group and mark are.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal};

/// Most processes of one step: a parallel build on a large machine needs some hundreds.
const PROCESSES_MAX: u32 = 1024;
/// Where Linux keeps control groups that count processes, of the first version and of the second.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];

/// One control group; gone when it is over.
#[derive(Debug)]
pub(super) struct Cage {
    directory: PathBuf,
}

impl Cage {
    /// A new one; `None` where this user may not make one.
    pub(super) fn make(name: &str) -> Option<Self> {
        let directory = ROOTS.iter().find_map(|root| {
            let directory = PathBuf::from(root).join(format!("tidegate-{name}"));
            fs::create_dir(&directory).ok()?;
            Some(directory)
        })?;
        let cage = Self { directory };
        let limit = fs::write(cage.directory.join("pids.max"), PROCESSES_MAX.to_string());
        limit.is_ok().then_some(cage)
    }

    /// The file through which a process enters.
    pub(super) fn door(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // Nobody is born any more, so one pass meets everybody.
        drop(fs::write(self.directory.join("pids.max"), "0"));
        let listed = fs::read_to_string(self.door()).unwrap_or_default();
        let inside = listed.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
        for pid in inside {
            // One that is gone by now is none to miss.
            let _gone = rustix::process::kill_process(pid, Signal::KILL);
        }
        if let Err(error) = fs::remove_dir(&self.directory) {
            // The kernel empties it when the last of them is collected.
            tracing::debug!(path = %self.directory.display(), %error, "a control group stays");
        }
    }
}
