//! The files of a commit as they are stored, byte for byte: no filters, no line-end conversion,
//! no attributes, so that no program named in a repository runs and the result is always the same.
//! Must never write outside its target, whatever names a tree object holds.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use super::cli::{self, Repository};

/// Longest list of a tree, in bytes: 500,000 entries of ordinary length.
const LIST_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Most bytes of one file: git itself is not made for more.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Longest target of a link, as in the kernel.
const LINK_BYTES_MAX: u64 = 4096;
/// Longest line that introduces an object.
const HEADER_BYTES_MAX: u64 = 256;
/// How a file begins that only points to large-file storage.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Why a commit was not exported.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Git gave no answer.
    #[error(transparent)]
    Git(#[from] cli::Error),
    /// Git said no.
    #[error("git: {0}")]
    Said(String),
    /// The tree holds something that cannot be deployed.
    #[error("{0}")]
    Unsupported(String),
    /// It could not be written.
    #[error("{path}: {source}")]
    Files {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The objects could not be read.
    #[error("git's objects could not be read: {0}")]
    Objects(io::Error),
}

/// One file or link of a tree.
#[derive(Debug)]
pub(super) struct Entry {
    /// `100644` and so on.
    pub(super) mode: String,
    /// Name of its object.
    pub(super) object: String,
    /// Where it goes, relative.
    pub(super) path: PathBuf,
}

/// Lists a commit, or one path of it.
pub(super) async fn list(
    repository: &Repository,
    commit: &str,
    path: Option<&str>,
) -> Result<Vec<Entry>, Error> {
    let mut arguments = vec!["ls-tree", "-z", "--full-tree", "-r", "--end-of-options", commit];
    if let Some(path) = path {
        arguments.retain(|argument| *argument != "-r");
        arguments.extend(["--", path]);
    }
    let said = repository.ask(&arguments, LIST_BYTES_MAX).await?;
    if !said.status.success() {
        return Err(Error::Said(said.err));
    }
    said.out.split(|byte| *byte == 0).filter(|line| !line.is_empty()).map(entry).collect()
}

// `<mode> <type> <object>\t<path>`
fn entry(line: &[u8]) -> Result<Entry, Error> {
    let broken = || Error::Said("a line of the tree cannot be read".to_owned());
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(broken)?;
    let (head, path) = line.split_at(tab);
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(path.get(1..).unwrap_or_default()));
    let head = String::from_utf8_lossy(head);
    let mut words = head.split(' ');
    let (Some(mode), Some(_kind), Some(object)) = (words.next(), words.next(), words.next()) else {
        return Err(broken());
    };
    Ok(Entry { mode: mode.to_owned(), object: object.to_owned(), path })
}

/// Writes all files of a commit below an empty directory.
///
/// # Errors
/// [`Error`]; what was written until then stays and is of no use.
pub(super) async fn export(
    repository: &Repository,
    commit: &str,
    target: &Path,
) -> Result<(), Error> {
    let entries = list(repository, commit, None).await?;
    for entry in &entries {
        check(entry)?;
    }
    let mut command = repository.git(&["cat-file", "--batch"]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(cli::Error::Start)?;
    let (Some(asking), Some(answering)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::Objects(io::ErrorKind::BrokenPipe.into()));
    };
    let objects: Vec<String> = entries.iter().map(|entry| entry.object.clone()).collect();
    let (asked, written) =
        tokio::join!(ask(asking, &objects), write_all(answering, &entries, target));
    written?;
    asked.map_err(Error::Objects)
}

async fn ask(mut asking: ChildStdin, objects: &[String]) -> io::Result<()> {
    for chunk in objects.chunks(256) {
        asking.write_all((chunk.join("\n") + "\n").as_bytes()).await?;
    }
    asking.shutdown().await
}

