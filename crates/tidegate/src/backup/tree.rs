//! Files, directories and links by their content: copied, described, put back.
//! Must never follow a link, nor leave the directory that it was given.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Most entries of a backup: some artifacts with a large `node_modules` each.
const ENTRIES_MAX: usize = 5_000_000;
/// Bytes that are in memory at the same time.
const CHUNK_BYTES: usize = 256 * 1_024;

/// One thing in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Where, below the root.
    pub(super) path: String,
    /// Its rights.
    pub(super) mode: u32,
    /// What it is.
    pub(super) what: What,
}

/// What something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum What {
    /// Bytes, known by their SHA-256.
    File { bytes: u64, sha256: String },
    /// A directory.
    Directory,
    /// A link and where it leads.
    Link { target: String },
}

impl What {
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::File { bytes, .. } => *bytes,
            Self::Directory | Self::Link { .. } => 0,
        }
    }
}

/// What does not fit, or cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0} is not what the list says")]
    Differs(String),
    #[error("{0} is not in the list")]
    Unlisted(String),
    #[error("the list names {0}, which is not below the backup")]
    Outside(String),
    #[error("{0} is neither a file, a directory nor a link")]
    Special(String),
    #[error("more than {ENTRIES_MAX} entries")]
    TooMany,
    #[error("{path}: {source}")]
    Files { path: String, source: io::Error },
}

impl Fault {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Files { path, source }
    }
}

impl Entry {
    /// Its path, when it cannot lead out.
    pub(super) fn place(&self) -> Result<&Path, Fault> {
        let path = Path::new(&self.path);
        let mut parts = path.components();
        let is_plain =
            !self.path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)));
        if is_plain { Ok(path) } else { Err(Fault::Outside(self.path.clone())) }
    }
}

/// Describes what is at a path below a root.
pub(super) fn describe(root: &Path, path: &Path) -> Result<Entry, Fault> {
    let full = root.join(path);
    let meta = fs::symlink_metadata(&full).map_err(Fault::at(&full))?;
    let what = if meta.is_symlink() {
        let target = fs::read_link(&full).map_err(Fault::at(&full))?;
        What::Link { target: target.display().to_string() }
    } else if meta.is_dir() {
        What::Directory
    } else if meta.is_file() {
        let mut file = File::open(&full).map_err(Fault::at(&full))?;
        pass(&mut file, &mut io::sink()).map_err(Fault::at(&full))?
    } else {
        return Err(Fault::Special(path.display().to_string()));
    };
    Ok(Entry { path: path.display().to_string(), mode: meta.mode() & 0o777, what })
}

/// Copies what is at a path, and everything below it, and describes all of it.
pub(super) fn copy(
    from: &Path,
    into: &Path,
    path: &Path,
    entries: &mut Vec<Entry>,
) -> Result<(), Fault> {
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        if entries.len() >= ENTRIES_MAX {
            return Err(Fault::TooMany);
        }
        let (source, target) = (from.join(&path), into.join(&path));
        let meta = match fs::symlink_metadata(&source) {
            // Whoever works there may have taken it away since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(Fault::at(&source))?,
        };
        make_parent(into, &path)?;
        let what = if meta.is_symlink() {
            let led = fs::read_link(&source).map_err(Fault::at(&source))?;
            std::os::unix::fs::symlink(&led, &target).map_err(Fault::at(&target))?;
            What::Link { target: led.display().to_string() }
        } else if meta.is_dir() {
            make_directory(&target)?;
            for entry in fs::read_dir(&source).map_err(Fault::at(&source))? {
                open.push(path.join(entry.map_err(Fault::at(&source))?.file_name()));
            }
            What::Directory
        } else if meta.is_file() {
            let mut file = File::open(&source).map_err(Fault::at(&source))?;
            write_new(&target, &mut file)?
        } else {
            // Sockets of whoever runs there are nothing to keep.
            continue;
        };
        entries.push(Entry { path: path.display().to_string(), mode: meta.mode() & 0o777, what });
    }
    Ok(())
}

