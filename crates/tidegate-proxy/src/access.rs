//! The access log: a line of JSON for a share of the requests that reached a revision.
//!
//! It must never hold a body, a query, a header or a cookie, never make a request wait, and never
//! grow past its limit: what the disk cannot take is dropped and counted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;

/// Lines that wait for the disk; more are dropped.
const WAITING: usize = 8_192;
/// The file begins anew at this size; the one before is kept as `access.log.1`.
const FILE_BYTES: u64 = 64 * 1_048_576;
/// Lines that are written in one piece.
const BATCH_BYTES: usize = 64 * 1_024;
/// Longest path of a line, bytes; the rest is cut off.
const PATH_BYTES: usize = 1_024;

/// One request. Times are milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// Wall clock at the end of the request, since 1970.
    pub(crate) at_ms: u64,
    pub(crate) service: Arc<str>,
    pub(crate) revision: String,
    pub(crate) client: std::net::IpAddr,
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// Absent when the client left before an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// From the request's head to the end of the answer.
    pub(crate) duration_ms: f64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) preview: bool,
}

/// The path of a line.
pub(crate) fn plain_path(path: &str) -> String {
    let end = path.floor_char_boundary(PATH_BYTES);
    path.get(..end).unwrap_or_default().to_owned()
}

enum Word {
    Line(Box<Line>),
    End,
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct AccessLog {
    lines: SyncSender<Word>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lost: Arc<AtomicU64>,
}

impl AccessLog {
    /// Nothing is created before the first line comes.
    pub(crate) fn start(state: &Path) -> io::Result<Self> {
        let (lines, wait) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let mut file = LogFile { path: state.join("access.log"), open: None, bytes: 0 };
        let uncounted = Arc::clone(&lost);
        let write = move || file.write_all(&wait, &uncounted);
        let writer = std::thread::Builder::new().name("access-log".to_owned()).spawn(write)?;
        Ok(Self { lines, writer: Mutex::new(Some(writer)), lost })
    }

    /// Takes a line, or counts it as lost. Never waits.
    pub(crate) fn tell(&self, line: Line) {
        if self.lines.try_send(Word::Line(Box::new(line))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped since the proxy began.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes what waits, and ends. Blocks.
    pub(crate) fn end(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && self.lines.send(Word::End).is_ok()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the access log failed");
        }
    }
}

struct LogFile {
    path: PathBuf,
    open: Option<File>,
    bytes: u64,
}

impl LogFile {
    fn write_all(&mut self, wait: &Receiver<Word>, lost: &AtomicU64) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        while let Ok(Word::Line(first)) = wait.recv() {
            let mut next = Some(first);
            let (mut lines, mut ends) = (0, false);
            while let Some(line) = next.take() {
                lines += u64::from(serde_json::to_writer(&mut batch, &line).is_ok());
                batch.push(b'\n');
                if batch.len() < BATCH_BYTES {
                    match wait.try_recv() {
                        Ok(Word::Line(line)) => next = Some(line),
                        Ok(Word::End) => ends = true,
                        Err(_) => {}
                    }
                }
            }
            if let Err(error) = self.append(&batch) {
                tracing::warn!(%error, "the access log cannot be written");
                lost.fetch_add(lines, Ordering::Relaxed);
                self.open = None;
            }
            batch.clear();
            if ends {
                return;
            }
        }
    }

    /// Whole lines in one write, so that two processes may append to one file.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.bytes > FILE_BYTES {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.open = None;
        }
        let file = match &mut self.open {
            Some(file) => file,
            none => {
                let options = File::options().append(true).create(true).mode(0o600).clone();
                let file = options.open(&self.path)?;
                self.bytes = file.metadata()?.len();
                none.insert(file)
            }
        };
        self.bytes += lines.len() as u64;
        file.write_all(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> Line {
        Line {
            at_ms: 7,
            service: "shop/web".into(),
            revision: "r1".into(),
            client: "10.0.0.1".parse().unwrap(),
            method: "GET".into(),
            path: plain_path(path),
            status: Some(200),
            duration_ms: 1.5,
            preview: false,
        }
    }

    #[test]
    fn lines_are_json_and_all_are_there_at_the_end() {
        let state = tempfile::tempdir().unwrap();
        let log = AccessLog::start(state.path()).unwrap();
        for _ in 0..100 {
            log.tell(line("/basket"));
        }
        log.end();
        let text = fs::read_to_string(state.path().join("access.log")).unwrap();
        assert_eq!(text.lines().count(), 100);
        assert_eq!(
            text.lines().next().unwrap(),
            "{\"at_ms\":7,\"service\":\"shop/web\",\"revision\":\"r1\",\"client\":\"10.0.0.1\",\
             \"method\":\"GET\",\"path\":\"/basket\",\"status\":200,\"duration_ms\":1.5}"
        );
        assert_eq!(log.lost(), 0);
    }

    #[test]
    fn a_full_file_begins_anew_and_a_long_path_is_cut() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("access.log");
        File::create(&path).unwrap().set_len(FILE_BYTES + 1).unwrap();
        let log = AccessLog::start(state.path()).unwrap();
        log.tell(line("/first"));
        // Both must not be in one batch.
        while fs::metadata(&path).unwrap().len() == FILE_BYTES + 1 {
            std::thread::yield_now();
        }
        log.tell(line(&"/é".repeat(PATH_BYTES)));
        log.end();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.len() < 2 * PATH_BYTES);
        assert!(fs::metadata(path.with_extension("log.1")).unwrap().len() > FILE_BYTES);
    }
}
