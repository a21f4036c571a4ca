//! Where events are kept: the only crate that knows SQL.
//!
//! [`Sqlite`] is one file in a state directory. Every event is a leaf of an RFC 6962 tree that
//! grows in the same transaction, so that a changed, missing, moved or cut entry is found by
//! [`tidegate_engine::ports::Journal::verify`] and named.
//! This crate must never decide anything about a deployment, and must never answer an append
//! before it survives the loss of power.

pub mod codes;

mod checkpoint;
mod entry;
mod lock;
mod projection;
mod sqlite;
mod upcast;

pub use entry::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, PAYLOAD_BYTES_MAX};
pub use sqlite::{Copied, SNAPSHOT_BYTES_MAX, Sqlite, Written, copy, inspect};
