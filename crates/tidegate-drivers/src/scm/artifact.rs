//! A directory tree that is named by what is in it. The same content always has the same digest,
//! whenever and wherever it was made; kept read-only under that name.
//! Must never hold a link that leads out of it, nor anything but files, directories and links.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tidegate_core::digest::Digest;

/// Most entries of an artifact: a large `node_modules` has about a tenth.
const ENTRIES_MAX: usize = 500_000;
/// Most bytes of an artifact.
const BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Most links followed to find where one leads, as in the kernel.
const LINKS_MAX: u32 = 40;
/// Deepest directory: the kernel refuses longer paths anyway.
const DEPTH_MAX: usize = 256;

/// Why a tree cannot be an artifact.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A link leads out.
    #[error("the link `{link}` leads to `{target}`, which is not inside the release")]
    Escapes {
        /// Which.
        link: String,
        /// Where to.
        target: String,
    },
    /// It holds something that is no file, directory or link.
    #[error("`{0}` is neither a file, a directory nor a link")]
    Special(String),
    /// It is too large.
    #[error("the release has more than {what}")]
    TooLarge {
        /// The limit.
        what: String,
    },
    /// The file system said no.
    #[error("{path}: {source}")]
    Files {
        /// Where.
        path: String,
        /// What it said.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Files { path: path.display().to_string(), source }
}

/// Checks every link, computes the digest and takes away all rights to write, but for the root
/// itself: moving a directory needs the right to write to it.
///
/// # Errors
/// [`Error`] names the first entry that cannot stay.
pub(crate) fn seal(root: &Path) -> Result<Digest, Error> {
    let entries = entries(root)?;
    for (path, meta) in &entries {
        if meta.is_symlink() {
            check_link(root, path)?;
        }
    }
    let digest = digest_of(root, &entries)?;
    // Deepest first does not matter: rights of a directory are not needed to change its children's
    // as long as it can be searched.
    for (path, meta) in &entries {
        if !meta.is_symlink() {
            let mode = if meta.is_dir() || is_program(meta) { 0o555 } else { 0o444 };
            let full = root.join(path);
            fs::set_permissions(&full, Permissions::from_mode(mode)).map_err(at(&full))?;
        }
    }
    Ok(digest)
}

/// Checks every link of a tree.
///
/// # Errors
/// [`Error::Escapes`] for the first that leads out.
pub(crate) fn check_links(root: &Path) -> Result<(), Error> {
    for (path, meta) in entries(root)? {
        if meta.is_symlink() {
            check_link(root, &path)?;
        }
    }
    Ok(())
}

/// The digest of a tree as it is.
///
/// # Errors
/// [`Error`] when it cannot be read.
pub(crate) fn digest(root: &Path) -> Result<Digest, Error> {
    digest_of(root, &entries(root)?)
}

/// The digest of a tree as it is, with the number of its entries and the bytes of its files.
///
/// # Errors
/// [`Error`] when it cannot be read.
pub(crate) fn measure(root: &Path) -> Result<(Digest, u64, u64), Error> {
    let entries = entries(root)?;
    let bytes = entries.iter().filter(|(_, meta)| meta.is_file()).map(|(_, meta)| meta.len()).sum();
    Ok((digest_of(root, &entries)?, entries.len() as u64, bytes))
}

/// Moves a sealed tree to its name. An intact one of that name is left as it is; a damaged one is
/// replaced. Durable when it returns.
///
/// # Errors
/// [`Error::Files`].
pub(crate) fn keep(root: &Path, artifacts: &Path, named: &Digest) -> Result<(), Error> {
    let target = artifacts.join(named.as_str());
    if target.is_dir() {
        if digest(&target)? == *named {
            return Ok(());
        }
        let aside = root.with_extension("damaged");
        // failpoint: artifact.aside.before
        fs::rename(&target, &aside).map_err(at(&target))?;
        // failpoint: artifact.aside.after
    }
    let directory = File::open(root).map_err(at(root))?;
    rustix::fs::syncfs(&directory).map_err(|error| at(root)(error.into()))?;
    // failpoint: artifact.rename.before
    fs::rename(root, &target).map_err(at(&target))?;
    // failpoint: artifact.rename.after
    fs::set_permissions(&target, Permissions::from_mode(0o555)).map_err(at(&target))?;
    crate::files::sync_directory(artifacts).map_err(at(artifacts))
}