async fn write_all(from: ChildStdout, entries: &[Entry], target: &Path) -> Result<(), Error> {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    let mut links = Vec::new();
    for entry in entries {
        let size = header(&mut from, entry).await?;
        let path = target.join(&entry.path);
        let failed = |source| Error::Files { path: path.display().to_string(), source };
        if entry.mode == "120000" {
            if size > LINK_BYTES_MAX {
                return Err(Error::Unsupported(format!("the link {} is too long", shown(entry))));
            }
            let mut leads = Vec::new();
            (&mut from).take(size).read_to_end(&mut leads).await.map_err(Error::Objects)?;
            links.push((path, leads));
        } else {
            let parent = path.parent().unwrap_or(target);
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
            write_file(&mut from, entry, size, &path).await?;
        }
        let mut end = [0; 1];
        from.read_exact(&mut end).await.map_err(Error::Objects)?;
    }
    // Links come last: no file is ever written through one.
    for (path, leads) in links {
        let failed = |source| Error::Files { path: path.display().to_string(), source };
        tokio::fs::create_dir_all(path.parent().unwrap_or(target)).await.map_err(failed)?;
        let failed = |source| Error::Files { path: path.display().to_string(), source };
        tokio::fs::symlink(std::ffi::OsStr::from_bytes(&leads), &path).await.map_err(failed)?;
    }
    Ok(())
}

// `<object> blob <size>\n`
async fn header(from: &mut BufReader<ChildStdout>, entry: &Entry) -> Result<u64, Error> {
    let mut line = String::new();
    let mut limited = from.take(HEADER_BYTES_MAX);
    limited.read_line(&mut line).await.map_err(Error::Objects)?;
    let mut words = line.split_ascii_whitespace();
    let size = match (words.next(), words.next(), words.next()) {
        (Some(object), Some("blob"), Some(size)) if object == entry.object => size.parse().ok(),
        _ => None,
    };
    match size {
        Some(size) if size <= FILE_BYTES_MAX => Ok(size),
        Some(size) => {
            Err(Error::Unsupported(format!("{} has {size} bytes, too many", shown(entry))))
        }
        None => Err(Error::Said(format!("the object of {} is missing", shown(entry)))),
    }
}

async fn write_file(
    from: &mut BufReader<ChildStdout>,
    entry: &Entry,
    size: u64,
    path: &Path,
) -> Result<(), Error> {
    let failed = |source| Error::Files { path: path.display().to_string(), source };
    let mode = if entry.mode == "100755" { 0o755 } else { 0o644 };
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .await
        .map_err(failed)?;
    let mut left = size;
    let mut first = true;
    let mut buffer = vec![0; 64 * 1024];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let room = buffer.get_mut(..want).unwrap_or_default();
        let count = from.read(room).await.map_err(Error::Objects)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if count == 0 {
            return Err(Error::Objects(io::ErrorKind::UnexpectedEof.into()));
        }
        if first && bytes.starts_with(LFS_POINTER) {
            let what = format!("{} is a Git LFS pointer, not the file itself", shown(entry));
            return Err(Error::Unsupported(what));
        }
        first = false;
        file.write_all(bytes).await.map_err(failed)?;
        left -= count as u64;
    }
    file.flush().await.map_err(failed)
}

fn shown(entry: &Entry) -> String {
    let text = entry.path.to_string_lossy();
    format!("`{}`", crate::text::printable(&text, crate::text::EXCERPT_CHARS_MAX))
}

// Git itself never makes such names, a hand-made tree object can.
fn check(entry: &Entry) -> Result<(), Error> {
    let plain = entry.path.components().all(|component| match component {
        Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    });
    let bytes = entry.path.as_os_str().as_bytes();
    let odd = bytes.is_empty() || bytes.ends_with(b"/") || bytes.windows(2).any(|w| w == b"//");
    if !plain || odd {
        return Err(Error::Unsupported(format!("the path {} cannot be written", shown(entry))));
    }
    match entry.mode.as_str() {
        "100644" | "100755" | "100664" | "120000" => Ok(()),
        "160000" => Err(Error::Unsupported(format!(
            "{} is a submodule, which is not exported",
            shown(entry)
        ))),
        mode => Err(Error::Unsupported(format!("{} has the mode {mode}", shown(entry)))),
    }
}
