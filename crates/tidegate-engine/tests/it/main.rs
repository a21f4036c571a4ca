//! Tests of the engine: the simulation, and what its testkit promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod foresee;
mod judged;
mod order;
mod simulation;
