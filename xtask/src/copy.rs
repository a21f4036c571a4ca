//! A copy of the tracked source with every planted bug and every failpoint as code, each behind a
//! question to the environment, and what is built of it. Must never write into the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use cargo_metadata::{Artifact, Message, MetadataCommand};

use crate::planted::bugs::BUGS;
use crate::points;
use crate::tidy::tree::{self, Tree};

/// The copy, and where it is built.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its root.
    pub(crate) copy: PathBuf,
    target: PathBuf,
    /// The failpoints in it, in the order of their files.
    pub(crate) points: Vec<String>,
}

impl Field {
    /// Makes it. What is there already and the same is left alone, so that only what changed is
    /// built again.
    ///
    /// # Errors
    /// When the source cannot be read, or a bug has no place in it.
    pub(crate) fn sown() -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let root = metadata.workspace_root.as_std_path();
        let target = metadata.target_directory.into_std_path_buf();
        let copy = target.join("planted");
        let tree = tree::tracked(root)?;
        sow(root, &tree, &copy)?;
        Ok(Self { copy, target, points: points::names(&tree) })
    }

    /// Builds the integration tests: the program of each package, by its folder.
    ///
    /// # Errors
    /// When they cannot be built.
    pub(crate) fn tests(&self) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let built = self.built(&["test", "--no-run", "--test", "it"])?;
        let mut programs = BTreeMap::new();
        for artifact in built.into_iter().filter(|artifact| artifact.profile.test) {
            let folder = artifact.manifest_path.parent();
            let folder =
                folder.and_then(|at| at.strip_prefix(&self.copy).ok().map(ToString::to_string));
            if let (Some(folder), Some(program)) = (folder, artifact.executable) {
                programs.insert(folder, program.into_std_path_buf());
            }
        }
        Ok(programs)
    }

    /// Builds the product and the smallest application to put behind it.
    ///
    /// # Errors
    /// When they cannot be built.
    pub(crate) fn product(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let wanted = ["tidegate", "bench_echo"];
        let built = self.built(&["build", "--bin", wanted[0], "--example", wanted[1]])?;
        let program = |name: &str| {
            let found = built.iter().filter(|artifact| artifact.target.name == name);
            let program = found.filter_map(|artifact| artifact.executable.clone()).next_back();
            program.map(cargo_metadata::camino::Utf8PathBuf::into_std_path_buf)
        };
        let [Some(product), Some(application)] = wanted.map(program) else {
            bail!("the product was built without its programs");
        };
        Ok((product, application))
    }

    /// Third-party crates are those of the workspace: the same selection of packages has the same
    /// features.
    fn built(&self, arguments: &[&str]) -> anyhow::Result<Vec<Artifact>> {
        let mut child = Command::new(env!("CARGO"))
            .args(arguments)
            .args(["--workspace", "--locked", "--message-format", "json-render-diagnostics"])
            .arg("--quiet")
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.target)
            // Nobody edits the copy: what helps to build a small change would only fill the disk.
            .env("CARGO_INCREMENTAL", "0")
            .stdout(Stdio::piped())
            .spawn()
            .context("cargo could not be started")?;
        let output = child.stdout.take().context("cargo has no output")?;
        let mut artifacts = Vec::new();
        for message in Message::parse_stream(std::io::BufReader::new(output)) {
            if let Message::CompilerArtifact(artifact) = message? {
                artifacts.push(artifact);
            }
        }
        if !child.wait()?.success() {
            bail!("the copy with the planted bugs could not be built");
        }
        Ok(artifacts)
    }
}

/// The folder of the package that a path is in.
pub(crate) fn package(path: &str) -> &str {
    let end = path.match_indices('/').nth(1).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or(path)
}

/// Packages whose tests find none of the bugs are copied without their tests.
fn sow(root: &Path, tree: &Tree, copy: &Path) -> anyhow::Result<()> {
    let finders: BTreeSet<&str> = BUGS.iter().map(|bug| package(bug.proof())).collect();
    let mut wanted = BTreeSet::new();
    for file in &tree.files {
        let of_tests = file.path.get(package(&file.path).len()..).unwrap_or_default();
        if of_tests.starts_with("/tests/") && !finders.contains(package(&file.path)) {
            continue;
        }
        let content = match &file.text {
            Some(text) if file.is_rust() => changed(&file.path, text)?.into_bytes(),
            _ => fs::read(root.join(&file.path))?,
        };
        let place = copy.join(&file.path);
        if fs::read(&place).ok().as_ref() != Some(&content) {
            fs::create_dir_all(place.parent().unwrap_or(copy))?;
            fs::write(&place, content)?;
        }
        wanted.insert(place);
    }
    weed(copy, &wanted)
}

/// The text of a file with what is planted in it.
fn changed(path: &str, text: &str) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    for bug in BUGS.iter().filter(|bug| bug.file == path) {
        text = bug.planted_in(&text).with_context(|| format!("{} has no place", bug.name))?;
    }
    Ok(if points::is_product(path) { points::armed(&text) } else { text })
}

/// Removes what is not in the source.
fn weed(folder: &Path, wanted: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            weed(&entry.path(), wanted)?;
        } else if !wanted.contains(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
