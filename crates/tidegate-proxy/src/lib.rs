//! The data plane: a route table in, requests through, statistics out.
//!
//! With the feature `wire` alone this crate is only the message types a control plane and a
//! proxy exchange. With `serve` it is the proxy itself.
//!
//! The proxy must never wait for the control plane, never apply a table that is older than the
//! one it serves, never swap a serving table for an empty one, and never decide about a release:
//! it applies splits, and goes back to the fallback a table names.

#[cfg(feature = "wire")]
pub mod wire;
