//! One writer for a state directory: a lock of the operating system, gone with its process.
//! Must never be judged by the file's content; that only tells a person who it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process;

use jiff::Timestamp;
use rustix::fs::statfs;
use tidegate_engine::ports::JournalError;

use crate::codes;

/// The file that is locked. It stays: removing it would let two processes lock two files.
const LOCK_FILE: &str = "lock";
/// Most bytes read of what the holder wrote about itself.
const HOLDER_BYTES_MAX: u64 = 200;

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(crate) struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes the lock without waiting, and writes who has it.
    ///
    /// # Errors
    /// [`JournalError::Held`] with what the other process wrote,
    /// [`JournalError::Unavailable`] when the directory is not writable.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, JournalError> {
        let path = state_dir.join(LOCK_FILE);
        let not_opened = |error| JournalError::Unavailable {
            code: codes::NOT_OPENED,
            what: format!("{} cannot be locked: {error}", path.display()),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(not_opened)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Held { holder: holder_in(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(not_opened(error)),
        }
        let line = format!("process {} (since {:.0})\n", process::id(), Timestamp::now());
        file.set_len(0).and_then(|()| file.rewind()).map_err(not_opened)?;
        file.write_all(line.as_bytes()).map_err(not_opened)?;
        Ok(Self { file })
    }
}

impl Drop for StateLock {
    /// Unlocks by itself: closing leaves the lock with every copy of the descriptor, and a child
    /// that is being started has one until its `exec`.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            // It is closed next, which unlocks it where nobody has a copy.
            tracing::debug!(%error, "the lock was left to the end of its descriptor");
        }
    }
}

fn holder_in(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is not worth an error: the lock itself has already answered.
    let read = file.take(HOLDER_BYTES_MAX).read_to_end(&mut bytes);
    let text: String =
        String::from_utf8_lossy(&bytes).trim().chars().filter(|c| !c.is_control()).collect();
    if read.is_err() || text.is_empty() { "another process".to_owned() } else { text }
}

/// Refuses file systems whose locks and shared memory do not hold between machines.
///
/// # Errors
/// [`JournalError::Unavailable`] naming the file system, or when nothing can be said about it.
pub(crate) fn refuse_network(state_dir: &Path) -> Result<(), JournalError> {
    let answer = statfs(state_dir).map_err(|error| JournalError::Unavailable {
        code: codes::NOT_OPENED,
        what: format!("{} cannot be looked at: {error}", state_dir.display()),
    })?;
    match network_name(answer.f_type.cast_unsigned() & 0xffff_ffff) {
        None => Ok(()),
        Some(name) => Err(JournalError::Unavailable {
            code: codes::NETWORK_FILE_SYSTEM,
            what: format!("{} lies on {name}, a network file system", state_dir.display()),
        }),
    }
}

/// The network file systems of `statfs(2)` by their numbers. FUSE is not among them: it is also
/// the way to local disks.
fn network_name(magic: u64) -> Option<&'static str> {
    match magic {
        0x0000_6969 => Some("NFS"),
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        0x0102_1997 => Some("9P"),
        0x7375_7245 => Some("Coda"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636f => Some("OCFS2"),
        0x4750_4653 => Some("GPFS"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_network_file_systems_from_local_ones() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xff53_4d42), Some("SMB"));
        // ext4, XFS, Btrfs, tmpfs, ZFS, overlay, FUSE.
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x2fc1_2fc1, 0x794c_7630] {
            assert_eq!(network_name(local), None, "{local:x}");
        }
        assert_eq!(network_name(0x6573_5546), None);
    }

    #[test]
    fn the_second_is_told_who_holds_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        let held = StateLock::take(dir.path()).unwrap_err();
        let us = format!("process {} (since 2", process::id());
        assert!(matches!(&held, JournalError::Held { holder } if holder.starts_with(&us)));
        drop(first);
        StateLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        let _copy = first.file.try_clone().unwrap();
        drop(first);
        StateLock::take(dir.path()).unwrap();
    }
}
