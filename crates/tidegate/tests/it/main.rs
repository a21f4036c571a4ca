//! The product as a whole: the real binary, real processes, real sockets, real repositories.
//! One module a subject; `harness` makes a world for each test. Must never need the internet.

mod api;
mod cli;
mod harness;
mod local;
mod rollback;
mod server;
