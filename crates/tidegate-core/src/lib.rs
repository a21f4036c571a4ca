//! The product, pure: what a deployment is, and every decision about it.
//! No clock, no randomness, no I/O, no logging, no async, no hash map: the same inputs give the
//! same events on every machine, for ever.
//!
//! Five verbs carry everything: [`decide`] (what follows from an input), [`apply`] (what an event
//! changes), [`outstanding`] (what must be done in the world), [`next_deadline`] (when to look
//! again) and [`waiting_on`] (for whom or what everything waits).

mod absence;
mod apply;
pub mod approval;
pub mod backup;
pub mod check;
pub mod checklist;
pub mod condition;
pub mod deadline;
mod decide;
pub mod digest;
pub mod duty;
pub mod effect;
pub mod event;
pub mod fact;
pub mod gate;
pub mod ids;
pub mod incident;
pub mod input;
pub mod layer;
pub mod message;
pub mod plan;
pub mod rejection;
pub mod rights;
pub mod risk;
pub mod state;
pub mod trigger;
pub mod verdict;
pub mod waiting;
pub mod weight;
pub mod window;

pub use apply::apply;
pub use check::check;
pub use deadline::next_deadline;
pub use decide::decide;
pub use effect::outstanding;
pub use waiting::waiting_on;
