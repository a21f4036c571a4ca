//! Recordings of the judge as files: `recordings/SERVICE/ENVIRONMENT/DEPLOYMENT@PART.ticks`.
//! Must never grow without bound: what is old goes, then the oldest, until the rest fits.
//!
//! Undo by hand: the files may be deleted at any time. Verdicts of theirs cannot be made again
//! then, and backtests do without them; no deployment depends on them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tidegate_core::ids::{DeploymentId, EnvironmentName, PartName, Scope, ServiceName};
use tidegate_engine::ports::{Failure, RecordingName, Recordings};

use crate::files;

/// Largest recording that is read: what the judge's room writes at most, and its header.
const FILE_BYTES_MAX: u64 = 80 << 20;
/// Recordings that are looked at in one listing.
const FILES_MAX: usize = 100_000;
/// How such a file's name ends.
const SUFFIX: &str = ".ticks";

/// Where they are kept, and how much of them.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state directory; they lie in `recordings` below it.
    pub state_dir: PathBuf,
    /// Age at which they go, counted from the last write.
    pub kept_for: Duration,
    /// Bytes that all of them may take; a GiB is some thousand rollouts of an hour.
    pub bytes_max: u64,
}

/// The recordings of one state directory.
#[derive(Debug, Clone)]
pub struct RecordingFiles {
    config: Config,
}

/// A recording on disk.
#[derive(Debug)]
struct Stored {
    name: RecordingName,
    path: PathBuf,
    bytes: u64,
    changed: SystemTime,
}

impl RecordingFiles {
    /// Recordings below a directory. Touches nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    fn root(&self) -> PathBuf {
        self.config.state_dir.join("recordings")
    }

    fn path(&self, name: &RecordingName) -> PathBuf {
        self.root()
            .join(name.scope.service.as_str())
            .join(name.scope.environment.as_str())
            .join(format!("{}@{}{SUFFIX}", name.deployment, name.part))
    }

    fn stored(&self) -> io::Result<Vec<Stored>> {
        let mut stored = Vec::new();
        for service in below(&self.root())? {
            for environment in below(&service)? {
                for path in below(&environment)? {
                    let named = name_of(&service, &environment, &path);
                    let (Some(name), Ok(data)) = (named, fs::metadata(&path)) else { continue };
                    let changed = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    stored.push(Stored { name, path, bytes: data.len(), changed });
                    if stored.len() == FILES_MAX {
                        return Ok(stored);
                    }
                }
            }
        }
        stored.sort_by(|a, b| (a.changed, &a.name).cmp(&(b.changed, &b.name)));
        Ok(stored)
    }

    /// Deletes what is too old, and the oldest of what is too much.
    fn prune(&self, now: SystemTime) -> io::Result<()> {
        let stored = self.stored()?;
        let mut bytes: u64 = stored.iter().map(|stored| stored.bytes).sum();
        for old in stored {
            let age = now.duration_since(old.changed).unwrap_or(Duration::ZERO);
            if age <= self.config.kept_for && bytes <= self.config.bytes_max {
                break;
            }
            fs::remove_file(&old.path)?;
            bytes = bytes.saturating_sub(old.bytes);
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&own)).await;
        done.map_err(|error| Failure::retryable("TG6401", error))?
            .map_err(|error| Failure::retryable("TG6401", format!("a recording: {error}")))
    }
}

#[async_trait]
impl Recordings for RecordingFiles {
    async fn create(&self, name: &RecordingName, bytes: &[u8]) -> Result<(), Failure> {
        let (path, bytes) = (self.path(name), bytes.to_vec());
        self.blocking(move |files| {
            files.prune(SystemTime::now())?;
            files::make_private(path.parent().unwrap_or(&path))?;
            files::write_atomic(&path, &bytes)
        })
        .await
    }

    async fn append(&self, name: &RecordingName, bytes: &[u8]) -> Result<(), Failure> {
        let (path, bytes) = (self.path(name), bytes.to_vec());
        self.blocking(move |_| {
            let mut file = OpenOptions::new().append(true).mode(0o600).open(&path)?;
            file.write_all(&bytes)
        })
        .await
    }

    async fn read(&self, name: &RecordingName) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.path(name);
        self.blocking(move |_| files::read_capped(&path, FILE_BYTES_MAX)).await
    }

    async fn list(&self) -> Result<Vec<RecordingName>, Failure> {
        let stored = self.blocking(Self::stored).await?;
        Ok(stored.into_iter().map(|stored| stored.name).collect())
    }
}

/// What lies in a directory, in order of names; nothing where there is none.
fn below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The name that a path stands for; `None` for files that are not ours.
fn name_of(service: &Path, environment: &Path, path: &Path) -> Option<RecordingName> {
    let text = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let file = text(path)?;
    let (deployment, part) = file.strip_suffix(SUFFIX)?.split_once('@')?;
    Some(RecordingName {
        scope: Scope {
            service: ServiceName::new(text(service)?).ok()?,
            environment: EnvironmentName::new(text(environment)?).ok()?,
        },
        deployment: DeploymentId::new(deployment).ok()?,
        part: PartName::new(part).ok()?,
    })
}
