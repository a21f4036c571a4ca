//! Where the secrets of steps and channels come from: files of the state directory.
//! Must never take one that somebody else can read or change.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::files;

/// How a reference begins; no other source is known here.
const FILE: &str = "secret://file/";
/// Longest secret, bytes: a chain of certificates.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Rights that nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// The secrets of a step by the variable that names their file.
///
/// # Errors
/// Which one is missing or readable by others, without any of its content.
pub(super) fn read(
    state_dir: &Path,
    wanted: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let read = |from: &str| one(state_dir, from).map_err(|error| format!("{error} [TG6606]"));
    wanted.iter().map(|(name, from)| Ok((name.clone(), read(from)?))).collect()
}

/// One secret, by its reference.
///
/// # Errors
/// Why it cannot be taken, without any of its content; the code is TG6606.
pub(crate) fn one(state_dir: &Path, from: &str) -> Result<Vec<u8>, String> {
    let name = from.strip_prefix(FILE).filter(|name| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
    });
    let Some(name) = name else {
        return Err(format!("`{from}` names no file of `secrets`"));
    };
    let path = state_dir.join("secrets").join(name);
    let meta =
        std::fs::symlink_metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let own = meta.uid() == rustix::process::geteuid().as_raw();
    if !meta.is_file() || !own || meta.mode() & OTHERS != 0 {
        let path = path.display();
        return Err(format!("{path} is not a file of this user alone: `chmod 600` it"));
    }
    match files::read_capped(&path, SECRET_BYTES_MAX) {
        Ok(Some(bytes)) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(format!("{} is empty", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