/// Removes a tree, also one whose directories are read-only.
///
/// # Errors
/// Those of the file system; a tree that is not there is no error.
pub(crate) fn remove(root: &Path) -> io::Result<()> {
    match fs::symlink_metadata(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(meta) if !meta.is_dir() => return fs::remove_file(root),
        Ok(_) => {}
    }
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(root)
}

/// A second tree of the same content whose directories can be written to. Files are the same
/// files, by hard link: it costs names only.
///
/// # Errors
/// [`Error`].
pub(crate) fn scratch(root: &Path, target: &Path) -> Result<(), Error> {
    crate::files::make_private(target).map_err(at(target))?;
    for (path, meta) in entries(root)? {
        let (from, to) = (root.join(&path), target.join(&path));
        if meta.is_dir() {
            fs::create_dir(&to).map_err(at(&to))?;
        } else if meta.is_symlink() {
            let leads = fs::read_link(&from).map_err(at(&from))?;
            std::os::unix::fs::symlink(leads, &to).map_err(at(&to))?;
        } else {
            // Some file systems count links in a small number.
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(|_bytes| ()))
                .map_err(at(&to))?;
        }
    }
    Ok(())
}

fn is_program(meta: &Metadata) -> bool {
    meta.permissions().mode() & 0o100 != 0
}

