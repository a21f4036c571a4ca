//! The programs that are measured: where they are built, and how they are called.
//! Must never measure a debug build.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// What is published is built with this profile.
const PROFILE: &str = "dist";
/// The packages whose examples load the product.
const LOADERS: [&str; 3] = ["tidegate-journal", "tidegate-proxy", "tidegate-evidence"];
/// The examples among them; a package may have others that are no business of ours.
const EXAMPLES: [&[&str]; 3] = [
    &["bench_history", "bench_journal"],
    &["bench_echo", "bench_load", "bench_shift"],
    &["bench_report"],
];

/// The workspace and its target directory.
#[derive(Debug)]
pub(crate) struct Product {
    root: PathBuf,
    target: PathBuf,
}

impl Product {
    /// Asks cargo where everything is.
    ///
    /// # Errors
    /// When cargo does not answer.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec();
        let metadata = metadata.context("cargo does not describe the workspace")?;
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
        })
    }

    /// The root of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Builds everything as it is published. Costs nothing when it is built.
    ///
    /// # Errors
    /// When something does not compile.
    pub(crate) fn build(&self) -> anyhow::Result<()> {
        self.cargo(&["--package", "tidegate"])?;
        for (package, examples) in LOADERS.iter().zip(EXAMPLES) {
            let mut arguments = vec!["--package", *package];
            arguments.extend(examples.iter().flat_map(|example| ["--example", *example]));
            self.cargo(&arguments)?;
        }
        Ok(())
    }

    /// Builds the data plane as it is published, and what loads it.
    ///
    /// # Errors
    /// When something does not compile.
    pub(crate) fn build_proxy(&self) -> anyhow::Result<()> {
        let package = ["--package", "tidegate-proxy"];
        let examples =
            ["--example", "bench_proxy", "--example", "bench_load", "--example", "bench_shift"];
        self.cargo(&[&package[..], &examples].concat())
    }

    /// Builds the benchmark of the judge alone.
    ///
    /// # Errors
    /// When it does not compile.
    pub(crate) fn build_judge(&self) -> anyhow::Result<()> {
        self.cargo(&["--package", "tidegate-judge", "--example", "bench_safe"])
    }

    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--profile", PROFILE])
            .args(arguments)
            .current_dir(&self.root)
            .status()
            .context("cargo could not be started")?;
        if !status.success() {
            bail!("cargo build {} failed", arguments.join(" "));
        }
        Ok(())
    }

    /// The path of `tidegate`.
    pub(crate) fn tidegate(&self) -> PathBuf {
        self.target.join(PROFILE).join("tidegate")
    }

    /// The path of an example.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.target.join(PROFILE).join("examples").join(name)
    }
}

/// Runs a program to its end and gives back what it printed.
///
/// # Errors
/// When it cannot be started or fails; with what it said on its standard error.
pub(crate) fn output<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", program.display(), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
