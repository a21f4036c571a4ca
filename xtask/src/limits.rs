//! `cargo xtask limits`: writes the page of limits from the constants of the source.
//! It must never decide what a limit is worth.

use std::process::ExitCode;

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use crate::tidy;

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Writes the page.
///
/// # Errors
/// When the tree cannot be read or the page cannot be written.
pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let root = metadata.workspace_root.as_std_path();
    let (page, text) = tidy::limits_page(root)?;
    std::fs::write(root.join(page), text).with_context(|| format!("{page} cannot be written"))?;
    Ok(ExitCode::SUCCESS)
}