// All entries below the root, relative to it, sorted by the bytes of their paths.
fn entries(root: &Path) -> Result<Vec<(PathBuf, Metadata)>, Error> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    let mut bytes = 0_u64;
    while let Some(directory) = open.pop() {
        let full = root.join(&directory);
        for entry in fs::read_dir(&full).map_err(at(&full))? {
            let entry = entry.map_err(at(&full))?;
            let path = directory.join(entry.file_name());
            let meta = entry.metadata().map_err(at(&full))?;
            bytes = bytes.saturating_add(if meta.is_file() { meta.len() } else { 0 });
            if meta.is_dir() {
                open.push(path.clone());
            } else if !meta.is_file() && !meta.is_symlink() {
                return Err(Error::Special(path.display().to_string()));
            }
            let too_deep = path.components().count() > DEPTH_MAX;
            found.push((path, meta));
            if found.len() > ENTRIES_MAX || bytes > BYTES_MAX || too_deep {
                let what =
                    format!("{ENTRIES_MAX} entries, {BYTES_MAX} bytes or {DEPTH_MAX} levels");
                return Err(Error::TooLarge { what });
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(found)
}

// A list of everything, each field ended so that no two trees have the same list. No times, no
// owners, and of the rights only whether it is a program.
fn digest_of(root: &Path, entries: &[(PathBuf, Metadata)]) -> Result<Digest, Error> {
    let mut list = b"tidegate.artifact.v1\0".to_vec();
    let mut buffer = vec![0_u8; 64 * 1024];
    for (path, meta) in entries {
        let full = root.join(path);
        if meta.is_dir() {
            list.push(b'd');
        } else if meta.is_symlink() {
            list.push(b'l');
            let target = fs::read_link(&full).map_err(at(&full))?;
            list.extend_from_slice(target.as_os_str().as_bytes());
            list.push(0);
        } else {
            list.push(if is_program(meta) { b'x' } else { b'f' });
            let mut hasher = Sha256::new();
            let mut file = File::open(&full).map_err(at(&full))?;
            loop {
                let count = file.read(&mut buffer).map_err(at(&full))?;
                if count == 0 {
                    break;
                }
                hasher.update(buffer.get(..count).unwrap_or_default());
            }
            list.extend_from_slice(&hasher.finalize());
        }
        list.extend_from_slice(path.as_os_str().as_bytes());
        list.push(0);
    }
    Ok(Digest::of(&list))
}

// Walks as the kernel would, with the root of the tree as the end of the world.
fn check_link(root: &Path, link: &Path) -> Result<(), Error> {
    let escapes = || {
        let target = fs::read_link(root.join(link)).unwrap_or_default();
        Error::Escapes { link: link.display().to_string(), target: target.display().to_string() }
    };
    let mut here: Vec<OsString> = Vec::new();
    let mut ahead: VecDeque<Component<'_>> = link.components().collect();
    let mut owned: VecDeque<OsString> =
        ahead.drain(..).map(|component| component.as_os_str().to_owned()).collect();
    let mut followed = 0;
    while let Some(name) = owned.pop_front() {
        if name == "." {
            continue;
        }
        if name == ".." {
            if here.pop().is_none() {
                return Err(escapes());
            }
            continue;
        }
        here.push(name);
        let full: PathBuf = root.join(here.iter().collect::<PathBuf>());
        if !fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_symlink()) {
            continue;
        }
        followed += 1;
        let target = fs::read_link(&full).map_err(at(&full))?;
        if followed > LINKS_MAX || target.is_absolute() {
            return Err(escapes());
        }
        here.pop();
        for component in target.components().rev() {
            owned.push_front(component.as_os_str().to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{Error, check_links, digest, keep, remove, scratch, seal};

    fn tree(root: &Path) {
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::write(root.join("a"), "one").unwrap();
        fs::write(root.join("sub/b"), "two").unwrap();
        symlink("../a", root.join("sub/link")).unwrap();
    }

    #[test]
    fn the_digest_depends_on_content_alone() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tree(one.path());
        tree(two.path());
        let same = digest(one.path()).unwrap();
        assert_eq!(digest(two.path()).unwrap(), same);
        fs::set_permissions(two.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(digest(two.path()).unwrap(), same);
        fs::set_permissions(two.path().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(digest(two.path()).unwrap(), same);
        fs::rename(two.path().join("a"), two.path().join("c")).unwrap();
        assert_ne!(digest(two.path()).unwrap(), same);
    }

    #[test]
    fn links_may_not_lead_out() {
        let escapes = [
            ("up", "../x"),
            ("absolute", "/etc/passwd"),
            ("sub/far", "../../x"),
            ("roundabout", "sub/../../x"),
            // `sub/out` leads to the root, so that `sub/out/..` is above it though it looks inside.
            ("sneaky", "sub/out/../x"),
        ];
        for (link, target) in escapes {
            let root = tempfile::tempdir().unwrap();
            tree(root.path());
            symlink("..", root.path().join("sub/out")).unwrap();
            check_links(root.path()).unwrap();
            symlink(target, root.path().join(link)).unwrap();
            assert!(matches!(check_links(root.path()), Err(Error::Escapes { .. })), "{link}");
        }
        let root = tempfile::tempdir().unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        assert!(matches!(check_links(root.path()), Err(Error::Escapes { .. })));
    }

    #[test]
    fn a_damaged_artifact_is_replaced_and_an_intact_one_kept() {
        let state = tempfile::tempdir().unwrap();
        let artifacts = state.path().join("artifacts");
        fs::create_dir(&artifacts).unwrap();
        let make = |name: &str| {
            let root = state.path().join(name);
            tree(&root);
            let digest = seal(&root).unwrap();
            keep(&root, &artifacts, &digest).unwrap();
            digest
        };
        let first = make("one");
        let kept = artifacts.join(first.as_str());
        assert_eq!(digest(&kept).unwrap(), first);
        assert!(fs::metadata(kept.join("a")).unwrap().permissions().readonly());
        remove(&kept.join("a")).unwrap();
        fs::write(kept.join("a"), "changed").unwrap();
        assert_eq!(make("two"), first);
        assert_eq!(fs::read_to_string(kept.join("a")).unwrap(), "one");
        make("three");
        assert!(state.path().join("three").exists(), "the intact one was kept");
        scratch(&kept, &state.path().join("scratch")).unwrap();
        fs::write(state.path().join("scratch/sub/report.xml"), "new").unwrap();
        assert_eq!(digest(&kept).unwrap(), first);
        remove(&kept).unwrap();
    }
}
