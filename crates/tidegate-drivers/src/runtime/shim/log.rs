//! The log of one instance: the application appends to the file itself, and this keeps it short.
//!
//! The file is not a pipe on purpose: an application must not block or die because its shim did.
//! The price is that a flood passes the limit for the moment between two looks; the kernel tells
//! when a log is written to, so that a look follows at once.
//! Must never let the two files of an instance stay above their limit together.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify;
use tokio::net::unix::pipe;

/// Smallest limit: less would not hold the reason of a crash.
const BYTES_MIN: u64 = 64 * 1024;
/// How often a quiet log is looked at where the kernel does not tell of writes.
const QUIET: Duration = Duration::from_millis(500);
/// How often a log that grows quickly is looked at: a file system takes about 1 GB/s, so that at
/// most some 20 MB pass the limit.
const FLOOD: Duration = Duration::from_millis(20);

/// Tells when something in a slot's directory is written to.
#[derive(Debug)]
pub(super) struct Watch {
    // Not a pipe, but read like one: whatever becomes readable and is read without waiting.
    events: pipe::Receiver,
    armed_at: Instant,
}

impl Watch {
    /// Watches a directory.
    ///
    /// # Errors
    /// Those of the kernel: its watches are counted for each user and may be used up.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let events = inotify::init(flags)?;
        inotify::add_watch(&events, directory, inotify::WatchFlags::MODIFY)?;
        Ok(Self {
            events: pipe::Receiver::from_owned_fd_unchecked(events)?,
            armed_at: Instant::now(),
        })
    }

    /// Returns after a write, at most once in 20 ms.
    pub(super) async fn written(&mut self) -> io::Result<()> {
        tokio::time::sleep_until(self.armed_at.into()).await;
        self.events.readable().await?;
        let mut buffer = [0_u8; 4096];
        while matches!(self.events.try_read(&mut buffer), Ok(count) if count > 0) {}
        self.armed_at = Instant::now() + FLOOD;
        Ok(())
    }
}

/// The two files of an instance's log.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    half: u64,
    last_size: u64,
}

impl Log {
    /// The log at that path, at most `bytes_max` in both files.
    pub(super) fn new(path: PathBuf, bytes_max: u64) -> Self {
        Self { path, half: bytes_max.max(BYTES_MIN) / 2, last_size: 0 }
    }

    /// The file that is written to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file for an application to append to.
    pub(super) fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    /// Cuts the file when it grew over half of the limit; says when to look again.
    pub(super) fn rotate(&mut self) -> Duration {
        let Ok(size) = fs::metadata(&self.path).map(|meta| meta.len()) else { return QUIET };
        let grown = size.saturating_sub(self.last_size);
        self.last_size = size;
        if size > self.half {
            if let Err(error) = self.cut(size) {
                tracing::warn!(path = %self.path.display(), %error, "could not rotate a log");
            }
            self.last_size = 0;
        }
        if grown > self.half / 8 { FLOOD } else { QUIET }
    }

    // The end of the file becomes the older file, then the file begins anew. What is written
    // between the two is lost; the application goes on appending to the same file.
    fn cut(&self, size: u64) -> io::Result<()> {
        let older = older(&self.path);
        let mut from = OpenOptions::new().read(true).write(true).open(&self.path)?;
        from.seek(SeekFrom::Start(size.saturating_sub(self.half)))?;
        let mut into =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&older)?;
        let copied = io::copy(&mut io::Read::take(&mut from, self.half), &mut into);
        // Even when the older file cannot be written: the disk must not fill.
        from.set_len(0)?;
        copied.map(|_bytes| ())
    }
}

/// The file that holds what came before.
pub(crate) fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The last bytes of a log over both files.
pub(crate) fn tail(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let newer = crate::files::tail(path, bytes_max)?;
    let room = bytes_max.saturating_sub(newer.len() as u64);
    let mut all = crate::files::tail(&older(path), room)?;
    all.extend(newer);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{Log, tail};

    #[test]
    fn a_log_keeps_its_end_and_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("instance-0.log");
        let mut log = Log::new(path.clone(), 128 * 1024);
        let mut writer = log.open().unwrap();
        for round in 0..100 {
            writer.write_all(&vec![b'x'; 10_000]).unwrap();
            writeln!(writer, "round {round}").unwrap();
            log.rotate();
        }
        let kept = tail(&path, u64::MAX).unwrap();
        assert!(kept.len() <= 128 * 1024 + 11_000, "{}", kept.len());
        assert!(kept.ends_with(b"round 99\n"));
    }
}
