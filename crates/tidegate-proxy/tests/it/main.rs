//! The proxy as a whole: real sockets, real files, real processes, applications that misbehave.
//! No test uses a fixed port, sleeps for luck, or reaches past the loopback interface.

mod failures;
mod fallback;
mod fence;
mod heads;
mod parts;
mod restart;
mod split;
mod streams;
