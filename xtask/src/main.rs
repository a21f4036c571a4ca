//! Chores of this repository: `cargo xtask <chore>`.
//!
//! One chore is one file beside this one and one variant of [`Chore`]. This crate imports no crate
//! of the product: a chore that needs the product runs it as a process, so that a broken product
//! still builds its own checker. It must never change what the product does or ship inside it.

use clap::{Parser, Subcommand};

mod bench;
mod copy;
mod fuzz;
mod limits;
mod planted;
mod points;
mod prove;
mod screenshots;
mod sim;
mod soak;
mod tidy;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

/// To add a chore: a new file with `Args` and `run`, its `mod` line above, one variant and one arm.
#[derive(Debug, Subcommand)]
enum Chore {
    /// Measure what the product reaches on this machine.
    Bench(bench::Args),
    /// Make input up for what reads the bytes of strangers.
    Fuzz(fuzz::Args),
    /// Write the page of limits from the constants of the source.
    Limits(limits::Args),
    /// Plant bugs into a copy of the source and see whether the tests find them.
    Planted(planted::Args),
    /// Let processes die at each failpoint of a copy of the source, and see how it ends.
    Points(points::Args),
    /// One page of what is known to hold, and of what nobody has shown.
    Prove(prove::Args),
    /// Take the pictures of the documentation anew, in a real browser.
    Screenshots(screenshots::Args),
    /// Run the seeded simulation over many seeds, or replay one.
    Sim(sim::Args),
    /// Users, weight changes and upgrades of the proxy for minutes on end.
    Soak(soak::Args),
    /// Check the rules of the house that neither rustc nor clippy knows.
    Tidy(tidy::Args),
}

fn main() -> anyhow::Result<std::process::ExitCode> {
    match Arguments::parse().chore {
        Chore::Bench(args) => bench::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Limits(args) => limits::run(&args),
        Chore::Planted(args) => planted::run(&args),
        Chore::Points(args) => points::run(&args),
        Chore::Prove(args) => prove::run(&args),
        Chore::Screenshots(args) => screenshots::run(&args),
        Chore::Sim(args) => sim::run(&args),
        Chore::Soak(args) => soak::run(&args),
        Chore::Tidy(args) => tidy::run(&args),
    }
}
