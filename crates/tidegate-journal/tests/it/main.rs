//! The journal on real files: the suite of the port, crashes, damage, and what is refused.

mod conformance;
