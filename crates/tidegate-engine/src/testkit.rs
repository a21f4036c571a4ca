//! What tests of the engine and of its ports are made of: an in-memory journal that fails on
//! demand, an unkind world, the seeded simulation, and the suites that every store has to pass. Must never be part of a release.

pub mod journal_suite;
pub mod memory_journal;
pub mod sample;
pub mod sim;
pub mod world;
