//! Copies of Tidegate's own state: made while it serves, checked file by file, put back onto a
//! clean place. Must never change what it copies from, call a copy a backup before it was checked,
//! nor write over a state directory.

mod tree;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_journal::Copied;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;
use tree::{Entry, Fault, What};

/// The list of what a backup holds.
const MANIFEST: &str = "backup.json";
/// Its form.
const FORMAT: u32 = 1;
/// Most bytes of it that are read: a hundred thousand files.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// The journal and what it is held against.
const JOURNAL: [&str; 2] = ["journal.sqlite", "journal.checkpoint"];
/// Files that cannot be made again from the journal.
const FILES: [&str; 6] = [
    "people.json",
    "server.yaml",
    "policy.yaml",
    "allowed_signers",
    "audit.key",
    "proxy/cohort.key",
];
/// Directories of such files.
const TREES: [&str; 5] = ["evidence", "steps", "secrets", "audit.git", "proxy/acme"];
/// Sealed releases; they are built anew where they are missing.
const ARTIFACTS: &str = "artifacts";

/// What a backup holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: u32,
    /// The Tidegate that made it.
    pub(crate) version: String,
    /// When.
    pub(crate) made_at: Timestamp,
    /// Of which state directory.
    pub(crate) state_dir: String,
    /// Where its journal ends.
    pub(crate) journal: Ends,
    entries: Vec<Entry>,
}

/// Where a journal ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ends {
    /// Events.
    pub(crate) events: u64,
    /// Streams.
    pub(crate) streams: u64,
    /// Root over the events.
    pub(crate) root: String,
    /// The highest epoch.
    pub(crate) epoch: u64,
}

impl From<Copied> for Ends {
    fn from(copied: Copied) -> Self {
        let Copied { events, streams, root, epoch } = copied;
        Self { events, streams, root, epoch }
    }
}

impl Manifest {
    /// How many files.
    pub(crate) fn files(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.what, What::File { .. })).count()
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.what.bytes()).sum()
    }
}

/// Makes a backup in a directory that does not exist yet; a server may run. With `artifacts` the
/// sealed releases are in it as well.
///
/// # Errors
/// TG9202 when it cannot be made; nothing is left of it then.
pub(crate) async fn make(
    dir: &StateDir,
    into: &Path,
    artifacts: bool,
) -> Result<Manifest, Failure> {
    let failed = |what: String| {
        Failure::new(Exit::Unexpected, "TG9202", format!("no backup was made: {what}"))
            .safe("the server and its state were not touched")
    };
    if into.exists() {
        return Err(failed(format!("{} is there already", into.display()))
            .help("name a directory that does not exist yet"));
    }
    let fresh = beside(into).map_err(|error| failed(format!("{}: {error}", into.display())))?;
    // First of all: what events name was there before them.
    let copied = tidegate_journal::copy(dir.path(), fresh.path()).await;
    let journal = Ends::from(copied.map_err(|error| failed(error.to_string()))?);
    let gathered = gather(dir.path(), fresh.path(), artifacts);
    let entries = gathered.map_err(|fault| failed(fault.to_string()))?;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Timestamp::now(),
        state_dir: dir.path().display().to_string(),
        journal,
        entries,
    };
    let placed = write_manifest(fresh.path(), &manifest).and_then(|()| place(fresh, into));
    placed.map_err(|error| failed(error.to_string()))?;
    Ok(manifest)
}

/// Copies everything but the journal, and describes all of it.
fn gather(from: &Path, into: &Path, artifacts: bool) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    // The lock that looking the copy through has left is nobody's.
    fs::remove_file(into.join("lock")).map_err(Fault::at(&into.join("lock")))?;
    for name in JOURNAL {
        entries.push(tree::describe(into, Path::new(name))?);
    }
    let trees = TREES.into_iter().chain(artifacts.then_some(ARTIFACTS));
    for name in FILES.into_iter().chain(trees) {
        if fs::symlink_metadata(from.join(name)).is_ok() {
            tree::copy(from, into, Path::new(name), &mut entries)?;
        }
    }
    tree::seal(into, &entries)?;
    Ok(entries)
}

