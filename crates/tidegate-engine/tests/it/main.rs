//! Tests of the engine: the simulation, and what its testkit promises.

mod simulation;
