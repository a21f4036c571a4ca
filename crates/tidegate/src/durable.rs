//! Small files that are there whole or not at all: written beside their place, made durable, and
//! renamed. Only their owner can read them. Must never leave half of one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

/// Reads what a file of JSON holds; the default when there is none.
///
/// # Errors
/// Those of the system; when it is longer than `bytes_max`, or not such a value.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path, bytes_max: usize) -> io::Result<T> {
    match fs::read(path) {
        Ok(bytes) if bytes.len() <= bytes_max => {
            serde_json::from_slice(&bytes).map_err(io::Error::other)
        }
        Ok(_) => Err(io::Error::other(format!("the file is longer than {bytes_max} bytes"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}

/// Puts a file in its place, instead of one that is there.
///
/// # Errors
/// Those of the system; the older file is whole then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    // failpoint: server.file.rename.before
    beside(folder, bytes)?.persist(path).map_err(|error| error.error)?;
    // failpoint: server.file.rename.after
    File::open(folder)?.sync_all()
}

/// Puts a file in a place that is free.
///
/// # Errors
/// Those of the system; when there is a file.
pub(crate) fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    // failpoint: server.new-file.rename.before
    beside(folder, bytes)?.persist_noclobber(path).map_err(|error| error.error)?;
    // failpoint: server.new-file.rename.after
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Such a file has mode 0600 from its beginning.
fn beside(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}
