//! Text in, plan out: reads `tidegate.yaml` and says everything that is wrong with it at once.
//! No clock, no file system, no network: callers read files, and never more of one than
//! [`SOURCE_BYTES_MAX`].
//!
//! The way of a file: [`decode`] (bytes to text), the source check, the YAML tree, then one module
//! for each group of keys, and the lints at the end. Start at [`parse`].

mod approve;
mod canonical;
mod codes;
mod command;
mod compose;
mod detect;
mod diagnostic;
mod fields;
mod file;
mod lint;
mod node;
mod part;
mod probe;
mod read;
mod report;
mod route;
mod rule;
mod source;
mod targets;
mod template;
mod traffic;
mod units;
mod words;

pub use canonical::{Error as CanonicalError, canonical, components};
pub use detect::{Detected, FACT_FILES, Facts, Start, detect};
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use file::{Parsed, parse};
pub use lint::lint;
pub use source::{SOURCE_BYTES_MAX, decode};
pub use template::template;
