//! What the server says about its work: lines in a file of the state directory.
//! Must never grow without end, and never hold a secret: events say what happened, not with what.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::state_dir::StateDir;

/// The log begins anew beyond this; one older file is kept.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What is logged unless `TIDEGATE_LOG` says otherwise.
const FILTER: &str = "info,sqlx=warn,hyper=warn,reqwest=warn";

/// Sends the process's traces to the server's log, and to the terminal when asked.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn start(dir: &StateDir, echo: bool) -> io::Result<()> {
    let log = Log::open(dir.server_log())?;
    let filter = std::env::var("TIDEGATE_LOG").unwrap_or_else(|_unset| FILTER.to_owned());
    let file = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(log);
    let terminal = echo.then(|| {
        tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(io::stderr)
    });
    tracing_subscriber::registry()
        .with(EnvFilter::try_new(filter).unwrap_or_else(|_invalid| EnvFilter::new(FILTER)))
        .with(file)
        .with(terminal)
        .try_init()
        .map_err(io::Error::other)
}

/// Sends the process's traces to stderr, for a process whose starter keeps its output.
pub(crate) fn to_stderr() {
    let filter = std::env::var("TIDEGATE_LOG").unwrap_or_else(|_unset| FILTER.to_owned());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_invalid| EnvFilter::new(FILTER));
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
    // Only fails when there is one already, which then has the traces.
    let _there_is_one = tracing_subscriber::registry().with(filter).with(layer).try_init();
}

/// A file that begins anew when it is full.
struct Log(Mutex<Open>);

struct Open {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Log {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = append_to(&path)?;
        let written = file.metadata()?.len();
        Ok(Self(Mutex::new(Open { path, file, written })))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Open {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.written > LOG_BYTES_MAX {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = append_to(&self.path)?;
            self.written = 0;
        }
        self.written += u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.file.write_all(line)
    }
}

/// One line on its way into the log.
struct Line<'a>(&'a Log);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).write_line(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}
