//! Drivers that turn a tag into bytes. Must never read a work tree.

pub(crate) mod artifact;
mod git;
pub mod github;
pub(crate) mod owners;

pub use git::{Config, GitAnchor, GitReleases};
