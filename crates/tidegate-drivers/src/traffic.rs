//! Drivers that divide user requests. Must never move a share that nobody asked to move.

mod embedded;
mod process;

pub use embedded::{Embedded, Rolled, Served, emergency, inspect, metrics, served, service_key};
pub use process::{ProxyProcess, Replaced, Running};
