//! The tokens of this user's sign-ins, one a server, in a file of mode 0600; a machine brings its
//! own in `TIDEGATE_TOKEN`. Must never be read by another user, nor printed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::Door;
use crate::durable;
use crate::failure::Failure;

/// Longest file that is read, in bytes: a token has 64.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// The token for a server, if there is one.
pub(crate) fn of(server: &Door) -> Option<String> {
    if let Ok(token) = std::env::var("TIDEGATE_TOKEN") {
        return Some(token).filter(|token| !token.is_empty());
    }
    read(&file()?).ok()?.remove(&server.to_string())
}

/// Keeps the token for a server, or forgets it.
///
/// # Errors
/// [`Failure`] when the file cannot be written, or there is no place for it.
pub(crate) fn keep(server: &Door, token: Option<&str>) -> Result<(), Failure> {
    let path = file().ok_or_else(|| Failure::local("neither XDG_CONFIG_HOME nor HOME is set"))?;
    let mut all = read(&path).map_err(Failure::local)?;
    let server = server.to_string();
    match token {
        Some(token) => all.insert(server, token.to_owned()),
        None => all.remove(&server),
    };
    write(&path, &all).map_err(Failure::local)
}

fn file() -> Option<PathBuf> {
    folder().map(|folder| folder.join("credentials.json"))
}

/// Where this user's files of Tidegate are: `~/.config/tidegate`.
pub(crate) fn folder() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(config.join("tidegate"))
}

fn read(path: &Path) -> io::Result<BTreeMap<String, String>> {
    durable::read(path, FILE_BYTES_MAX)
}

fn write(path: &Path, all: &BTreeMap<String, String>) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    durable::replace(path, &serde_json::to_vec(all).map_err(io::Error::other)?)
}
