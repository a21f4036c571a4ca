//! The imperative shell around the core: one loop a service that journals decisions and brings
//! about what the state demands. It must never decide anything itself.
//!
//! [`engine`] is the handle that others hold, [`service`] the loop, [`dispatch`] what carries
//! effects out, [`watch`] what looks at the world, [`judging`] what turns statistics into
//! verdicts, [`ports`] the traits of the world.

mod dispatch;
pub mod engine;
mod gates;
mod judging;
pub mod ports;
mod service;
#[cfg(feature = "testkit")]
pub mod testkit;
mod watch;

pub use engine::{CommandError, Engine, Live, Published, Receipt, StartError};
pub use gates::look_up;
