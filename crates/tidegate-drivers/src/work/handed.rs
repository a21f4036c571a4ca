//! What steps hand to each other: values by name and type, files by digest.
//! Must never hand over a file that is not the one of its digest, nor take one from outside the
//! working copy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tidegate_core::digest::Digest;
use tidegate_core::ids::StepName;
use tidegate_core::plan::{CustomStep, OutputKind};
use tidegate_core::state::Given;

use crate::files;

/// The file into which a step writes its values, in its work directory.
pub(super) const OUTPUTS: &str = "outputs.json";
/// The directory in which it finds what others left.
pub(super) const GIVEN: &str = "given";
/// Most bytes of all values together: they stand in the journal.
const OUTPUTS_BYTES_MAX: u64 = 64 * 1024;
/// Longest value, bytes.
const VALUE_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of one file that is handed on.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Lays out what other steps left: their files as `given/STEP/PATH`, their values in
/// `given/outputs.json`.
///
/// # Errors
/// Which file is missing or is another than was left.
pub(super) fn over(
    state_dir: &Path,
    work: &Path,
    given: &BTreeMap<StepName, Given>,
) -> Result<(), String> {
    let wrong = |error: io::Error| format!("what other steps left: {error}");
    let root = work.join(GIVEN);
    files::make_private(&root).map_err(wrong)?;
    let mut values = serde_json::Map::new();
    for (step, given) in given {
        let outputs = given.outputs.iter().map(|(key, value)| (key.clone(), value.clone().into()));
        values.insert(step.to_string(), Value::Object(outputs.collect()));
        for (path, digest) in &given.artifacts {
            let target = root.join(step.as_str()).join(path);
            files::make_private(target.parent().unwrap_or(&root)).map_err(wrong)?;
            let found = copy(&kept(state_dir, digest), &target)
                .map_err(|error| format!("{path} of {step}: {error}"))?;
            if found != *digest {
                return Err(format!("{path} of {step} is not the file that it left [TG6608]"));
            }
        }
    }
    let text = serde_json::to_vec(&Value::Object(values)).map_err(|error| error.to_string())?;
    fs::write(root.join(OUTPUTS), text).map_err(wrong)
}

/// Takes in what a step leaves.
///
/// # Errors
/// Which declared value or file is missing, or is none.
pub(super) fn taken(
    state_dir: &Path,
    work: &Path,
    tree: &Path,
    step: &CustomStep,
) -> Result<Given, String> {
    let mut given = Given { outputs: values(work, step)?, ..Given::default() };
    for path in &step.artifacts {
        let from = inside(tree, path).map_err(|what| format!("`{path}` {what} [TG6609]"))?;
        let digest =
            keep(state_dir, &from).map_err(|error| format!("`{path}`: {error} [TG6609]"))?;
        given.artifacts.insert(path.clone(), digest);
    }
    Ok(given)
}

fn values(work: &Path, step: &CustomStep) -> Result<BTreeMap<String, String>, String> {
    let refused = |what: String| format!("its outputs: {what} [TG6609]");
    let bytes = files::read_capped(&work.join(OUTPUTS), OUTPUTS_BYTES_MAX)
        .map_err(|error| refused(error.to_string()))?;
    let mut found = match bytes {
        None if step.outputs.is_empty() => return Ok(BTreeMap::new()),
        None => return Err(refused("it wrote none into the file `TIDEGATE_OUTPUTS`".to_owned())),
        Some(bytes) => match serde_json::from_slice(&bytes) {
            Ok(Value::Object(found)) => found,
            Ok(_) => return Err(refused("they are no JSON object".to_owned())),
            Err(error) => return Err(refused(error.to_string())),
        },
    };
    let mut values = BTreeMap::new();
    for (name, kind) in &step.outputs {
        let value = match (found.remove(name), kind) {
            (Some(Value::String(text)), OutputKind::Text) => text,
            (Some(Value::Number(number)), OutputKind::Number) => number.to_string(),
            (Some(Value::Bool(flag)), OutputKind::Flag) => flag.to_string(),
            (None, _) => return Err(refused(format!("`{name}` is missing"))),
            (Some(_), kind) => {
                return Err(refused(format!("`{name}` is not {}", kind_words(*kind))));
            }
        };
        if value.len() > VALUE_BYTES_MAX {
            return Err(refused(format!("`{name}` is longer than {VALUE_BYTES_MAX} bytes")));
        }
        values.insert(name.clone(), value);
    }
    match found.keys().next() {
        Some(name) => Err(refused(format!("`{name}` is not declared"))),
        None => Ok(values),
    }
}

fn kind_words(kind: OutputKind) -> &'static str {
    match kind {
        OutputKind::Text => "a text",
        OutputKind::Number => "a number",
        OutputKind::Flag => "true or false",
    }
}

/// The file at a path of the working copy, with every link on the way followed and still inside.
fn inside(tree: &Path, path: &str) -> Result<PathBuf, String> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain {
        return Err("is no path in the working copy".to_owned());
    }
    let root = tree.canonicalize().map_err(|error| error.to_string())?;
    let found = root.join(path).canonicalize().map_err(|_missing| "was not written".to_owned())?;
    if found.starts_with(&root) && found.is_file() {
        return Ok(found);
    }
    Err("is no file of the working copy".to_owned())
}

fn kept(state_dir: &Path, digest: &Digest) -> PathBuf {
    state_dir.join("steps").join("kept").join(digest.as_str())
}

/// Keeps a file under its digest.
fn keep(state_dir: &Path, from: &Path) -> io::Result<Digest> {
    let directory = state_dir.join("steps").join("kept");
    files::make_private(&directory)?;
    let temporary = directory.join(format!(".{}.new", uuid_like()));
    let digest = copy(from, &temporary)?;
    File::open(&temporary)?.sync_all()?;
    // failpoint: handed.rename.before
    fs::rename(&temporary, kept(state_dir, &digest))?;
    // failpoint: handed.rename.after
    files::sync_directory(&directory)?;
    Ok(digest)
}

/// A name that nobody else of this process uses at the same time.
fn uuid_like() -> String {
    crate::once::new_mark()
}

/// Copies a file and says what its bytes are, in one pass.
fn copy(from: &Path, to: &Path) -> io::Result<Digest> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut reader = File::open(from)?.take(FILE_BYTES_MAX + 1);
    let mut writer =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let (mut hasher, mut total) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        total += bytes.len() as u64;
        if total > FILE_BYTES_MAX {
            let what = format!("it is longer than {FILE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        hasher.update(bytes);
        writer.write_all(bytes)?;
    }
    let hex = data_encoding::HEXLOWER.encode(&hasher.finalize());
    Digest::of_hex(&hex).ok_or_else(|| io::Error::other("a digest of another length"))
}
