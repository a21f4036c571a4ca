//! The key that signs checkpoints: `audit.key` in the state directory, made at the first start.
//! Must never be readable by others, and never be replaced: what it signed would be worth nothing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tidegate_audit::note::Signer;

use crate::durable;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;

/// Longest file of a key, bytes: one has 83.
const KEY_BYTES_MAX: u64 = 1024;

/// Reads the key of a state directory; makes one where there is none.
///
/// # Errors
/// TG6201 when it is unreadable, open to others or no key.
pub(crate) fn signer(dir: &StateDir) -> Result<Signer, Failure> {
    let path = dir.audit_key();
    let made = match OpenOptions::new().read(true).open(&path) {
        Ok(mut file) => {
            let mode = file.metadata().map_err(|e| refused(&path, &e.to_string()))?.mode();
            if mode & 0o077 != 0 {
                let what = format!("others can read it (mode {:o})", mode & 0o777);
                return Err(refused(&path, &what).help(format!("chmod 600 {}", path.display())));
            }
            let mut key = Vec::new();
            let read = (&mut file).take(KEY_BYTES_MAX).read_to_end(&mut key);
            read.map_err(|error| refused(&path, &error.to_string()))?;
            key
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path)?,
        Err(error) => return Err(refused(&path, &error.to_string())),
    };
    Signer::new(&made).map_err(|error| refused(&path, &error.to_string()))
}

/// Writes a new key and makes it durable before it signs anything.
fn make(path: &Path) -> Result<Vec<u8>, Failure> {
    let key = Signer::generate().map_err(|error| refused(path, &error.to_string()))?;
    durable::place(path, &key).map_err(|error| refused(path, &error.to_string()))?;
    Ok(key)
}

fn refused(path: &Path, what: &str) -> Failure {
    let what = format!("the key of the audit, {}: {what}", path.display());
    Failure::new(Exit::Unexpected, "TG6201", what)
        .safe("nothing was started; applications and proxy go on")
        .help("put it back from a copy: with another key, older checkpoints prove nothing")
}
