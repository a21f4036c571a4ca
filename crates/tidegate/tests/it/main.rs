//! The product as a whole: the real binary, real processes, real sockets, real repositories.
//! One module a subject; `harness` makes a world for each test. Must never need the internet.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking where it is, and says what it saw"
)]

mod api;
mod approvals;
mod audit;
mod backups;
mod bad_input;
mod browser;
mod chromium;
mod cli;
mod demo;
mod doors;
mod duties;
mod examples;
mod gates;
mod harness;
mod judged;
mod local;
mod network;
mod operations;
mod pages;
mod plans;
mod processes;
mod proxy_alone;
mod readings;
mod remote;
mod rights;
mod rollback;
mod secure;
mod server;
mod steps;
mod telling;
#[path = "../../../tidegate-drivers/tests/it/town.rs"]
mod town;
mod triggers;
