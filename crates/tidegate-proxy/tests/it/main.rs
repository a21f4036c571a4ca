//! The proxy as a whole: real sockets, real files, real processes, applications that misbehave.
//! No test uses a fixed port, sleeps for luck, or reaches past the loopback interface.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its parts are built from"
)]

mod certs;
mod copies;
mod counters;
mod failures;
mod fallback;
mod fence;
mod front;
mod h2;
mod heads;
mod metrics;
mod origins;
mod parts;
mod programs;
mod replies;
mod restart;
mod slow;
mod split;
mod streams;
mod tls;
mod upgrade;
