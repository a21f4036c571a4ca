//! The judge: ticks in, verdict out, with numbers a person can read.
//! It must never read a clock, a file or a random number, and never take missing data for a pass:
//! the same ticks give the same verdicts bit for bit on every machine, so all `exp`, `ln` and
//! `lgamma` go through `libm`.
//!
//! Start at [`judge::Judge`]; [`window::Window`] is the sustained rule that the proxy's local
//! brake shares.

pub mod binomial;
mod blast;
pub mod evidence;
pub mod gauge;
mod guard;
pub mod histogram;
pub mod inputs;
pub mod judge;
pub mod policy;
pub mod rule;
mod sentence;
pub mod student;
pub mod tick;
pub mod verdict;
pub mod window;
mod words;
pub mod zone;

pub use evidence::{EvidencePolicy, EvidenceReport};
pub use gauge::{Gauge, Label};
pub use histogram::{Cells, Histogram};
pub use judge::Judge;
pub use policy::{Floor, Policy, PolicyError};
pub use rule::{Measured, Metric, Op, Quantile, Reading, Rule};
pub use tick::{Arm, Stratum, Stream, Tick};
pub use verdict::{Alarm, Blast, Call, Eta, HoldReason, Inputs, Literal, MetricVerdict, Verdict};
pub use window::{Gap, RuleState, Window};
pub use zone::{Standing, Zone};
