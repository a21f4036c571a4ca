//! The imperative shell around the core: one loop that journals decisions and brings about what
//! the state demands. It must never decide anything itself.

pub mod ports;
