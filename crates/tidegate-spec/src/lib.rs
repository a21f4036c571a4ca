//! Text in, plan out: reads `tidegate.yaml` and says everything that is wrong with it at once.
//! No clock, no file system, no network: callers read files, and never more of one than
//! [`SOURCE_BYTES_MAX`].
//!
//! The way of a file: [`decode`] (bytes to text), the source check, the YAML tree, then one module
//! for each group of keys, and the lints at the end. Start at [`parse`].

mod accept;
mod approve;
mod backup;
mod canonical;
mod check;
mod checklist;
mod codes;
mod command;
mod compose;
mod custom;
mod declared;
mod detect;
mod diagnostic;
mod duties;
mod edge;
mod environments;
mod export;
mod fields;
mod file;
mod format;
mod import;
mod incident;
mod judging;
mod lint;
mod metrics;
mod mojibake;
mod node;
mod part;
mod policy;
mod preset;
mod probe;
mod read;
mod report;
mod resolve;
mod route;
mod rule;
mod sarif;
mod schema;
mod secret;
mod show;
mod source;
mod targets;
mod tell;
mod template;
mod tidy_text;
mod traffic;
mod units;
mod variables;
mod window;
mod words;

pub use canonical::{Error as CanonicalError, canonical, components};
pub use detect::{Detected, FACT_FILES, Facts, Start, detect};
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use export::{Carried, Exported, Target, export};
pub use file::{Context, Parsed, parse, read_with};
pub use import::{Entry, How, Imported, Share, Tool, drawing, runbook, tool};
pub use lint::lint;
pub use policy::{policy, run_flags};
pub use report::{Purpose, Unserved};
pub use resolve::wanted;
pub use sarif::sarif;
pub use schema::schema;
pub use show::{Change, Shown, Value, changes, get, show};
pub use source::{SOURCE_BYTES_MAX, decode};
pub use template::template;
pub use tidy_text::{fmt, migrate};
