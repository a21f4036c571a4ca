//! The journal on real files: the suite of the port, crashes, damage, and what is refused.

mod conformance;
mod crash;
mod damage;
mod fixture;
mod groups;
mod refusals;
mod scale;
