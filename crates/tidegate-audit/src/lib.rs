//! What an auditor needs to check Tidegate without Tidegate: the leaf of an entry, the tree over
//! all entries, signed checkpoints of it, and evidence bundles.
//!
//! `tidegate-audit` is the small program around it. This crate must never read a journal, ask a
//! server or believe a clock: it gets bytes and says what they prove.

pub mod bundle;
pub mod entry;
pub mod merkle;
pub mod note;
pub mod proof;

pub use entry::Entry;
