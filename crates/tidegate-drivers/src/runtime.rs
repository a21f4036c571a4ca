//! Drivers that run applications. Must never end an application because Tidegate ended.

mod process;
pub mod shim;

pub use process::{Config, ProcessRuntime};
