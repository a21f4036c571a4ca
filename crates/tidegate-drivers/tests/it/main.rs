//! Tests of the drivers on real parts: processes, sockets, repositories, files.
//! Must never need a network beyond this machine and never use a fixed port.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on is to fail where it is"
)]

mod backups;
mod gates;
mod github;
mod metrics;
mod notify;
mod probes;
mod processes;
mod recordings;
mod releases;
mod setup;
mod sigstore;
mod town;
mod traffic;
mod work;
