//! `cargo xtask screenshots`: the pictures of the documentation, taken by the tests that open the
//! pages in a real browser. It must never draw one itself.

use std::process::{Command, ExitCode};

use anyhow::Context as _;

/// The tests that take them when they are told where to put them.
const TESTS: [&str; 3] = [
    "pages::a_person_signs_in_with_both_factors_and_answers_on_the_sheet",
    "pages::a_rollout_is_watched_to_its_end_and_a_bad_one_to_its_way_back",
    "readings::every_page_tells_what_happened_to_everybody",
];
/// Where they are kept.
const PLACE: &str = "docs/images";

/// Nothing to say.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Takes all of them anew.
///
/// # Errors
/// When cargo cannot be started or the place cannot be made.
pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec();
    let root = metadata.context("cargo does not describe the workspace")?.workspace_root;
    let place = root.join(PLACE);
    std::fs::create_dir_all(&place).with_context(|| format!("{place} cannot be made"))?;
    let status = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--locked", "--test", "it", "--", "--exact"])
        .args(TESTS)
        .env("TIDEGATE_PICTURES", place.as_str())
        .current_dir(&root)
        .status()
        .context("cargo could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
