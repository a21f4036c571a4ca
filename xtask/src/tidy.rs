//! `cargo xtask tidy`: the rules of the house that neither rustc nor clippy knows.
//!
//! Every rule is a pure function from paths and texts to findings, with tests that show it can
//! fail. This file only gathers the inputs (git-tracked files, `cargo metadata`, `cargo tree`) and
//! prints. It must never repair anything: a finding says how to mend it, a person decides.

mod closure;
mod codes;
mod edges;
mod failpoints;
mod finding;
mod hygiene;
pub(crate) mod invariants;
mod length;
mod limits;
mod manifests;
mod names;
mod planted;
mod rust_text;
mod sources;
mod stage;
mod table;
mod traceability;
pub(crate) mod tree;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use finding::Finding;
use tree::Tree;

/// The platform whose dependency graph is checked: the one the releases are built for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check only the files; skip what needs `cargo metadata` and `cargo tree`.
    #[arg(long)]
    files_only: bool,
}

/// Prints every finding; the exit code is 1 when there is one.
///
/// # Errors
/// When git or cargo cannot be asked; that is never reported as tidy.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .context("cargo metadata failed; run this inside the repository")?;
    let root = metadata.workspace_root.as_std_path();
    let tree = tree::tracked(root)?;

    let mut findings = file_findings(&tree);
    if !args.files_only {
        findings.extend(graph_findings(root, &metadata, &tree)?);
    }
    findings.sort();
    findings.dedup();

    let mut out = std::io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    if findings.is_empty() {
        writeln!(out, "tidy: {} files, nothing to mend", tree.files.len())?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "tidy: {} findings in {} files", findings.len(), tree.files.len())?;
    Ok(ExitCode::FAILURE)
}

/// Where the page of limits is, and what it should say.
///
/// # Errors
/// When git cannot be asked.
pub(crate) fn limits_page(root: &Path) -> anyhow::Result<(&'static str, String)> {
    Ok((limits::PAGE, limits::page(&tree::tracked(root)?)))
}

/// The rules that read files alone.
fn file_findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        findings.extend(hygiene::large_file(&file.path, file.bytes));
        let Some(text) = &file.text else { continue };
        findings.extend(hygiene::machine_paths(&file.path, text));
        if file.is_rust() {
            findings.extend(sources::opening(&file.path, text));
            findings.extend(sources::forbidden(&file.path, text));
            findings.extend(names::banned(&file.path, text));
            findings.extend(stage::knows_the_stage(&file.path, text));
        }
        if file.is_member_manifest() {
            findings.extend(manifests::member(&file.path, text));
        }
    }
    findings.extend(manifests::sorted_dependencies("Cargo.toml", tree.text("Cargo.toml")));
    findings.extend(manifests::workspace("Cargo.toml", tree.text("Cargo.toml")));
    findings.extend(length::all(tree));
    findings.extend(codes::all(tree));
    findings.extend(traceability::all(tree));
    findings.extend(invariants::all(tree));
    findings.extend(limits::all(tree));
    findings.extend(planted::all(tree));
    findings.extend(failpoints::all(tree));
    findings
}

/// The rules about what depends on what.
fn graph_findings(root: &Path, metadata: &Metadata, tree: &Tree) -> anyhow::Result<Vec<Finding>> {
    let mut findings = edges::check(&edges::from_metadata(metadata));
    let core = cargo_tree(root, &["--package", "tidegate-core", "--edges", "normal"])?;
    let allowed = tree.text(closure::ALLOW_FILE);
    findings.extend(closure::core(&core, allowed));
    let everything = cargo_tree(root, &["--workspace", "--edges", "normal,build,dev"])?;
    findings.extend(closure::banned(&everything));
    Ok(findings)
}

fn cargo_tree(root: &Path, selection: &[&str]) -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["tree", "--locked", "--quiet", "--prefix", "none", "--format", "{p}"])
        .args(["--target", PLATFORM])
        .args(selection)
        .output()
        .context("cargo tree did not start")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("cargo tree printed something that is not UTF-8")
}
