//! The pages: server-rendered from the structs that the API answers with, in the same words.
//! Must never hold a state of its own, and never send a byte that it was given unescaped.

pub(crate) mod assets;
pub(crate) mod pages;
