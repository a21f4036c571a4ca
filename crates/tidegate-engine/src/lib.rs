//! The imperative shell around the core: one loop a service that journals decisions and brings
//! about what the state demands. It must never decide anything itself.
//!
//! [`engine`] is the handle that others hold, [`service`] the loop, [`dispatch`] what carries
//! effects out, [`watch`] what looks at the world, [`judging`] what turns statistics into
//! verdicts, [`hearing`] one part's judge with what it heard, [`recording`] that on disk, [`backtest`] what another policy would have made of it, [`simulate`] the same on a virtual clock, [`foresee`] what a deployment would do, [`ports`] the traits of the world.

pub mod backtest;
mod backups;
mod dispatch;
pub mod engine;
pub mod foresee;
mod gates;
pub mod hearing;
mod judging;
mod kind;
pub mod ports;
pub mod recording;
mod service;
pub mod simulate;
#[cfg(feature = "testkit")]
pub mod testkit;
mod watch;

pub use engine::{CommandError, Engine, Live, Published, Receipt, StartError};
pub use gates::look_up;