/// Checks a backup: every file against the list, nothing beside it, and the journal against itself
/// by reading all of it.
///
/// # Errors
/// TG9203 names the first thing that does not fit.
pub(crate) async fn verify(backup: &Path) -> Result<Manifest, Failure> {
    let manifest = read_manifest(backup)?;
    check_files(backup, &manifest).map_err(|fault| unfit(backup, &fault.to_string()))?;
    // A journal is never opened where it is kept: that would write beside it.
    let scratch = tempfile::tempdir().map_err(Failure::local)?;
    for name in JOURNAL {
        fs::copy(backup.join(name), scratch.path().join(name)).map_err(Failure::local)?;
    }
    let inspected = tidegate_journal::inspect(scratch.path()).await;
    let ends = Ends::from(inspected.map_err(|error| unfit(backup, &error.to_string()))?);
    if ends != manifest.journal {
        return Err(unfit(backup, "its journal does not end where the list says"));
    }
    Ok(manifest)
}

fn unfit(backup: &Path, what: &str) -> Failure {
    let what = format!("{} is not a whole backup: {what}", backup.display());
    Failure::new(Exit::Unexpected, "TG9203", what)
        .safe("nothing was changed")
        .help("take another one; `tidegate admin backup DIRECTORY` makes one")
}

fn check_files(backup: &Path, manifest: &Manifest) -> Result<(), Fault> {
    let mut listed = BTreeSet::from([PathBuf::from(MANIFEST)]);
    for entry in &manifest.entries {
        let path = entry.place()?;
        let found = tree::describe(backup, path)?;
        if found.what != entry.what {
            return Err(Fault::Differs(entry.path.clone()));
        }
        listed
            .extend(path.ancestors().filter(|part| part.components().count() > 0).map(Into::into));
    }
    match tree::names(backup)?.into_iter().find(|path| !listed.contains(path)) {
        Some(stranger) => Err(Fault::Unlisted(stranger.display().to_string())),
        None if JOURNAL.iter().all(|name| listed.contains(Path::new(name))) => Ok(()),
        None => Err(Fault::Differs(JOURNAL.join(" or "))),
    }
}

/// Puts a backup, once it was checked, in the place of a state directory that is not there or
/// empty. It is whole or not there at every moment.
///
/// # Errors
/// TG9203 when the backup is not whole, TG9204 when the place is taken or cannot be written.
pub(crate) async fn restore(backup: &Path, dir: &StateDir) -> Result<Manifest, Failure> {
    let failed = |what: String| {
        Failure::new(Exit::Conflict, "TG9204", format!("nothing was restored: {what}"))
            .safe("nothing was changed")
    };
    let place_of = dir.path();
    let is_taken = fs::read_dir(place_of).is_ok_and(|mut found| found.next().is_some());
    if is_taken {
        return Err(failed(format!("{} is not empty", place_of.display()))
            .help("`tidegate --state-dir OTHER admin restore BACKUP`, or move it away"));
    }
    let manifest = verify(backup).await?;
    let fresh = beside(place_of).map_err(|error| failed(error.to_string()))?;
    let put_back = || {
        for entry in &manifest.entries {
            tree::put_back(backup, fresh.path(), entry)?;
        }
        tree::seal(fresh.path(), &manifest.entries)
    };
    put_back().map_err(|fault: Fault| failed(fault.to_string()))?;
    place(fresh, place_of).map_err(|error| failed(error.to_string()))?;
    Ok(manifest)
}

/// A directory for the owner alone, on the same disk as what it will become.
fn beside(place: &Path) -> std::io::Result<tempfile::TempDir> {
    let parent = std::path::absolute(place)?.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&parent)?;
    let for_me = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(".tidegate-").permissions(for_me).tempdir_in(parent)
}

/// Makes it durable and gives it its name.
fn place(fresh: tempfile::TempDir, name: &Path) -> std::io::Result<()> {
    File::open(fresh.path())?.sync_all()?;
    // failpoint: backup.rename.before
    fs::rename(fresh.path(), name)?;
    // failpoint: backup.rename.after
    // It is not where it would be removed from any more.
    let _moved = fresh.keep();
    let parent = std::path::absolute(name)?.parent().map(Path::to_owned).unwrap_or_default();
    File::open(parent)?.sync_all()
}

fn write_manifest(into: &Path, manifest: &Manifest) -> std::io::Result<()> {
    let mut file = File::create(into.join(MANIFEST))?;
    file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
    file.sync_all()
}

fn read_manifest(backup: &Path) -> Result<Manifest, Failure> {
    let path = backup.join(MANIFEST);
    let mut bytes = Vec::new();
    let read = File::open(&path)
        .and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| unfit(backup, &format!("{MANIFEST}: {error}")));
    read?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| unfit(backup, &format!("{MANIFEST} is not understood: {error}")))?;
    if manifest.format != FORMAT {
        let format = manifest.format;
        return Err(unfit(backup, &format!("it has form {format}, this program knows {FORMAT}")));
    }
    Ok(manifest)
}
