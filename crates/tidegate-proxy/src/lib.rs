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

#[cfg(feature = "serve")]
mod access;
#[cfg(feature = "serve")]
mod alarm;
#[cfg(feature = "serve")]
mod body;
#[cfg(feature = "serve")]
mod brake;
#[cfg(feature = "serve")]
mod cohort;
#[cfg(feature = "serve")]
mod control;
#[cfg(feature = "serve")]
mod disk;
#[cfg(feature = "serve")]
mod forward;
#[cfg(feature = "serve")]
mod frames;
#[cfg(feature = "serve")]
mod front;
#[cfg(test)]
#[cfg(feature = "serve")]
mod fuzz;
#[cfg(feature = "serve")]
mod headers;
#[cfg(feature = "serve")]
mod health;
#[cfg(feature = "serve")]
mod http2;
#[cfg(feature = "serve")]
mod keep;
#[cfg(feature = "serve")]
mod listen;
#[cfg(feature = "serve")]
mod meet;
#[cfg(feature = "serve")]
mod metrics;
#[cfg(feature = "serve")]
mod mirror;
#[cfg(feature = "serve")]
mod multiplex;
#[cfg(feature = "serve")]
mod refusal;
#[cfg(feature = "serve")]
mod route;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod shard;
#[cfg(feature = "serve")]
mod stats;
#[cfg(feature = "serve")]
mod table;
#[cfg(feature = "serve")]
mod tally;
#[cfg(feature = "serve")]
mod tap;
#[cfg(feature = "serve")]
mod ticks;
#[cfg(feature = "serve")]
mod tls;
#[cfg(feature = "serve")]
mod upgrade;
#[cfg(feature = "serve")]
mod upstream;
#[cfg(feature = "serve")]
mod validate;
#[cfg(feature = "serve")]
mod watched;
#[cfg(feature = "serve")]
mod workers;

/// What counters are made of; the tests put others in their place.
#[cfg(feature = "serve")]
mod sync {
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

#[cfg(feature = "serve")]
pub use serve::{Config, Error, Timeouts, serve};
