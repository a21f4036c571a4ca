//! What the current directory says: its repository, its configuration, its service, its tags.
//! Must never read more of a file than the limit, nor change anything.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::request::DEFAULT_CONFIG;

/// Tags that are named in a message.
const TAGS_SHOWN: usize = 5;

/// The configuration file: the named one, else `tidegate.yaml` from here upward to the root of
/// the repository.
pub(crate) fn config(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    let here = std::env::current_dir().ok()?;
    for directory in here.ancestors() {
        let file = directory.join(DEFAULT_CONFIG);
        if file.is_file() {
            return Some(file);
        }
        if directory.join(".git").exists() {
            return None;
        }
    }
    None
}

/// A configuration with the files that it uses.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What findings call it.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The others, by the path under which they are named.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// Reads a configuration and everything that it uses, from the directory it lies in.
///
/// # Errors
/// TG7005 when the file itself cannot be read. One that it uses and that is not there is a finding
/// of the parser.
pub(crate) fn load(file: &Path) -> Result<Loaded, Failure> {
    let bytes = read(file)?;
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    let mut files = BTreeMap::new();
    if let Ok(source) = std::str::from_utf8(&bytes) {
        let mut tried = BTreeSet::new();
        loop {
            let wanted = tidegate_spec::wanted(source, &files);
            let mut found = false;
            for path in wanted.into_iter().filter(|path| tried.insert(path.clone())) {
                if let Ok(bytes) = read(&directory.join(&path)) {
                    files.insert(path, bytes);
                    found = true;
                }
            }
            if !found {
                break;
            }
        }
    }
    Ok(Loaded { name: name_of(file), bytes, files })
}

/// `NAME=VALUE`.
///
/// # Errors
/// What to write instead.
pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// What findings call a file.
pub(crate) fn name_of(file: &Path) -> String {
    file.file_name()
        .map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Puts a text in the place of a file, whole or not at all.
///
/// # Errors
/// TG7005 when it cannot be written.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::local(format!("{} cannot be written: {error}", file.display()))
    };
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut new = tempfile::NamedTempFile::new_in(directory.unwrap_or_else(|| Path::new(".")))
        .map_err(failed)?;
    let permissions = std::fs::metadata(file).map_err(failed)?.permissions();
    new.write_all(text.as_bytes()).map_err(failed)?;
    new.as_file().set_permissions(permissions).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Reads a file that may be at most as large as a configuration.
///
/// # Errors
/// TG7005 when it cannot be read, TG1001 by the parser when it is too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::NotFound,
            "TG7005",
            format!("{} cannot be read: {error}", path.display()),
        )
        .help("`tidegate init` writes one; `-c FILE` names another")
    };
    let limit = u64::try_from(tidegate_spec::SOURCE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // A pipe or a device would make the reader wait, or never end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a file")));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    // One byte more than allowed, so that the parser sees that it is too large.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// What no file says: there is none.
pub(crate) fn no_config() -> Failure {
    Failure::new(
        Exit::NotFound,
        "TG7005",
        format!("no {DEFAULT_CONFIG} from this directory up to the root of its repository"),
    )
    .safe("nothing was changed")
    .help("`tidegate init` writes one; `-c FILE` or `--service NAME` names what you mean")
}

/// The service and environment that the configuration names. Looks at two keys only, so that it
/// works while the file has errors elsewhere.
pub(crate) fn named_in(source: &str) -> (Option<String>, Option<String>) {
    let value = |key: &str| {
        source.lines().find_map(|line| {
            let rest = line.strip_prefix(key)?.strip_prefix(':')?;
            let value = rest.split(" #").next()?.trim().trim_matches(['"', '\'']);
            tidegate_core::ids::valid_name(value).then(|| value.to_owned())
        })
    };
    (value("service"), value("environment"))
}

/// The root of the repository that a directory is in.
///
/// # Errors
/// TG7006 when it is in none, or git is missing.
pub(crate) fn repository(from: &Path) -> Result<PathBuf, Failure> {
    match git(from, &["rev-parse", "--show-toplevel"]) {
        Ok(root) => Ok(PathBuf::from(root)),
        Err(said) => Err(Failure::new(
            Exit::NotFound,
            "TG7006",
            format!("{} is in no git repository: {said}", from.display()),
        )
        .safe("nothing was changed")
        .help("run it inside the repository, or name one with `--repository`")),
    }
}

/// The one tag of the checked-out commit.
///
/// # Errors
/// TG7007 when there is none, or more than one.
pub(crate) fn tag_here(repository: &Path) -> Result<String, Failure> {
    let tags =
        git(repository, &["tag", "--points-at", "HEAD", "--sort=-creatordate"]).unwrap_or_default();
    let tags: Vec<&str> = tags.lines().collect();
    match tags.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => {
            let newest = newest_tags(repository);
            let known = if newest.is_empty() {
                "it has no tags at all".to_owned()
            } else {
                format!("its newest tags are {}", newest.join(", "))
            };
            Err(Failure::new(
                Exit::Usage,
                "TG7007",
                format!("the checked-out commit has no tag; {known}"),
            )
            .safe("no deployment was started")
            .help("name a version: `tidegate deploy v1`; or tag this commit: `git tag v1`"))
        }
        several => Err(Failure::new(
            Exit::Usage,
            "TG7007",
            format!("the checked-out commit has {} tags: {}", several.len(), several.join(", ")),
        )
        .safe("no deployment was started")
        .help("name one: `tidegate deploy VERSION`")),
    }
}

/// The newest tags of a repository.
pub(crate) fn newest_tags(repository: &Path) -> Vec<String> {
    let tags = git(repository, &["tag", "--sort=-creatordate"]).unwrap_or_default();
    tags.lines().take(TAGS_SHOWN).map(ToOwned::to_owned).collect()
}

/// Asks git and answers with the first line it says, or all of them.
///
/// # Errors
/// What git said instead.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::null())
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        let text = said(&output.stderr);
        Err(text.lines().next().unwrap_or("git said nothing").to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::named_in;

    #[test]
    fn the_service_is_read_from_a_file_with_errors() {
        let source = "tidegate: 1\nservice: \"shop\"  # the shop\nenvironment: staging\n\t: [";
        assert_eq!(named_in(source), (Some("shop".to_owned()), Some("staging".to_owned())));
        assert_eq!(named_in("  service: nested\n"), (None, None));
        assert_eq!(named_in("service: ../etc\n"), (None, None));
    }
}
