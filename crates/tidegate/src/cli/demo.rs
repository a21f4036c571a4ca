//! `tidegate demo`: a shop, its users, a good release and a bad one, on this machine, in a minute.
//!
//! It uses the product as anybody does: processes of its own, the public command line and API, an
//! ordinary `tidegate.yaml`, the real clock. No other file of the product may know that it exists,
//! and it must leave nothing behind but what `--keep` asks for.

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;

mod course;
mod curtain;
mod keys;
mod ledger;
mod load;
mod play;
mod scene;
mod shop;
mod story;
mod summary;
mod voice;

use play::Wishes;
use scene::Fail;

/// Arguments of `tidegate demo`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// What the third release is bad at
    #[arg(long, value_enum, value_name = "WHAT", default_value = "errors")]
    fail: Fail,
    /// Requests a second
    #[arg(
        long,
        value_name = "N",
        default_value_t = RATE,
        value_parser = clap::value_parser!(u32).range(RATE_MIN..=i64::from(load::RATE_MAX))
    )]
    rate: u32,
    /// Keep the directory with repository, journal and logs
    #[arg(long)]
    keep: bool,
    /// Put another process in the place of the proxy while the good release goes live
    #[arg(long)]
    upgrade_proxy: bool,
    /// Write a tidegate.yaml without rules or evidence, to see that it is they who find the bad
    /// release
    #[arg(long, hide = true)]
    without_rollback_rules: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Other {
    /// The sample application
    #[command(hide = true)]
    Shop,
}

/// Requests a second unless told otherwise: at 5 % the sample for "errors < 1 %" with 95 %
/// confidence, 299 requests, is there in under eight seconds.
const RATE: u32 = 800;
/// Below it the first step alone would take most of a minute.
const RATE_MIN: i64 = 100;

/// Runs the demo, or the sample application of it.
///
/// # Errors
/// [`Failure`] when the demo could not be played to its end. A demo that was, but did not show
/// what it promises, is `Ok` with exit code 1.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    if let Some(Other::Shop) = args.other {
        return Ok(match shop::run().await {
            Ok(()) => Exit::Done,
            Err(error) => {
                // Any application's way to say why it ends: its last line.
                session.terminal.complain(&format!("{error:#}"));
                Exit::Unexpected
            }
        });
    }
    let wishes = Wishes {
        fail: args.fail,
        rate: args.rate,
        keep: args.keep,
        upgrade_proxy: args.upgrade_proxy,
        with_rules: !args.without_rollback_rules,
        stays: !session.globals.no_input
            && session.terminal.is_screen()
            && session.terminal.can_ask(),
    };
    play::perform(&session.terminal, &wishes).await
}
