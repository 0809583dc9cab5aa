//! The integration tests: stories over real sockets, one binary. Each file is a behaviour; `support` sets the stage.
#![cfg(feature = "demo")]
#![allow(unreachable_pub, reason = "one binary: `pub` says what a file offers to the others")]

mod layers;
mod serving;
mod support;
