//! Tests of the drivers on real parts: processes, sockets, repositories, files.
//! Must never need a network beyond this machine and never use a fixed port.

mod probes;
mod processes;
mod releases;
mod setup;
