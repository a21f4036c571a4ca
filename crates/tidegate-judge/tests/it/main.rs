//! The judge's tests: boundary vectors of the documents, golden sentences, properties, replay.
//! They must never need a clock or the network.
#![expect(clippy::expect_used, reason = "clippy sees the builders here as no tests")]

mod boundaries;
mod evidence;
mod golden;
mod guards;
mod histogram;
mod judging;
mod properties;
mod rollouts;
mod scene;
mod windows;
