//! Reports in files named by the digest of their bytes.
//! Must never show a file before all of it is on disk, nor read one that has changed since.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tidegate_core::digest::Digest;
use tidegate_core::fact::{Fact, Format};
use tidegate_engine::ports::{Failure, Report};
use tidegate_evidence::{Licences, REPORT_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::files;
use crate::text;

/// Bytes moved at once.
const CHUNK: usize = 64 * 1024;
/// Bytes of the beginning by which a format is known.
const HEAD_BYTES: u64 = 64 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.as_str())
    }

    /// Writes the bytes beside their place, reads them as a report, and moves them there.
    pub(super) async fn keep(
        &self,
        name: &str,
        format: Option<Format>,
        bytes: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<Report, Failure> {
        let unkept = |error: io::Error| Failure::retryable("TG3045", format!("{name}: {error}"));
        files::make_private(&self.directory).map_err(unkept)?;
        let mut file = Incoming::new(&self.directory).map_err(unkept)?;
        let mut hasher = Sha256::new();
        let mut length = 0_u64;
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = bytes.read(&mut chunk).await.map_err(unkept)?;
            let read = chunk.get(..count).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            length += read.len() as u64;
            if length > REPORT_BYTES_MAX {
                let what = format!("{name} is larger than {REPORT_BYTES_MAX} bytes");
                return Err(Failure::permanent("TG3040", what));
            }
            hasher.update(read);
            file.write(read).map_err(unkept)?;
        }
        if length == 0 {
            return Err(Failure::permanent("TG3040", format!("{name} is empty")));
        }
        let digest = hex(&hasher.finalize());
        let (this, name) = (self.clone(), name.to_owned());
        aside(move || {
            let report = file.read(&name, format)?;
            let unkept =
                |error: io::Error| Failure::retryable("TG3045", format!("{name}: {error}"));
            file.settle(&this.directory.join(&digest)).map_err(unkept)?;
            let digest = Digest::of_hex(&digest)
                .ok_or_else(|| Failure::permanent("TG3045", format!("{name} has no digest")))?;
            Ok(Report { digest, format: report.0, bytes: length, summary: report.1 })
        })
        .await
    }

    /// The bytes of a report.
    pub(super) async fn open(
        &self,
        digest: &Digest,
    ) -> Result<Box<dyn AsyncRead + Send + Unpin>, Failure> {
        match tokio::fs::File::open(self.path(digest)).await {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(missing(digest, &error)),
        }
    }

    /// Holds the bytes against their digest.
    pub(super) async fn verify(&self, digest: &Digest) -> Result<(), Failure> {
        let (path, digest) = (self.path(digest), digest.clone());
        aside(move || {
            let mut file = std::fs::File::open(path).map_err(|error| missing(&digest, &error))?;
            let mut hasher = Sha256::new();
            let mut chunk = vec![0; CHUNK];
            loop {
                let count = file.read(&mut chunk).map_err(|error| missing(&digest, &error))?;
                match chunk.get(..count) {
                    Some(read) if !read.is_empty() => hasher.update(read),
                    _ => break,
                }
            }
            if hex(&hasher.finalize()) == digest.as_str() {
                return Ok(());
            }
            let what = format!("the report {digest} was changed after it was added");
            Err(Failure::permanent("TG3042", what))
        })
        .await
    }

    /// What a report says; its bytes are held against the digest first.
    pub(super) async fn fact(
        &self,
        digest: &Digest,
        format: Format,
        licences: Licences,
        critical: Vec<String>,
    ) -> Result<Fact, Failure> {
        self.verify(digest).await?;
        let (path, digest) = (self.path(digest), digest.clone());
        aside(move || {
            let file = std::fs::File::open(path).map_err(|error| missing(&digest, &error))?;
            let unread = |what: String| Failure::permanent("TG3041", what);
            let mut fact = tidegate_evidence::read(format, file, &licences)
                .map_err(|error| unread(error.to_string()))?;
            if let Fact::Coverage(coverage) = &mut fact {
                tidegate_evidence::fill_critical(coverage, &critical).map_err(unread)?;
            }
            Ok(fact)
        })
        .await
    }
}

fn missing(digest: &Digest, error: &io::Error) -> Failure {
    Failure::permanent("TG3043", format!("the report {digest} is not kept here: {error}"))
}

/// A report that is being written. Dropped before it is settled, it leaves nothing.
#[derive(Debug)]
struct Incoming {
    path: PathBuf,
    file: std::fs::File,
    settled: bool,
}

impl Incoming {
    fn new(directory: &Path) -> io::Result<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("incoming-{}-{number}", std::process::id()));
        let file = std::fs::File::create(&path)?;
        Ok(Self { path, file, settled: false })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// The format and what it says in one line.
    fn read(&self, name: &str, format: Option<Format>) -> Result<(Format, String), Failure> {
        let shown = text::printable(name, text::EXCERPT_CHARS_MAX);
        let unread = |what: String| Failure::permanent("TG3041", format!("{shown}: {what}"));
        let open = || std::fs::File::open(&self.path).map_err(|error| unread(error.to_string()));
        let format = match format {
            Some(format) => format,
            None => {
                let mut head = Vec::new();
                let mut file = open()?.take(HEAD_BYTES);
                file.read_to_end(&mut head).map_err(|error| unread(error.to_string()))?;
                tidegate_evidence::detect(name, &head).ok_or_else(|| {
                    Failure::permanent("TG3044", format!("{shown}: its format is not clear"))
                })?
            }
        };
        if matches!(format, Format::Document | Format::Provenance) {
            return Ok((format, format!("{shown}, as it was added")));
        }
        let fact = tidegate_evidence::read(format, open()?, &Licences::default());
        let fact = fact.map_err(|error| unread(error.to_string()))?;
        Ok((format, tidegate_evidence::summary(&fact)))
    }

    fn settle(mut self, place: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        // failpoint: evidence.rename.before
        std::fs::rename(&self.path, place)?;
        // failpoint: evidence.rename.after
        self.settled = true;
        files::sync_directory(place.parent().unwrap_or(place))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.settled
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not clear a report");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Files are read on a thread that may wait.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::retryable("TG3045", error)),
    }
}
