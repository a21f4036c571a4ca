//! What the journal once was, kept outside its database: size, root and epoch.
//!
//! A database that was cut, restored from an older copy or rewritten does not fit it any more.
//! Must never be written before what it speaks of is durable, and never in place.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tidegate_engine::ports::JournalError;

use crate::codes;
use tidegate_audit::merkle::{Hash, hash_from_hex, hex};

/// First line of the file.
const TITLE: &str = "tidegate journal checkpoint v1";
/// Most bytes of the file that are read; it has about 150.
const FILE_BYTES_MAX: u64 = 1024;

/// The tree at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Leaves.
    pub(crate) size: u64,
    /// Root over them.
    pub(crate) root: Hash,
    /// The highest epoch that was given out.
    pub(crate) epoch: u64,
}

/// The file's place.
pub(crate) fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("journal.checkpoint")
}

impl Checkpoint {
    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when it is not a checkpoint,
    /// [`JournalError::Unavailable`] when it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, JournalError> {
        let mut text = String::new();
        let read =
            File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(&text).map(Some).ok_or_else(|| JournalError::Damaged {
                code: codes::BEHIND_CHECKPOINT,
                what: format!("{} is not a checkpoint", path.display()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(JournalError::Unavailable {
                code: codes::NOT_OPENED,
                what: format!("{} cannot be read: {error}", path.display()),
            }),
        }
    }

    /// A journal that was cut or exchanged would have every deployment take old news for the
    /// present.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when this is not the other one, nor one that grew from it.
    pub(crate) fn refuse_older_than(&self, known: &Self) -> Result<(), JournalError> {
        if self.size > known.size || (self.size, self.root) == (known.size, known.root) {
            return Ok(());
        }
        Err(JournalError::Damaged {
            code: codes::BEHIND_CHECKPOINT,
            what: if self.size == known.size {
                format!("the journal's {} entries are not those of its checkpoint", self.size)
            } else {
                format!(
                    "the journal has {} entries, its checkpoint was made of {}",
                    self.size, known.size
                )
            },
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        (value("tidegate")? == TITLE.strip_prefix("tidegate ")?).then_some(())?;
        let checkpoint = Self {
            size: value("size")?.parse().ok()?,
            root: hash_from_hex(value("root")?)?,
            epoch: value("epoch")?.parse().ok()?,
        };
        lines.next().is_none().then_some(checkpoint)
    }

    /// Replaces the file: a new one is written, made durable and put in its place.
    ///
    /// # Errors
    /// Those of the file system; the older file is whole then.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("checkpoint.new");
        let mut file = File::create(&fresh)?;
        write!(
            file,
            "{TITLE}\nsize {}\nroot {}\nepoch {}\n",
            self.size,
            hex(&self.root),
            self.epoch
        )?;
        file.sync_all()?;
        // failpoint: checkpoint.rename.before
        fs::rename(&fresh, path)?;
        // failpoint: checkpoint.rename.after
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_written_and_replaces_the_older() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        assert_eq!(Checkpoint::read(&path).unwrap(), None);
        for size in [0, 7, u64::MAX] {
            let checkpoint = Checkpoint { size, root: [0xa5; 32], epoch: 3 };
            checkpoint.write(&path).unwrap();
            assert_eq!(Checkpoint::read(&path).unwrap(), Some(checkpoint));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = format!("{TITLE}\nsize 1\nroot {}\nepoch 2\n", "0a".repeat(32));
        assert!(Checkpoint::parse(&good).is_some());
        let bad = [
            String::new(),
            good.replace("size 1", "size -1"),
            good.replace("v1", "v2"),
            good.replace("0a0a", "0a"),
            good.replace("epoch", "epoche"),
            format!("{good}more\n"),
            good.trim_end().to_owned(),
        ];
        for text in bad {
            assert_eq!(Checkpoint::parse(&text), None, "{text}");
        }
    }
}