/// Puts one entry of a backup into a root, and holds it against its description.
pub(super) fn put_back(backup: &Path, root: &Path, entry: &Entry) -> Result<(), Fault> {
    let path = entry.place()?;
    let (source, target) = (backup.join(path), root.join(path));
    make_parent(root, path)?;
    match &entry.what {
        What::Directory => make_directory(&target),
        What::Link { target: led } => {
            std::os::unix::fs::symlink(led, &target).map_err(Fault::at(&target))
        }
        What::File { .. } => {
            let mut file = File::open(&source).map_err(Fault::at(&source))?;
            let written = write_new(&target, &mut file)?;
            if written == entry.what { Ok(()) } else { Err(Fault::Differs(entry.path.clone())) }
        }
    }
}

/// Gives everything its rights, the deepest first, since a directory may lose the right to be
/// written to; others get none.
pub(super) fn seal(root: &Path, entries: &[Entry]) -> Result<(), Fault> {
    for entry in entries.iter().rev() {
        let full = root.join(entry.place()?);
        if !matches!(entry.what, What::Link { .. }) {
            let rights = Permissions::from_mode(entry.mode);
            fs::set_permissions(&full, rights).map_err(Fault::at(&full))?;
        }
    }
    Ok(())
}

/// Everything below a root, by its path.
pub(super) fn names(root: &Path) -> Result<Vec<PathBuf>, Fault> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(path) = open.pop() {
        let full = root.join(&path);
        for entry in fs::read_dir(&full).map_err(Fault::at(&full))? {
            let entry = entry.map_err(Fault::at(&full))?;
            let path = path.join(entry.file_name());
            if entry.file_type().map_err(Fault::at(&full))?.is_dir() {
                open.push(path.clone());
            }
            if found.len() >= ENTRIES_MAX {
                return Err(Fault::TooMany);
            }
            found.push(path);
        }
    }
    Ok(found)
}

fn make_parent(root: &Path, path: &Path) -> Result<(), Fault> {
    let Some(parent) = path.parent().filter(|parent| parent.components().count() > 0) else {
        return Ok(());
    };
    let full = root.join(parent);
    DirBuilder::new().recursive(true).mode(0o700).create(&full).map_err(Fault::at(&full))
}

fn make_directory(path: &Path) -> Result<(), Fault> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.map_err(Fault::at(path)),
    }
}

fn write_new(target: &Path, source: &mut File) -> Result<What, Fault> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target);
    let mut file = created.map_err(Fault::at(target))?;
    let what = pass(source, &mut file).map_err(Fault::at(target))?;
    file.sync_all().map_err(Fault::at(target))?;
    Ok(what)
}

/// Passes bytes on and describes them.
fn pass(from: &mut File, to: &mut impl Write) -> io::Result<What> {
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            let sha256 = HEXLOWER.encode(&hash.finalize());
            return Ok(What::File { bytes, sha256 });
        }
        let part = chunk.get(..read).unwrap_or_default();
        hash.update(part);
        to.write_all(part)?;
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_comes_back_as_it_was_with_read_only_directories_and_links() {
        let (from, middle, back) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
        let (from, middle, back) = (from.unwrap(), middle.unwrap(), back.unwrap());
        fs::create_dir_all(from.path().join("a/b")).unwrap();
        fs::write(from.path().join("a/b/file"), "content").unwrap();
        std::os::unix::fs::symlink("b/file", from.path().join("a/link")).unwrap();
        fs::set_permissions(from.path().join("a/b"), Permissions::from_mode(0o555)).unwrap();
        let mut entries = Vec::new();
        copy(from.path(), middle.path(), Path::new("a"), &mut entries).unwrap();
        seal(middle.path(), &entries).unwrap();
        assert_eq!(entries.len(), 4);
        for entry in &entries {
            assert_eq!(describe(middle.path(), entry.place().unwrap()).unwrap(), *entry);
            put_back(middle.path(), back.path(), entry).unwrap();
        }
        seal(back.path(), &entries).unwrap();
        assert_eq!(fs::read_to_string(back.path().join("a/link")).unwrap(), "content");
        assert_eq!(names(back.path()).unwrap().len(), 4);
        for path in [from.path(), middle.path(), back.path()] {
            fs::set_permissions(path.join("a/b"), Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn a_list_that_leads_out_is_refused() {
        for path in ["../x", "/etc/passwd", "a/../../x", "", "./a"] {
            let entry = Entry { path: path.to_owned(), mode: 0o600, what: What::Directory };
            assert!(matches!(entry.place(), Err(Fault::Outside(_))), "{path}");
        }
    }
}
