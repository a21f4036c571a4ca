//! What lies in a state directory and may be removed one day: sealed releases, and what builds and
//! suites said. It must never remove what it was not named, nor leave half of it under its name.
//!
//! Undo by hand: there is none; a removed release is built anew by deploying its tag.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most entries of one directory that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// How a thing on its way out is called; the next look takes it along.
const GONE: &str = ".gone-";
/// Characters of an artifact's name: SHA-256 in hex.
const DIGEST_CHARS: usize = 64;

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name: a digest, or a deployment.
    pub name: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// When it was changed last.
    pub changed: SystemTime,
}

/// The kinds of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sealed releases, by digest.
    Artifacts,
    /// What builds and suites said, by deployment.
    Logs,
}

impl Kind {
    const fn directory(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Logs => "logs",
        }
    }

    fn fits(self, name: &str) -> bool {
        let is_digest =
            name.len() == DIGEST_CHARS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self {
            Self::Artifacts => is_digest,
            Self::Logs => !name.starts_with('.'),
        }
    }
}

/// The state directory that is looked after.
#[derive(Debug, Clone)]
pub struct Retention {
    state_dir: PathBuf,
}

impl Retention {
    /// Looks after a directory. Touches nothing yet.
    #[must_use]
    pub const fn new(state_dir: PathBuf) -> Self {
        Self { state_dir }
    }

    /// Everything of a kind, by name. Blocks.
    ///
    /// # Errors
    /// When the directory cannot be read. One that does not exist is empty.
    pub fn list(&self, kind: Kind) -> io::Result<Vec<Stored>> {
        let directory = self.state_dir.join(kind.directory());
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries.take(ENTRIES_MAX) {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let meta = entry.metadata()?;
            if meta.is_dir() && kind.fits(&name) {
                let changed = meta.modified()?;
                found.push(Stored { bytes: bytes_below(&entry.path())?, name, changed });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes one, unless somebody needs it after all: it is out of everybody's reach before
    /// `is_needed` is asked for the last time, and back in its place when the answer is yes. Says
    /// whether it is gone. Blocks.
    ///
    /// # Errors
    /// When the file system refuses; what is half removed goes with the next [`Retention::sweep`].
    pub fn remove(
        &self,
        kind: Kind,
        name: &str,
        is_needed: impl FnOnce() -> bool,
    ) -> io::Result<bool> {
        if !kind.fits(name) || name.contains('/') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not the name of such a thing",
            ));
        }
        let directory = self.state_dir.join(kind.directory());
        let (place, aside) = (directory.join(name), directory.join(format!("{GONE}{name}")));
        // failpoint: retention.rename.before
        fs::rename(&place, &aside)?;
        // failpoint: retention.rename.after
        if is_needed() {
            // failpoint: retention.back.before
            let back = fs::rename(&aside, &place);
            // failpoint: retention.back.after
            match back {
                Ok(()) => return Ok(false),
                // Whoever needs it has made it again meanwhile.
                Err(_) if place.exists() => {}
                Err(error) => return Err(error),
            }
            remove_tree(&aside)?;
            return Ok(false);
        }
        remove_tree(&aside)?;
        Ok(true)
    }

    /// Removes what an earlier removal left. Blocks.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn sweep(&self, kind: Kind) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(self.state_dir.join(kind.directory())) else {
            return Ok(());
        };
        for entry in entries.take(ENTRIES_MAX) {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(GONE) {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn bytes_below(root: &Path) -> io::Result<u64> {
    let (mut bytes, mut open) = (0, vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                bytes += meta.len();
            }
        }
    }
    Ok(bytes)
}

/// Removes a tree whose directories may be read-only, as those of sealed releases are.
fn remove_tree(root: &Path) -> io::Result<()> {
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            // A link to a directory is a link.
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(state: &Path, name: &str) -> PathBuf {
        let root = state.join("artifacts").join(name);
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::write(root.join("bin/app"), "12345").unwrap();
        std::os::unix::fs::symlink("bin", root.join("link")).unwrap();
        for path in [root.join("bin"), root.clone()] {
            fs::set_permissions(path, Permissions::from_mode(0o555)).unwrap();
        }
        root
    }

    #[test]
    fn a_sealed_release_goes_whole_or_stays_whole() {
        let state = tempfile::tempdir().unwrap();
        let keeper = Retention::new(state.path().to_owned());
        assert_eq!(keeper.list(Kind::Artifacts).unwrap(), []);
        let (first, second) = ("a".repeat(64), "b".repeat(64));
        let (used, unused) = (sealed(state.path(), &first), sealed(state.path(), &second));
        fs::create_dir(state.path().join("artifacts/other")).unwrap();
        let found = keeper.list(Kind::Artifacts).unwrap();
        assert_eq!(
            found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            [&first, &second]
        );
        assert!(found[0].bytes >= 5);

        assert!(!keeper.remove(Kind::Artifacts, &first, || true).unwrap());
        assert!(used.join("bin/app").exists(), "it was needed after all");
        assert!(
            keeper.remove(Kind::Artifacts, &second, || !unused.exists()).is_ok_and(|gone| !gone)
        );
        assert!(unused.join("bin/app").exists());
        assert!(keeper.remove(Kind::Artifacts, &second, || false).unwrap());
        assert!(!unused.exists());
        for odd in ["other", "../artifacts", &format!("{}/x", "c".repeat(62))] {
            assert!(keeper.remove(Kind::Artifacts, odd, || false).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_was_half_removed_goes_with_the_next_sweep() {
        let state = tempfile::tempdir().unwrap();
        let left = sealed(state.path(), &format!("{GONE}{}", "d".repeat(64)));
        let keeper = Retention::new(state.path().to_owned());
        assert_eq!(keeper.list(Kind::Artifacts).unwrap(), []);
        keeper.sweep(Kind::Artifacts).unwrap();
        assert!(!left.exists());
        keeper.sweep(Kind::Logs).unwrap();
    }
}
